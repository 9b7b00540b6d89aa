/** Real servers on a free port, clients for them, and a gate that keeps books. */

import { once } from 'node:events';
import { type Agent, type IncomingHttpHeaders, type RequestListener, type Server, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Failure, type GatePolicy, type Outcome, definePolicy, verdictOf } from 'breakwater';
import { onTestFinished } from 'vitest';

/** Serves until the test is over. */
export async function serve(listener: RequestListener): Promise<{ readonly port: number; readonly server: Server }> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return { port: (server.address() as AddressInfo).port, server };
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Asking {
  readonly method?: string;
  readonly path?: string;
  readonly agent?: Agent;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** One request; the promise settles with the whole reply, or rejects if the connection ends before. `leave` is the client hanging up. */
export function ask(port: number, asking: Asking = {}): Promise<Reply> & { leave: () => void; sent: Promise<unknown> } {
  const { method = 'GET', path = '/', agent = false, headers = {}, body } = asking;
  const sending = request({ host: '127.0.0.1', port, method, path, agent, headers });
  const reply = new Promise<Reply>((resolve, reject) => {
    sending.on('error', reject);
    sending.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
    });
  });
  reply.catch(() => undefined);
  const sent = once(sending, 'finish').catch(() => undefined);
  sending.end(body);
  return Object.assign(reply, { leave: () => void sending.destroy(), sent });
}

/** A gate that lets everybody in and writes down what becomes of them. */
export interface Books {
  readonly policy: GatePolicy;
  entered: number;
  readonly verdicts: string[];
  readonly errors: unknown[];
  /** Resolves once everybody is out again. */
  quiet(): Promise<void>;
}

export function books(): Books {
  let tell = (): void => undefined;
  const own: Books = {
    entered: 0,
    verdicts: [],
    errors: [],
    policy: definePolicy({
      kind: 'books',
      gate: {
        enter: () => ++own.entered,
        settle: (_pass, outcome: Outcome) => {
          own.verdicts.push(verdictOf(outcome));
          if (verdictOf(outcome) === 'failure') own.errors.push((outcome as Failure).error);
          tell();
        },
        cancel: () => {
          own.verdicts.push('cancelled');
          tell();
        },
      },
    }),
    quiet: () =>
      new Promise((resolve) => {
        tell = () => {
          if (own.verdicts.length === own.entered) resolve();
        };
        tell();
      }),
  };
  return own;
}

/** A promise and what settles it. */
export function latch<T = void>(): { readonly opened: Promise<T>; readonly open: (value: T) => void } {
  let open!: (value: T) => void;
  const opened = new Promise<T>((resolve) => (open = resolve));
  return { opened, open };
}
