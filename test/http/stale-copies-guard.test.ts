import { bulkhead, timeout } from 'breakwater';
import { guard } from 'breakwater/express';
import express from 'express';
import { expect, test } from 'vitest';
import { staleCopies } from '../../src/http/recording/stale-copies.ts';
import { type Reply, ask, latch, serve } from './serving.ts';

test('a guard that refuses gives the copy of what it let in before', async () => {
  const [busy, go] = [latch(), latch()];
  const copies = staleCopies({ refresh: 0 });
  const app = express();
  app.use(guard([bulkhead({ maxConcurrent: 1 })], { fallback: copies }));
  app.get('/slow', async (_req, res) => {
    busy.open();
    await go.opened;
    res.send('slow');
  });
  app.get('/menu', (_req, res) => void res.set('etag', '"1"').json({ soup: 'of the day' }));
  const { port } = await serve(app);
  await ask(port, { path: '/menu' });
  const slow = ask(port, { path: '/slow' });
  await busy.opened;
  const copy = await ask(port, { path: '/menu' });
  expect(copy).toMatchObject({
    status: 200,
    body: '{"soup":"of the day"}',
    headers: { 'x-degraded': 'stale', age: '0', etag: '"1"', 'content-type': 'application/json; charset=utf-8', 'content-length': '21' },
  });
  expect((await ask(port, { path: '/menu', method: 'HEAD' })).headers['content-length']).toBe('21');
  expect((await ask(port, { path: '/other' })).status).toBe(503);
  expect((await ask(port, { path: '/menu', headers: { cookie: 'session=1' } })).status).toBe(503);
  go.open();
  expect((await slow).body).toBe('slow');
});

test('a guard whose time is up gives the copy, and what the handler answers later is none', async () => {
  let slow = false;
  const late = latch<() => void>();
  const copies = staleCopies({ refresh: 0 });
  const app = express();
  app.use(guard([timeout({ after: 20 })], { fallback: copies }));
  app.get('/menu', (_req, res) => {
    if (slow) late.open(() => void res.send('late'));
    else res.send('in time');
  });
  const { port } = await serve(app);
  const menu = (): Promise<Reply> => ask(port, { path: '/menu' });
  expect((await menu()).body).toBe('in time');
  slow = true;
  expect(await menu()).toMatchObject({ status: 200, body: 'in time', headers: { 'x-degraded': 'stale' } });
  (await late.opened)();
  expect(await menu()).toMatchObject({ status: 200, body: 'in time', headers: { 'x-degraded': 'stale' } });
});
