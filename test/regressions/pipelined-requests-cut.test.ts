/**
 * A response that waits behind another one on its connection has no socket yet, and when that connection breaks Node tells it nothing: neither `finish` nor `close`.
 * Load generators that were killed half-way, and browsers of old, left permits behind this way until no request was let in any more.
 */

import { type AddressInfo, connect } from 'node:net';
import { type AnyPolicy, bulkhead } from 'breakwater';
import { guard } from 'breakwater/express';
import breakwater from 'breakwater/fastify';
import express from 'express';
import Fastify from 'fastify';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Visit } from '../../src/http/admission/inbound.ts';
import { ask, books, serve } from '../http/serving.ts';

/** Serves `/hang`, which never answers, and `/ok`, which does at once, behind a guard. */
type Start = (
  policies: readonly AnyPolicy[],
  arrived: (path: string, visit: Visit) => void,
) => Promise<{ readonly port: number; readonly active: () => number }>;

const inExpress: Start = async (policies, arrived) => {
  const app = express().set('env', 'test');
  const api = guard(policies);
  app.use(api, (req, res) => {
    arrived(req.path, req.breakwater);
    if (req.path === '/ok') res.send('ok');
  });
  const { port } = await serve(app);
  return { port, active: () => api.pipeline.snapshot().active };
};

const inFastify: Start = async (policies, arrived) => {
  const app = Fastify();
  await app.register(breakwater, { policies });
  app.all('/*', (request, reply) => {
    arrived(request.url, request.breakwater);
    if (request.url === '/ok') void reply.send('ok');
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  onTestFinished(async () => {
    app.server.closeAllConnections();
    await app.close();
  });
  return { port: (app.server.address() as AddressInfo).port, active: () => app.breakwater.pipeline.snapshot().active };
};

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

describe.each([
  ['Express', inExpress],
  ['Fastify', inFastify],
])('requests in a pipeline that breaks, in %s', (_, start) => {
  test('W2 those behind the first one give their permits back, though no response of theirs finishes or closes', async () => {
    const account = books();
    const slots = bulkhead({ maxConcurrent: 4 });
    const visits: Visit[] = [];
    const { port, active } = await start([account.policy, slots], (_path, visit) => visits.push(visit));
    const socket = connect(port, '127.0.0.1');
    socket.write(get('/hang').repeat(4));
    await vi.waitFor(() => expect(visits.length).toBe(4), { interval: 2 });
    expect([slots.active, active()]).toEqual([4, 4]);
    socket.resetAndDestroy();
    await account.quiet();
    expect([slots.active, active(), account.verdicts]).toEqual([0, 0, ['ignored', 'ignored', 'ignored', 'ignored']]);
    expect(visits.map(({ signal }) => (signal.reason as { code?: string }).code)).toEqual(Array(4).fill('ERR_CLIENT_GONE'));
    expect((await ask(port, { path: '/ok' })).body).toBe('ok');
  });

  test('W2 an answer that is complete and waits for its turn counts as given, though nobody will read it', async () => {
    const account = books();
    const visits: string[] = [];
    const { port, active } = await start([account.policy], (path) => visits.push(path));
    const socket = connect(port, '127.0.0.1');
    socket.write(get('/hang') + get('/ok') + get('/ok'));
    await vi.waitFor(() => expect(visits.length).toBe(3), { interval: 2 });
    await new Promise(setImmediate);
    expect(active()).toBe(3);
    socket.resetAndDestroy();
    await account.quiet();
    expect([active(), account.verdicts.toSorted()]).toEqual([0, ['ignored', 'success', 'success']]);
  });

  test('W2 those that wait for a place in a queue leave it', async () => {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 8 });
    const visits: string[] = [];
    const { port, active } = await start([slots], (path) => visits.push(path));
    const socket = connect(port, '127.0.0.1');
    socket.write(get('/hang').repeat(5));
    await vi.waitFor(() => expect([slots.active, slots.queued]).toEqual([1, 4]), { interval: 2 });
    socket.resetAndDestroy();
    await vi.waitFor(() => expect([slots.active, slots.queued, active()]).toEqual([0, 0, 0]), { interval: 2 });
    expect(visits).toEqual(['/hang']);
  });

  test('a hundred of them on one connection are not taken for a leak of listeners', async () => {
    const account = books();
    const warned: unknown[] = [];
    const note = (warning: Error): void => void warned.push(warning.message);
    process.on('warning', note);
    onTestFinished(() => void process.off('warning', note));
    let arrived = 0;
    const { port } = await start([account.policy], () => arrived++);
    const socket = connect(port, '127.0.0.1');
    socket.write(get('/hang').repeat(100));
    await vi.waitFor(() => expect(arrived).toBe(100), { interval: 2 });
    socket.resetAndDestroy();
    await account.quiet();
    await new Promise(setImmediate);
    expect(warned).toEqual([]);
  });
});
