/** The service that all services here call: it tells stock and takes orders, fails when it is told to, and remembers what it was asked. */

import { once } from 'node:events';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { lifecycle } from 'breakwater/node';

/** A request that came, as far as it is of interest here. */
export interface Arrival {
  readonly method: string;
  readonly path: string;
  /** Milliseconds that the caller said are left. */
  readonly deadline: number | undefined;
  /** Attempts that the caller said it made before this one. */
  readonly attempt: number;
  readonly idempotencyKey: string | undefined;
}

export interface Upstream {
  readonly url: string;
  /** The latest hundred. */
  readonly arrivals: readonly Arrival[];
  /** Answers the next so many requests with 503; `0` mends it. */
  readonly fail: (times: number) => void;
  /** Lets requests wait until what it answers with is called. */
  readonly hold: () => () => void;
  /** Resolves when the next request has come. */
  readonly next: () => Promise<Arrival>;
  readonly stop: () => Promise<void>;
}

/** Starts it on a free port. `POST /fail?times=5` does from outside what `fail(5)` does. */
export async function startUpstream(): Promise<Upstream> {
  const arrivals: Arrival[] = [];
  const waiting = new Set<(arrival: Arrival) => void>();
  let failures = 0;
  let orders = 0;
  let held: Promise<void> = Promise.resolve();

  const serve = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const { pathname, searchParams } = new URL(req.url ?? '/', 'http://upstream');
    if (pathname === '/fail') {
      failures = Number(searchParams.get('times') ?? 1);
      res.end(`the next ${failures} requests fail\n`);
      return;
    }
    const arrival = readArrival(req, pathname);
    arrivals.push(arrival);
    if (arrivals.length > 100) arrivals.shift();
    for (const tell of waiting) tell(arrival);
    waiting.clear();
    await held;
    if (failures > 0) {
      failures--;
      send(res, 503, { error: 'out of order' });
    } else if (arrival.method === 'POST') send(res, 201, { order: ++orders });
    else send(res, 200, { item: pathname.split('/').at(-1), pieces: 7 });
  };
  const server = createServer((req, res) => void serve(req, res));
  const life = lifecycle({ server, delay: 0, drain: 0 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    arrivals,
    fail: (times) => void (failures = times),
    hold: () => {
      let release = (): void => undefined;
      held = new Promise((resolve) => (release = resolve));
      return release;
    },
    next: () => new Promise((resolve) => waiting.add(resolve)),
    stop: async () => {
      await life.drain();
    },
  };
}

function readArrival({ method = 'GET', headers }: IncomingMessage, path: string): Arrival {
  const left = headers['x-request-deadline'];
  return {
    method,
    path,
    deadline: left === undefined ? undefined : Number(left),
    attempt: Number(headers['x-request-attempt'] ?? 0),
    idempotencyKey: headers['idempotency-key']?.toString(),
  };
}

function send(res: ServerResponse, status: number, body: unknown): void {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
