import { once } from 'node:events';
import type { IncomingMessage, RequestListener } from 'node:http';
import { Readable } from 'node:stream';
import got, { CancelError, type Got, HTTPError } from 'got';
import { CircuitOpenError, type GatePolicy, bulkhead, circuitBreaker, retry, timeout } from 'breakwater';
import { type Extension, type ExtensionOptions, extension } from 'breakwater/got';
import { describe, expect, test } from 'vitest';
import { type Books, books, latch, serve } from '../http/serving.ts';
import { busy, fine, reset, script, troubled, unconnected } from './scripted-service.ts';

const quick = retry({ maxAttempts: 3, backoff: { delay: 1 }, budget: false });

interface Served {
  readonly client: Got;
  readonly extended: Extension;
  readonly account: Books;
}

async function served(listener: RequestListener, policies: readonly unknown[] = [], options?: ExtensionOptions): Promise<Served> {
  const { port } = await serve(listener);
  const account = books();
  const extended = extension([...(policies as readonly GatePolicy[]), account.policy], options);
  return { client: got.extend({ prefixUrl: `http://127.0.0.1:${port}` }, extended), extended, account };
}

describe('attempts', () => {
  test('the answer is that of the attempt that went well, in every shape', async () => {
    const service = script(busy, reset, fine, busy, fine, reset, fine);
    const { client, account } = await served(service, [quick]);
    expect((await client('stock')).body).toBe('{"pieces":7}');
    expect(await client('stock').json()).toEqual({ pieces: 7 });
    expect(await client('stock', { resolveBodyOnly: true })).toBe('{"pieces":7}');
    expect(service.calls).toBe(7);
    expect(account.verdicts).toEqual(['failure', 'failure', 'success', 'failure', 'success', 'failure', 'success']);
  });

  test("trap: got's own retries do not multiply ours, whatever its options say", async () => {
    const service = script(busy);
    const { client } = await served(service, [quick]);
    await expect(client('stock')).rejects.toBeInstanceOf(HTTPError);
    expect(service.calls).toBe(3);
    await expect(client('stock', { retry: { limit: 5 } })).rejects.toBeInstanceOf(HTTPError);
    expect(service.calls).toBe(6);
  });

  test('without a retry among the policies there is one attempt', async () => {
    const service = script(busy);
    const { client } = await served(service);
    await expect(client('stock')).rejects.toMatchObject({ code: 'ERR_NON_2XX_3XX_RESPONSE', response: { statusCode: 503, body: 'busy' } });
    expect(service.calls).toBe(1);
  });

  test('its hooks run for every attempt, and a response that is not to throw is a response', async () => {
    const service = script(busy);
    const { client } = await served(service, [quick]);
    const ran: string[] = [];
    const { statusCode } = await client('stock', {
      throwHttpErrors: false,
      hooks: { beforeRequest: [() => void ran.push('request')], beforeRetry: [(_error, count) => void ran.push(`retry ${count}`)] },
    });
    expect([statusCode, ran]).toEqual([503, ['request', 'retry 1', 'request', 'retry 2', 'request']]);
  });

  test('a POST is not repeated, unless it says that it may be', async () => {
    const service = script(busy, busy, fine);
    const { client } = await served(service, [quick]);
    await expect(client.post('orders', { json: { n: 1 } })).rejects.toThrow('503');
    const { statusCode } = await client.post('orders', { json: { n: 2 }, context: { breakwater: { idempotencyKey: 'k-2' } } });
    expect([statusCode, service.bodies]).toEqual([200, ['{"n":1}', '{"n":2}', '{"n":2}']]);
  });

  test('trap: a stream cannot be sent twice, and is not', async () => {
    const service = script(busy, fine);
    const { client } = await served(service, [quick]);
    await expect(client.put('stock', { body: Readable.from(['se', 'ven']) })).rejects.toThrow('503');
    expect(service.bodies).toEqual(['seven']);
  });

  test('services of ours are told what is left and how many attempts were before', async () => {
    const seen: unknown[] = [];
    const service = script((req, res) => {
      seen.push([req.headers['x-request-attempt'], Number(req.headers['x-request-deadline']) > 0]);
      return busy(req, res);
    });
    const { client } = await served(service, [quick], { propagate: true, deadline: '5s' });
    await client('stock').catch(() => undefined);
    expect(seen).toEqual([
      [undefined, true],
      ['1', true],
      ['2', true],
    ]);
  });
});

