/** Hono applications on real sockets. */

import { once } from 'node:events';
import { Server, createServer } from 'node:http';
import type { createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import type { Env, Hono } from 'hono';
import { onTestFinished } from 'vitest';

/** Serves until the test is over. */
export async function serveHono<E extends Env>(
  { fetch }: Pick<Hono<E>, 'fetch'>,
  create: typeof createServer | typeof createHttp2Server = createServer,
): Promise<number> {
  const server = serve({ fetch: fetch, port: 0, hostname: '127.0.0.1', createServer: create as typeof createServer });
  if (!server.listening) await once(server, 'listening');
  onTestFinished(async () => {
    if (server instanceof Server) server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return (server.address() as AddressInfo).port;
}
