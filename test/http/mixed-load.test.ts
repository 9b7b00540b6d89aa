/**
 * Thousands of mixed requests over real connections, good clients and bad ones: whatever they do, what the gates gave comes back, once.
 * Who does what is decided by chance with a seed; nothing here waits for time to pass.
 */

import type { IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type GatePolicy, bulkhead, circuitBreaker, definePolicy, fixedWindow, perKey, timeout } from 'breakwater';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Crowd, comeMixed } from './mixed-crowd.ts';
import { type Running, frameworks } from './mixed-servers.ts';

/** A gate that knows each pass it gave, and what was given back more than once. */
class Ledger {
  given = 0;
  twice = 0;
  readonly #out = new Set<number>();
  readonly policy: GatePolicy;

  constructor() {
    const back = (pass: unknown): void => {
      if (!this.#out.delete(pass as number)) this.twice++;
    };
    this.policy = definePolicy({
      kind: 'ledger',
      gate: {
        enter: () => {
          this.#out.add(++this.given);
          return this.given;
        },
        settle: back,
        cancel: back,
      },
    });
  }

  get out(): number {
    return this.#out.size;
  }
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

async function heapUsed(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    await new Promise(setImmediate);
    collect();
  }
  return process.memoryUsage().heapUsed;
}

/** How many requests each of them gets: the first two stand on the core alone, the others put something of theirs between. */
const sizes: readonly (readonly [string, number])[] = [
  ['node:http', 10_000],
  ['Express', 10_000],
  ['Fastify', 2000],
  ['Koa', 2000],
  ['Nest', 1500],
];

describe.each(sizes)('mixed requests to %s (%i of them)', (name, size) => {
  const first = new Ledger();
  const last = new Ledger();
  const slots = bulkhead({ maxConcurrent: 3, maxQueue: 2 });
  const limits = perKey(() => fixedWindow({ limit: Math.ceil(size / 50), window: '1m' }), { name: 'per-tenant', max: 500 });
  const breaker = circuitBreaker({ window: { calls: 60 }, failureRate: 0.6, minCalls: 40, openFor: 5 });
  const asked = new WeakSet<IncomingMessage>();
  const warned: string[] = [];
  const unhandled: unknown[] = [];
  const tooLate: unknown[] = [];
  const sockets = new Set<Socket>();
  const crowds: Crowd[] = [];
  const heaps: number[] = [];
  let askedTwice = 0;
  let servedOfBoom = 0;
  let servedTwice = 0;
  let arrived = 0;
  let running: Running;
  const note = ({ message }: Error): void => void warned.push(message);
  const catchIt = (error: unknown): void => void unhandled.push(error);

  beforeAll(async () => {
    process.on('warning', note).on('unhandledRejection', catchIt);
    const served = new WeakSet<IncomingMessage>();
    running = await (frameworks[name] as (typeof frameworks)[string])({
      policies: [first.policy, limits, slots, breaker, timeout({ after: 60 }), last.policy],
      key: (request) => {
        if (asked.has(request)) askedTwice++;
        asked.add(request);
        const tenant = String(request.headers['x-tenant']);
        if (tenant === 'boom') throw new Error('no such tenant');
        return tenant;
      },
      served: (request) => {
        if (served.has(request)) servedTwice++;
        served.add(request);
        if (request.headers['x-tenant'] === 'boom') servedOfBoom++;
      },
      failed: (error) => {
        if (/ERR_HTTP_HEADERS_SENT|headers (?:after|have already)/i.test(String((error as Error).stack))) tooLate.push(error);
      },
    });
    const { server } = running;
    server.on('request', () => arrived++);
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    const { port } = server.address() as AddressInfo;
    // A first part warms everything up, so that what grows in the second one grows with requests.
    for (const [seed, part] of [0.3, 0.7].entries()) {
      crowds.push(await comeMixed(port, Math.round(size * part), seed + 1));
      await vi.waitFor(() => expect([sockets.size, first.out]).toEqual([0, 0]), { timeout: 10_000, interval: 5 });
      heaps.push(await heapUsed());
    }
  }, 120_000);

  afterAll(async () => {
    process.off('warning', note).off('unhandledRejection', catchIt);
    running.server.closeAllConnections();
    await running.close();
  });

  test('all came, and all manners of answers were given', () => {
    const got = crowds.flatMap((crowd) => crowd.got);
    const statuses = new Set(got.map(({ status }) => status));
    expect(crowds.reduce((sum, { sent }) => sum + sent, 0)).toBeGreaterThanOrEqual(size);
    expect(arrived).toBeGreaterThan(size * 0.6);
    for (const status of [200, 201, 304, 404, 429, 500, 503]) expect(statuses).toContain(status);
    expect([...statuses].filter((status) => ![200, 201, 304, 404, 429, 500, 503, 504].includes(status))).toEqual([]);
    expect(got.length).toBeGreaterThan(size * 0.3);
  });

  test('W1 each request is decided on once, and served once at most', () => {
    expect([askedTwice, servedTwice]).toEqual([0, 0]);
    expect(first.given).toBeLessThanOrEqual(arrived);
    expect(last.given).toBeLessThanOrEqual(first.given);
    expect(last.given).toBeGreaterThan(size * 0.2);
  });

  test('W2 nothing is in flight afterwards, and what the gates gave came back exactly once', () => {
    expect([running.pipeline.snapshot().active, slots.active, slots.queued]).toEqual([0, 0, 0]);
    expect([first.out, first.twice, last.out, last.twice]).toEqual([0, 0, 0, 0]);
  });

  test('W2 no listener stays on connections, no promise rejects unheard, and memory does not grow with requests', () => {
    expect([warned, unhandled]).toEqual([[], []]);
    // What a request that is kept would take is a multiple of this; what the garbage collector leaves is not.
    const [before = 0, after = Infinity] = heaps;
    expect(after - before).toBeLessThan(4_000_000 + size * 0.7 * 300);
  });

  test('W3 no field is set after the head was sent', () => {
    expect(tooLate).toEqual([]);
  });

  test('W4 each refusal has a Retry-After and a body that is the same for all', () => {
    const refused = crowds.flatMap(({ got }) => got.filter(({ status }) => status === 429 || status === 503));
    expect(refused.filter(({ retryAfter }) => !/^[1-9]\d*$/.test(retryAfter))).toEqual([]);
    for (const status of [429, 503]) {
      const own = refused.filter((each) => each.status === status);
      expect(new Set(own.map(({ said }) => said)).size).toBe(1);
      expect(own.filter(({ method, length, said }) => length !== (method === 'HEAD' ? 0 : Number(said)))).toEqual([]);
    }
  });

  test('W5 a key function that throws fails its own request only, which is not served', () => {
    expect(servedOfBoom).toBe(0);
    const boom = crowds.flatMap(({ got }) => got.filter(({ tenant }) => tenant === 'boom'));
    expect(new Set(boom.map(({ status }) => status))).toEqual(new Set([500]));
  });
});