describe('ends', () => {
  test('a refusal rejects as it is, and nothing is sent', async () => {
    const service = script(busy);
    const { client } = await served(service, [circuitBreaker({ consecutiveFailures: 1 })]);
    await expect(client('stock')).rejects.toBeInstanceOf(HTTPError);
    await expect(client('stock')).rejects.toBeInstanceOf(CircuitOpenError);
    await expect(client('stock').json()).rejects.toBeInstanceOf(CircuitOpenError);
    expect(service.calls).toBe(1);
  });

  test('an attempt that takes too long is cut, its connection closed, and the next one begun', async () => {
    const gone = latch();
    const service = script((req) => req.socket.once('close', () => gone.open()), fine);
    const { client } = await served(service, [quick, timeout({ after: 100 })]);
    expect(await client('stock').json()).toEqual({ pieces: 7 });
    await gone.opened;
    expect(service.calls).toBe(2);
  });

  test('a time-out rejects as it is', async () => {
    const { client, extended } = await served(() => undefined, [timeout({ after: 30 })]);
    await expect(client('stock')).rejects.toMatchObject({ code: 'ERR_TIMEOUT' });
    await expect(client('stock', { context: { breakwater: { deadline: 10 } } }).text()).rejects.toMatchObject({ code: 'ERR_TIMEOUT' });
    expect(extended.pipeline.snapshot().active).toBe(0);
  });

  test.each(['signal', 'cancel()'])('who leaves by %s is told so as in got, and counts for nothing', async (by) => {
    const arrived = latch<IncomingMessage>();
    const { client, account } = await served((req) => arrived.open(req), [quick]);
    const leaving = new AbortController();
    const reply = client('stock', { signal: leaving.signal });
    const reason = reply.catch((error: unknown) => error);
    const gone = once((await arrived.opened).socket, 'close');
    if (by === 'signal') leaving.abort();
    else reply.cancel();
    expect(await reason).toMatchObject(by === 'signal' ? { name: 'AbortError', code: 'ERR_ABORTED' } : {});
    expect((await reason) instanceof CancelError).toBe(by !== 'signal');
    await gone;
    await account.quiet();
    expect(account.verdicts).toEqual(['ignored']);
  });

  test('who leaves while in line leaves at once, and later aborts find nothing', async () => {
    const service = script(() => undefined);
    const { client, extended } = await served(service, [bulkhead({ maxConcurrent: 1, maxQueue: 5 })]);
    client('stock', { context: { breakwater: { deadline: 200 } } }).catch(() => undefined);
    const leaving = new AbortController();
    const reply = client('stock', { signal: leaving.signal });
    leaving.abort();
    await expect(reply).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    await expect.poll(() => extended.pipeline.snapshot().active).toBe(0);
    expect(service.calls).toBe(1);
  });

  test("got's own timeouts are known for what they are", async () => {
    const service = script(() => undefined, fine);
    const { client } = await served(service, [quick]);
    expect(await client('stock', { timeout: { response: 100 } }).json()).toEqual({ pieces: 7 });
    expect(service.calls).toBe(2);
  });

  test('streams pass untouched', async () => {
    const { client, account } = await served(script(fine), [quick]);
    expect(String(Buffer.concat(await client.stream('stock').toArray()))).toBe('{"pieces":7}');
    expect(account.entered).toBe(0);
  });
});

test('300 mixed requests end with none under way and no connection open', { timeout: 60_000 }, async () => {
  const { port, server } = await serve(troubled());
  const extended = extension([
    retry({ maxAttempts: 2, backoff: { delay: 1 }, budget: false }),
    bulkhead({ maxConcurrent: 30, maxQueue: 1000 }),
  ]);
  const client = got.extend({ prefixUrl: `http://127.0.0.1:${port}` }, extended);
  await Promise.all(
    Array.from({ length: 300 }, async (_, i) => {
      const leaving = new AbortController();
      if (i % 11 === 0) setTimeout(() => leaving.abort(), i % 13);
      await client('stock', { signal: leaving.signal }).catch(() => undefined);
    }),
  );
  await expect.poll(() => extended.pipeline.snapshot().active).toBe(0);
  server.closeIdleConnections();
  await unconnected(server);
});
