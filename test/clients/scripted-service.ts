/** Services for clients to call: one that answers as it is told, and one that does everything a client must bear. */

import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { expect } from 'vitest';

type Handle = (req: IncomingMessage, res: ServerResponse) => unknown;

/** What a service has seen so far. */
export type Scripted = RequestListener & { calls: number; readonly bodies: string[] };

/** Answers with each of these once, then with the last; each has the whole request. */
export function script(...answers: Handle[]): Scripted {
  const listener = (req: IncomingMessage, res: ServerResponse): void => {
    const answer = answers[Math.min(service.calls++, answers.length - 1)];
    let text = '';
    req.on('data', (chunk: Buffer) => (text += chunk.toString()));
    req.on('end', () => {
      service.bodies.push(text);
      answer?.(req, res);
    });
  };
  const service: Scripted = Object.assign(listener, { calls: 0, bodies: [] });
  return service;
}

export const busy: Handle = (_req, res) => res.writeHead(503, { 'content-type': 'text/plain' }).end('busy');
export const reset: Handle = (req) => req.socket.resetAndDestroy();
export const fine: Handle = (_req, res) => res.writeHead(200, { 'content-type': 'application/json' }).end('{"pieces":7}');

/** In turn: too busy, gone, gone half-way, late, and fine; then what else is given. */
export function troubled(...others: Handle[]): RequestListener {
  const ways: readonly Handle[] = [
    busy,
    (req) => req.socket.destroy(),
    (_req, res) => res.writeHead(200, { 'content-length': '9' }).write('half', () => res.destroy()),
    (_req, res) => setTimeout(() => res.end('late'), 3),
    fine,
    ...others,
  ];
  let calls = 0;
  return (req, res) => void ways[calls++ % ways.length]?.(req, res);
}

/** Waits until no connection to it is open. */
export async function unconnected(server: Server): Promise<void> {
  const open = (): Promise<number> => new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));
  await expect.poll(open, { timeout: 5000 }).toBe(0);
}
