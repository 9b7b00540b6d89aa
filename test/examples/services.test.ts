import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, onTestFinished, test } from 'vitest';
import { start as startExpress } from '../../examples/services/express/service.ts';
import { start as startFastify } from '../../examples/services/fastify/service.ts';
import { start as startNest } from '../../examples/services/nest/service.ts';
import type { Service, Start } from '../../examples/services/service.ts';
import { type Upstream, startUpstream } from '../../examples/services/upstream.ts';
import { type Asking, type Reply, ask } from '../http/serving.ts';

const root = join(import.meta.dirname, '..', '..');

interface Running {
  readonly upstream: Upstream;
  readonly service: Service;
  readonly get: (path: string, asking?: Asking) => Promise<Reply>;
}

/** The service and its upstream, until the test is over. */
async function running(start: Start): Promise<Running> {
  const upstream = await startUpstream();
  const service = await start(upstream.url);
  onTestFinished(async () => {
    await service.life.drain();
    await upstream.stop();
  });
  const port = Number(new URL(service.url).port);
  return { upstream, service, get: (path, asking) => ask(port, { path, ...asking }) };
}

/** How a policy stands, as readiness shows it. */
function standing({ body }: Reply, policy: string): unknown {
  const { checks } = JSON.parse(body) as { checks?: Record<string, [{ observedValue: unknown }]> };
  return checks?.[policy]?.[0].observedValue;
}

describe.each([
  { name: 'Fastify', start: startFastify, path: '/stock/bolt', limit: 10 },
  { name: 'Express', start: startExpress, path: '/catalogue', limit: 20 },
  { name: 'Nest', start: startNest, path: '/stock/bolt', limit: 10 },
])('the $name service', ({ start, path, limit }) => {
  test('serves so many requests of one client, and tells it what is left and when to come back', async () => {
    const { get } = await running(start);
    const served = [];
    for (let i = 0; i < limit; i++) served.push(await get(path));
    expect(served.map(({ status }) => status)).toEqual(served.map(() => 200));
    expect(served[0]?.headers['ratelimit']).toMatch(new RegExp(`^"per-client";r=${limit - 1};`));
    expect(served[0]?.headers['ratelimit-policy']).toBe(`"per-client";q=${limit};w=60`);
    const refused = await get(path);
    expect(refused.status).toBe(429);
    expect(refused.headers['content-type']).toBe('application/problem+json');
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect(JSON.parse(refused.body)).toMatchObject({ status: 429, 'violated-policies': ['per-client'] });
    // Another client, by the word of a proxy that is believed.
    expect((await get(path, { headers: { 'x-forwarded-for': '203.0.113.7' } })).status).toBe(200);
  });

  test('asks its upstream again when that fails, and says how many attempts there were', async () => {
    const { get, upstream } = await running(start);
    upstream.fail(2);
    expect((await get(path)).status).toBe(200);
    expect(upstream.arrivals.map(({ attempt }) => attempt)).toEqual([0, 1, 2]);
  });

  test('tells its upstream how much time is left: less than it has itself, and less than its own caller has', async () => {
    const { get, upstream } = await running(start);
    await get(path);
    await get(path, { headers: { 'x-request-deadline': '700' } });
    const [own, callers] = upstream.arrivals.map(({ deadline }) => deadline);
    expect(own).toBeGreaterThan(0);
    expect(own).toBeLessThan(2000);
    expect(callers).toBeGreaterThan(0);
    expect(callers).toBeLessThan(700);
  });

  test('finishes what runs when it is shut down, and says that it is not ready meanwhile', async () => {
    const { get, upstream, service } = await running(start);
    expect((await get('/ready')).status).toBe(200);
    const release = upstream.hold();
    const come = upstream.next();
    const slow = get(path);
    await come;
    const drained = service.life.drain();
    expect((await get('/ready')).status).toBe(503);
    expect((await get(path)).status).toBe(503);
    release();
    const { status, headers } = await slow;
    expect([status, headers.connection]).toEqual([200, 'close']);
    expect((await drained).cut).toBe(0);
    await expect(get(path)).rejects.toThrow();
  });
});

