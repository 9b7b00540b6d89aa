/** Fastify applications on a free port, and what they log. */

import { Writable } from 'node:stream';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { onTestFinished } from 'vitest';

/** Listens until the test is over. */
export async function listen(app: FastifyInstance<never> | object): Promise<number> {
  const server = app as FastifyInstance;
  await server.listen({ port: 0, host: '127.0.0.1' });
  onTestFinished(async () => {
    server.server.closeAllConnections();
    await server.close();
  });
  return (server.server.address() as AddressInfo).port;
}

export interface Line {
  readonly level: number;
  readonly msg?: string;
  readonly err?: { readonly message: string; readonly code?: string };
}

/** Where an application logs to; `loud` are its warnings and errors. */
export function log(): { readonly logger: { readonly level: string; readonly stream: Writable }; readonly loud: () => readonly Line[] } {
  const lines: Line[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()) as Line);
      done();
    },
  });
  return { logger: { level: 'debug', stream }, loud: () => lines.filter(({ level }) => level >= 40) };
}
