/** docs/how-to/guard-grpc.md against a real server in this process. */

import {
  type Client,
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
  credentials,
  makeClientConstructor,
  status,
} from '@grpc/grpc-js';
import { type Call, bulkhead, circuitBreaker, pipeline, retry, timeout } from 'breakwater';
import { describe, expect, onTestFinished, test } from 'vitest';
import { latch } from '../http/serving.ts';

type Handle = (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => void;

const bytes = (value: Buffer): Buffer => value;
const definition = {
  path: '/shop.Stock/Get',
  requestStream: false,
  responseStream: false,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
} as const;

/** A service, and a client for it with these options of the channel. */
async function serve(handle: Handle, channel: object = quiet): Promise<Client> {
  const server = new Server();
  server.addService({ get: definition }, { get: handle });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  const client: Client = new (makeClientConstructor({}, 'Stock'))(`127.0.0.1:${port}`, credentials.createInsecure(), channel);
  onTestFinished(() => {
    client.close();
    server.forceShutdown();
  });
  return client;
}

// What the page says.
const quiet = { 'grpc.enable_retries': 0, 'grpc.service_config_disable_resolution': 1 };

function unary(client: Client, request: string, { signal, remaining, headers }: Call): Promise<string> {
  return new Promise((resolve, reject) => {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    const options = { deadline: Date.now() + remaining() };
    const rpc = client.makeUnaryRequest(definition.path, bytes, bytes, Buffer.from(request), metadata, options, (error, answer) => {
      signal.removeEventListener('abort', cancel);
      if (error !== null) reject(error);
      else resolve(String(answer));
    });
    const cancel = (): void => rpc.cancel();
    signal.addEventListener('abort', cancel);
  });
}

/** Fails so often, then answers. */
function flaky(code: status, times: number, trailing?: Metadata): Handle & { calls: number } {
  const handle: Handle & { calls: number } = Object.assign(
    (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>): void => {
      if (++handle.calls <= times) answer({ code, details: 'no', ...(trailing && { metadata: trailing }) });
      else answer(null, Buffer.from(`${String(call.request)}: 7`));
    },
    { calls: 0 },
  );
  return handle;
}

/** A service config that asks the channel to retry. */
const eager = {
  'grpc.service_config': JSON.stringify({
    methodConfig: [
      {
        name: [{ service: 'shop.Stock' }],
        retryPolicy: {
          maxAttempts: 3,
          initialBackoff: '0.001s',
          maxBackoff: '0.01s',
          backoffMultiplier: 1,
          retryableStatusCodes: ['UNAVAILABLE'],
        },
      },
    ],
  }),
};

describe('retries', () => {
  test('trap: retries of the channel multiply those of the pipeline', async () => {
    const service = flaky(status.UNAVAILABLE, 100);
    const client = await serve(service, eager);
    const p = pipeline([retry({ maxAttempts: 3, backoff: { delay: 1 } })]);
    await expect(p.execute((call) => unary(client, 'anchor', call))).rejects.toMatchObject({ code: status.UNAVAILABLE });
    expect(service.calls).toBe(9);
  });

  test('with the channel told not to, three attempts are three', async () => {
    const service = flaky(status.UNAVAILABLE, 100);
    const client = await serve(service, { ...eager, ...quiet });
    const p = pipeline([retry({ maxAttempts: 3, backoff: { delay: 1 } })]);
    await expect(p.execute((call) => unary(client, 'anchor', call))).rejects.toMatchObject({ code: status.UNAVAILABLE });
    expect(service.calls).toBe(3);
  });

  test.each([
    [status.UNAVAILABLE, 2],
    [status.RESOURCE_EXHAUSTED, 2],
    [status.ABORTED, 2],
    [status.NOT_FOUND, 1],
    [status.INVALID_ARGUMENT, 1],
    [status.PERMISSION_DENIED, 1],
  ])('after status %i there are %i calls', async (code, calls) => {
    const service = flaky(code, 1);
    const client = await serve(service);
    const p = pipeline([retry({ maxAttempts: 3, backoff: { delay: 1 } })]);
    await p.executeOutcome((call) => unary(client, 'anchor', call));
    expect(service.calls).toBe(calls);
  });

  test('a server that pushes back for good is not called again', async () => {
    const trailing = new Metadata();
    trailing.set('grpc-retry-pushback-ms', '-1');
    const service = flaky(status.UNAVAILABLE, 1, trailing);
    const client = await serve(service);
    const p = pipeline([retry({ maxAttempts: 3, backoff: { delay: 1 } })]);
    await p.executeOutcome((call) => unary(client, 'anchor', call));
    expect(service.calls).toBe(1);
  });
});

test('answers of a service that works open no circuit, and being away does', async () => {
  const breaker = circuitBreaker({ consecutiveFailures: 2 });
  const p = pipeline([breaker]);
  const missing = await serve(flaky(status.NOT_FOUND, 100));
  for (let i = 0; i < 3; i++) await p.executeOutcome((call) => unary(missing, 'anchor', call));
  expect(breaker.state).toBe('closed');
  const away = await serve(flaky(status.UNAVAILABLE, 100));
  for (let i = 0; i < 2; i++) await p.executeOutcome((call) => unary(away, 'anchor', call));
  expect(breaker.state).toBe('open');
});

test('the server is told how much time there is, and that nobody waits any more', async () => {
  const left: number[] = [];
  const cancelled = latch();
  const client = await serve((call) => {
    left.push(new Date(call.getDeadline()).getTime() - Date.now());
    call.on('cancelled', () => cancelled.open());
  });
  const slots = bulkhead({ maxConcurrent: 1 });
  const p = pipeline([slots, timeout({ after: 300 })]);
  // Whose clock rings first, the channel's or ours, is a matter of microseconds.
  const outcome = await p.executeOutcome((call) => unary(client, 'anchor', call));
  expect([status.DEADLINE_EXCEEDED, 'ERR_TIMEOUT']).toContain(outcome.ok || (outcome.error as { code: unknown }).code);
  await cancelled.opened;
  expect(left[0]).toBeGreaterThan(0);
  expect(left[0]).toBeLessThanOrEqual(301);
  await expect.poll(() => slots.active).toBe(0);
});

test('a caller who leaves cancels the call', async () => {
  const arrived = latch();
  const cancelled = latch();
  const client = await serve((call) => {
    call.on('cancelled', () => cancelled.open());
    arrived.open();
  });
  const leaving = new AbortController();
  const p = pipeline([retry({ maxAttempts: 3 })]);
  const answer = p.executeOutcome((call) => unary(client, 'anchor', call), { signal: leaving.signal });
  await arrived.opened;
  leaving.abort(new Error('gone'));
  expect(await answer).toMatchObject({ ok: false, error: { message: 'gone' } });
  await cancelled.opened;
});