describe('a bad day of the upstream', () => {
  test('opens the circuit of the Fastify service: refused at once, shown in readiness, which stays ready', async () => {
    const { get, upstream } = await running(startFastify);
    upstream.fail(Infinity);
    expect((await get('/stock/bolt')).status).toBe(502); // three attempts, and the upstream's own word
    await get('/stock/bolt');
    const asked = upstream.arrivals.length;
    expect(asked).toBe(5);
    const refused = await get('/stock/bolt');
    expect(refused.status).toBe(503);
    expect(refused.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect(upstream.arrivals.length).toBe(asked);
    const ready = await get('/ready');
    expect([ready.status, standing(ready, 'stock/circuit')]).toEqual([200, 'open']);
    expect((await get('/live')).status).toBe(200);
  });

  test('gives readers of the Express service a copy of what they were shown before', async () => {
    const { get, upstream } = await running(startExpress);
    const fresh = await get('/catalogue');
    upstream.fail(Infinity);
    expect([(await get('/catalogue')).status, (await get('/catalogue')).status]).toEqual([502, 502]);
    const asked = upstream.arrivals.length;
    const stale = await get('/catalogue');
    expect([stale.status, stale.headers['x-degraded'], stale.body]).toEqual([200, 'stale', fresh.body]);
    expect(upstream.arrivals.length).toBe(asked);
    const ready = await get('/ready');
    expect([ready.status, standing(ready, 'catalogue/circuit')]).toEqual([200, 'open']);
  });

  test('gets a lesser answer out of the Nest handler that runs within a pipeline, and then leaves the upstream alone', async () => {
    const { get, upstream } = await running(startNest);
    upstream.fail(1);
    expect(JSON.parse((await get('/advice')).body)).toEqual({ item: 'advice', pieces: 7 });
    upstream.fail(Infinity);
    for (let i = 0; i < 3; i++) expect(JSON.parse((await get('/advice')).body)).toEqual({ item: 'bestseller', pieces: null });
    expect(upstream.arrivals.length).toBe(2 + 4);
    const ready = await get('/ready');
    expect([ready.status, standing(ready, 'advice/circuit')]).toEqual([200, 'open']);
  });
});

test('an order is placed once, however often its client and the service send it', async () => {
  const { get, upstream } = await running(startExpress);
  const order = (key?: string): Promise<Reply> =>
    get('/orders', { method: 'POST', headers: key === undefined ? {} : { 'idempotency-key': key } });
  upstream.fail(1);
  const first = await order('"one"');
  const again = await order('"one"');
  expect([first.status, first.body, again.status, again.body]).toEqual([201, '{"order":1}', 201, '{"order":1}']);
  expect(again.headers['idempotency-replayed']).toBe('true');
  expect(upstream.arrivals.map(({ idempotencyKey }) => idempotencyKey)).toEqual(['"one"', '"one"']); // two attempts at one order
  expect((await order('"two"')).body).toBe('{"order":2}');
  expect((await order()).status).toBe(400);
});

const closing = { status: 503 };

test('as a process of its own it ends on SIGTERM, after the last answer', { timeout: 60_000 }, async () => {
  const upstream = await startUpstream();
  const env = { ...process.env, UPSTREAM: upstream.url, NODE_ENV: 'test' };
  const child: ChildProcess = spawn(process.execPath, ['--import', 'tsx', 'examples/services/main.ts', 'fastify'], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await upstream.stop();
  });
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const [said] = (await once(lines, 'line')) as [string];
  const port = Number(/^listening on http:\/\/127\.0\.0\.1:(\d+)$/.exec(said)?.[1]);
  const release = upstream.hold();
  const come = upstream.next();
  const slow = ask(port, { path: '/stock/bolt' });
  await come;
  child.kill('SIGTERM');
  // Until it says that it takes no more; a connection that waits to be accepted as the door closes is reset.
  while ((await ask(port, { path: '/ready' }).catch(() => closing)).status !== 503);
  release();
  expect((await slow).status).toBe(200);
  expect(await ended).toEqual([0, null]);
});
