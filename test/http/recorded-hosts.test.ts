import { once } from 'node:events';
import { type ClientHttp2Stream, connect, createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { fixedWindow } from 'breakwater';
import express from 'express';
import { expect, onTestFinished, test } from 'vitest';
import { guard, idempotency, staleCopies } from '../../src/http/express.ts';
import { sendReply } from '../../src/http/recording/reply.ts';
import { type NodeShaped, headOf } from '../../src/http/recording/request-head.ts';
import { type Reply, ask, serve } from './serving.ts';

test('tenants that are told apart by host alone get neither copies nor outcomes of each other', async () => {
  const app = express();
  app.use(
    idempotency(),
    guard([fixedWindow({ limit: 1, window: '1h' })], { fallback: staleCopies(), skip: (req) => req.method === 'POST' }),
  );
  app.all('/x', (req, res) => void res.send(`for ${String(req.headers.host)}`));
  const { port } = await serve(app);
  const get = (host: string): Promise<Reply> => ask(port, { path: '/x', headers: { host } });
  const post = (host: string): Promise<Reply> => ask(port, { path: '/x', method: 'POST', headers: { host, 'idempotency-key': '1' } });
  expect((await get('a.example')).body).toBe('for a.example');
  expect((await get('b.example')).status).toBe(429);
  expect(await get('A.Example')).toMatchObject({ body: 'for a.example', headers: { 'x-degraded': 'stale' } });
  expect((await post('a.example')).body).toBe('for a.example');
  expect((await post('b.example')).body).toBe('for b.example');
  expect(await post('A.EXAMPLE')).toMatchObject({ body: 'for a.example', headers: { 'idempotency-replayed': 'true' } });
});

test('a POST at one host leaves the copies of another alone, with one scope for both', async () => {
  let shut = false;
  const copies = staleCopies({ refresh: 0, scope: () => 'all' });
  const { port } = await serve((req, res) => {
    if (shut) return sendReply(req, res, copies.answer(req) ?? { status: 503, headers: {}, body: '' });
    copies.watch(req, res);
    res.end(req.headers.host);
  });
  const at = (host: string, method = 'GET'): Promise<Reply> => ask(port, { method, headers: { host } });
  for (const host of ['a.example', 'b.example']) await at(host);
  await at('b.example', 'POST');
  shut = true;
  expect((await at('a.example')).body).toBe('a.example');
  expect((await at('b.example')).status).toBe(503);
});

test('with one scope for both, a key that was used at another host is one used twice', async () => {
  const once = idempotency({ scope: () => 'all' });
  const { port } = await serve((req, res) => once(req, res, () => res.end(req.headers.host)));
  const post = (host: string): Promise<Reply> => ask(port, { method: 'POST', headers: { host, 'idempotency-key': '1' } });
  expect((await post('a.example')).body).toBe('a.example');
  expect((await post('b.example')).status).toBe(422);
});

test('no host can be written so that with a path it is another one', async () => {
  const own = idempotency();
  const { port } = await serve((req, res) => own(req, res, () => res.end(`${String(req.headers.host)} ${String(req.url)}`)));
  const post = (host: string, path: string): Promise<Reply> =>
    ask(port, { method: 'POST', path, headers: { host, 'idempotency-key': '1' } });
  expect((await post('a.example/x', '/y')).body).toBe('a.example/x /y');
  expect((await post('a.example', '/x/y')).body).toBe('a.example /x/y');
  const copies = staleCopies<NodeShaped>({ refresh: 0 });
  const asked = (host: string, url: string): NodeShaped => ({ method: 'GET', url, headers: { host } });
  copies.watchWeb(asked('a.example/x', '/y'), new Response(null));
  expect(copies.answer(asked('a.example/x', '/y'))?.status).toBe(200);
  expect(copies.answer(asked('a.example', '/x/y'))).toBeUndefined();
});

test('HTTP/2 has the host in a field of its own, and a Host that says something else makes it another place', async () => {
  let shut = false;
  const copies = staleCopies<never>({ refresh: 0 });
  const server = createServer((req, res) => {
    const [asked, answer] = [req as never, res as never];
    if (shut) return sendReply(asked, answer, copies.answer(asked) ?? { status: 503, headers: {}, body: '' });
    copies.watch(asked, answer);
    res.end(`for ${req.headers.host ?? req.authority}`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  onTestFinished(() => {
    session.destroy();
    server.close();
  });
  const get = (fields: Record<string, string>): Promise<string> => text(session.request(fields) satisfies ClientHttp2Stream);
  expect(await get({ ':authority': 'a.example', host: 'evil.example' })).toBe('for evil.example');
  shut = true;
  expect(await get({ ':authority': 'a.example' })).toBe('');
  shut = false;
  expect(await get({ ':authority': 'a.example' })).toBe('for a.example');
  shut = true;
  expect(await get({ ':authority': 'A.example' })).toBe('for a.example');
  expect(await get({ ':authority': 'b.example' })).toBe('');
});

test('where requests are of the web platform, the host stands in their URL', () => {
  expect(headOf(new Request('https://A.example:8443/x?y'))).toMatchObject({ authority: 'a.example:8443', url: '/x?y' });
});
