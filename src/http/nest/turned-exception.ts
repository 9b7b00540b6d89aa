import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import type { Turned } from '../admission/response.ts';
import { Exchange } from './exchange.ts';

/** A request was not let in, or ran out of time. Filters may catch it to answer in words of their own. */
export class TurnedException extends HttpException {
  /** The answer to send, and the refusal or timeout that it is for. */
  readonly turned: Turned;

  constructor(turned: Turned) {
    super(bodyOf(turned), turned.status, { cause: turned.error });
    this.turned = turned;
  }
}

/** Sends what a {@link TurnedException} says, to the byte; Nest itself would make JSON of a text. */
export class TurnedFilter implements ExceptionFilter<TurnedException> {
  catch({ turned }: TurnedException, host: ArgumentsHost): void {
    new Exchange(host).answer(turned);
  }
}

Catch(TurnedException)(TurnedFilter);

function bodyOf({ body, headers }: Turned): string | Record<string, unknown> {
  const text = typeof body === 'string' ? body : new TextDecoder().decode(body);
  return /\bjson\b/.test(headers['content-type'] ?? '') ? (JSON.parse(text) as Record<string, unknown>) : text;
}
