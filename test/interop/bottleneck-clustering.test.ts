import { EventEmitter } from 'node:events';
import Bottleneck from 'bottleneck';
import { pipeline } from 'breakwater';
import { bottleneckLimiter } from 'breakwater/bottleneck';
import { expect, test } from 'vitest';

/** What was done to Redis: commands with their arguments. */
type Log = (readonly [command: string, ...args: unknown[]])[];

/** What a script of bottleneck answers with, by its name. */
type Answers = Readonly<Record<string, (...args: readonly unknown[]) => unknown>>;

/** Answers of a limiter that always has room. */
const roomy: Answers = {
  init: () => [],
  settings: () => [],
  register_client: () => 1,
  submit: () => [false, false, 1],
  register: () => [true, 0, null],
  free: () => 0,
};

/** Stands in for the ioredis library: a client that is ready, takes scripts by name and answers them from a table. */
function redisOf(answers: Answers, log: Log, made: object[] = []): new (options: object) => EventEmitter {
  return class Client extends EventEmitter {
    readonly status = 'ready';
    readonly options: object;

    constructor(options: object) {
      super();
      this.options = options;
      made.push(options);
    }

    duplicate(): Client {
      return new Client(this.options);
    }

    defineCommand(name: string): void {
      Object.assign(this, {
        [name]: (...args: unknown[]): void => {
          const done = args.pop() as (error: unknown, reply?: unknown) => void;
          log.push([name, ...args]);
          try {
            done(null, answers[name]?.(...args));
          } catch (error) {
            done(error);
          }
        },
      });
    }

    subscribe(channel: string, done: () => void): void {
      log.push(['subscribe', channel]);
      done();
    }

    quit(): Promise<void> {
      log.push(['quit']);
      return Promise.resolve();
    }

    disconnect(): void {
      log.push(['disconnect']);
    }
  };
}

test('options of clustering reach the client as they are, and calls go through its scripts', async () => {
  const log: Log = [];
  const made: object[] = [];
  const clientOptions = { host: 'redis.example', password: 'secret' };
  const limiter = bottleneckLimiter({
    datastore: 'ioredis',
    Redis: redisOf(roomy, log, made),
    clientOptions,
    clearDatastore: true,
    id: 'mails',
    maxConcurrent: 5,
    clientTimeout: '20s',
    timeout: '1m',
    heartbeatInterval: '5s',
  });
  expect(await pipeline([limiter]).execute(() => 'sent', { cost: 2 })).toBe('sent');
  await new Promise((resolve) => limiter.limiter.once('idle', () => resolve(undefined)));
  expect(made).toEqual([clientOptions, clientOptions]);
  const names = log.map(([name]) => name);
  expect(names).toEqual(expect.arrayContaining(['init', 'subscribe', 'submit', 'register', 'free']));
  const init = log.find(([name]) => name === 'init')?.map(String) ?? [];
  expect(init).toEqual(expect.arrayContaining(['maxConcurrent', '5', 'clientTimeout', '20000', 'groupTimeout', '60000']));
  expect(init).toContain('b_mails_settings');
  expect(
    log
      .find(([name]) => name === 'submit')
      ?.slice(-2)
      .map(String),
  ).toEqual(['0', '2']);
  expect(limiter.snapshot()).toMatchObject({ active: 0, maxConcurrent: 5 });
  expect(JSON.stringify(limiter.describe())).not.toContain('secret');
  await limiter.disconnect(false);
  expect(log.at(-1)).toEqual(['disconnect']);
});

test('a connection of yours is used, and shared', async () => {
  const log: Log = [];
  const connection = new Bottleneck.IORedisConnection({ Redis: redisOf(roomy, log) });
  const api = pipeline([bottleneckLimiter({ connection, id: 'one' }), bottleneckLimiter({ connection, id: 'two', name: 'two' })]);
  expect(await api.execute(() => 'through both')).toBe('through both');
  expect(log.filter(([name]) => name === 'subscribe').map(([, channel]) => String(channel))).toEqual(
    expect.arrayContaining(['b_one', 'b_two']),
  );
  await connection.disconnect();
});

test('what Redis says of a job is said of the call: dropped, too heavy, and a store that failed', async () => {
  const down = new Error('READONLY');
  const cases = [
    [() => [true, false, 2], { code: 'ERR_BULKHEAD_FULL' }],
    [() => [true, true, 3], { code: 'ERR_BULKHEAD_FULL' }],
    [() => raise(new Error('OVERWEIGHT:7:5')), { code: 'ERR_BULKHEAD_FULL' }],
    [() => raise(down), { code: 'ERR_STORE', cause: down }],
  ] as const;
  for (const [submit, expected] of cases) {
    const Redis = redisOf({ ...roomy, submit }, []);
    const limiter = bottleneckLimiter({ datastore: 'ioredis', Redis, maxConcurrent: 5 });
    expect(await pipeline([limiter]).executeOutcome(() => 'ran')).toMatchObject({ ok: false, error: expected });
    await limiter.disconnect();
  }
});

test('a store that fails at the start is told to each call, and is no unhandled rejection', async () => {
  const down = new Error('NOSCRIPT');
  const limiter = bottleneckLimiter({ datastore: 'ioredis', Redis: redisOf({ ...roomy, init: () => raise(down) }, []) });
  for (let i = 0; i < 2; i++)
    expect(await pipeline([limiter]).executeOutcome(() => 'ran')).toMatchObject({ ok: false, error: { code: 'ERR_STORE', cause: down } });
  await limiter.disconnect();
});

test('errors of the client are told as events of the limiter', async () => {
  const limiter = bottleneckLimiter({ datastore: 'ioredis', Redis: redisOf(roomy, []) });
  const api = pipeline([limiter]);
  const told = new Promise((resolve) => api.on('bottleneck.failed', ({ error }) => resolve(error)));
  await api.execute(() => 1);
  const { client } = limiter.limiter.clients() as { client: EventEmitter };
  const lost = new Error('ECONNRESET');
  client.emit('error', lost);
  expect(await told).toBe(lost);
  await limiter.disconnect();
});

test('a group in a cluster keeps the names of its keys', async () => {
  const log: Log = [];
  const group = new Bottleneck.Group({ datastore: 'ioredis', Redis: redisOf(roomy, log), id: 'tenants' });
  const api = pipeline([bottleneckLimiter(group)]);
  for (const key of ['ada', 'constructor']) expect(await api.execute(() => key, { key })).toBe(key);
  const channels = log.filter(([name]) => name === 'subscribe').map(([, channel]) => channel);
  expect(channels).toEqual(expect.arrayContaining(['b_tenants-ada', 'b_tenants-constructor']));
  await group.disconnect();
});

function raise(error: Error): never {
  throw error;
}
