/** docs/how-to/guard-postgres.md against a real Postgres: in process, behind a socket. */

import { once } from 'node:events';
import { type AddressInfo, createServer, connect as netConnect } from 'node:net';
import { PGlite } from '@electric-sql/pglite';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';
import { type Classifier, bulkhead, circuitBreaker, pipeline, retry, timeout } from 'breakwater';
import { Pool, type PoolClient } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';

const database = { port: 0, close: async (): Promise<void> => {} };

beforeAll(async () => {
  const db = await PGlite.create();
  const server = new PGLiteSocketServer({ db, port: 0, host: '127.0.0.1', maxConnections: 20 });
  await server.start();
  database.port = Number(server.getServerConn().split(':').at(-1));
  database.close = async () => {
    await server.stop();
    await db.close();
  };
}, 60_000);
afterAll(() => database.close());

function connect(max: number, more: { readonly port?: number; readonly query_timeout?: number } = {}): Pool {
  const pool = new Pool({ host: '127.0.0.1', port: database.port, user: 'postgres', database: 'postgres', max, ...more });
  pool.on('error', () => undefined);
  onTestFinished(() => pool.end());
  return pool;
}

/** A line to a server that can fall silent in both directions. */
async function wire(port: number): Promise<{ readonly port: number; cut(): void }> {
  let open = true;
  const proxy = createServer((near) => {
    const far = netConnect(port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (bytes) => open && to.write(bytes));
      from.on('close', () => to.destroy());
      from.on('error', () => undefined);
    }
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  onTestFinished(() => void proxy.close());
  return { port: (proxy.address() as AddressInfo).port, cut: () => (open = false) };
}

// What the page says.
const conflicts: ReadonlySet<unknown> = new Set(['40001', '40P01']);
const codeOf = (error: unknown): unknown => (Object(error) as { readonly code?: unknown }).code;
const classify: Classifier = (outcome) => {
  const code = outcome.ok ? undefined : codeOf(outcome.error);
  return typeof code === 'string' && /^(22|23|40|42)[0-9A-Z]{3}$/.test(code) ? 'success' : undefined;
};

async function transaction<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let unfit: boolean | Error = true;
  try {
    await client.query('begin isolation level serializable');
    const result = await work(client);
    await client.query('commit');
    unfit = false;
    return result;
  } catch (error) {
    await client.query('rollback').then(
      () => (unfit = false),
      () => undefined,
    );
    throw error;
  } finally {
    client.release(unfit);
  }
}

describe('queries', () => {
  test('trap: the wait for a pooled connection is the real queue; a bulkhead of the same size keeps it empty', async () => {
    const pool = connect(2);
    const slots = bulkhead({ maxConcurrent: 2, maxQueue: 100 });
    const queries = pipeline([slots]);
    let deepest = 0;
    const watched = (): Promise<unknown> => {
      const done = pool.query('select 1');
      deepest = Math.max(deepest, pool.waitingCount);
      return done;
    };
    await Promise.all(Array.from({ length: 40 }, watched));
    const without = deepest;
    deepest = 0;
    await Promise.all(Array.from({ length: 40 }, () => queries.execute(watched)));
    // The pool lets even those wait for one tick whose connection is free.
    expect([without, deepest <= 2, slots.active]).toEqual([38, true, 0]);
  });

  test('a query that timed out holds its slot until it has really ended', async () => {
    const line = await wire(database.port);
    const pool = connect(2, { port: line.port, query_timeout: 120 });
    await pool.query('select 1');
    const slots = bulkhead({ maxConcurrent: 1 });
    const queries = pipeline([slots, timeout({ after: 30 })]);
    line.cut();
    expect(await queries.executeOutcome(() => pool.query('select 1'))).toMatchObject({ ok: false, error: { code: 'ERR_TIMEOUT' } });
    expect(slots.active).toBe(1);
    expect(await queries.executeOutcome(() => pool.query('select 1'))).toMatchObject({ ok: false, error: { code: 'ERR_BULKHEAD_FULL' } });
    await expect.poll(() => slots.active).toBe(0);
  });

  test('mistakes in statements and data reach the caller and open no circuit', async () => {
    const pool = connect(2);
    const breaker = circuitBreaker({ consecutiveFailures: 1 });
    const queries = pipeline([breaker, timeout({ after: 5000 })], { classify });
    await expect(queries.execute(() => pool.query('selekt 1'))).rejects.toMatchObject({ code: '42601' });
    await expect(queries.execute(() => pool.query("select 'x'::int"))).rejects.toMatchObject({ code: '22P02' });
    expect(breaker.state).toBe('closed');
    await expect(queries.execute(() => pool.query("do $$ begin raise 'full' using errcode = '53300'; end $$"))).rejects.toMatchObject({
      code: '53300',
    });
    expect(breaker.state).toBe('open');
  });
});

describe('transactions', () => {
  let pool: Pool;

  beforeEach(async () => {
    pool = connect(4);
    await pool.query(
      'drop table if exists accounts; drop table if exists tries; create table accounts (id int primary key, balance int check (balance >= 0))',
    );
    await pool.query('insert into accounts values (1, 100), (2, 0)');
    await pool.query('create table tries (n int)');
    await pool.query('drop sequence if exists attempts; create sequence attempts');
  });

  /** Fails with this code until the given attempt; a sequence does not roll back, and so counts attempts. */
  const trouble = (client: PoolClient, code: string, until: number): Promise<unknown> =>
    client.query(`do $$ begin if nextval('attempts') < ${until} then raise 'in the way' using errcode = '${code}'; end if; end $$`);

  const guarded = () => {
    const slots = bulkhead({ maxConcurrent: 4, maxQueue: 50 });
    const when = (outcome: { ok: boolean; error?: unknown }): boolean => !outcome.ok && conflicts.has(codeOf(outcome.error));
    return Object.assign(pipeline([retry({ maxAttempts: 4, backoff: { delay: 1 }, when, budget: false }), slots]), { slots });
  };

  const move = async (client: PoolClient, code: string, until: number): Promise<string> => {
    await client.query('update accounts set balance = balance - 10 where id = 1');
    await trouble(client, code, until);
    await client.query('update accounts set balance = balance + 10 where id = 2');
    return 'moved';
  };

  const balances = async (): Promise<unknown> =>
    (await pool.query('select balance from accounts order by id')).rows.map(({ balance }) => balance as unknown);

  test.each(['40001', '40P01'])('one that is told %s runs again from its beginning, and is done once', async (code) => {
    const p = guarded();
    expect(await p.execute(() => transaction(pool, (client) => move(client, code, 3)))).toBe('moved');
    expect(await balances()).toEqual([90, 10]);
    expect((await pool.query('select last_value::int as n from attempts')).rows).toEqual([{ n: 3 }]);
  });

  test.each(['23505', '57014', '08006', 'P0001'])('one that fails with %s is not run again', async (code) => {
    const p = guarded();
    await expect(p.execute(() => transaction(pool, (client) => move(client, code, 3)))).rejects.toMatchObject({ code });
    expect(await balances()).toEqual([100, 0]);
    expect((await pool.query('select last_value::int as n from attempts')).rows).toEqual([{ n: 1 }]);
  });

  test('trap: a statement that is tried again within its transaction finds that the transaction has ended', async () => {
    await expect(
      transaction(pool, async (client) => {
        await trouble(client, '40001', 3).catch(() => undefined);
        await client.query('select 1');
      }),
    ).rejects.toMatchObject({ code: '25P02' });
  });

  test('conflicts that do not pass are given up, and every connection is back in the pool', async () => {
    const p = guarded();
    await expect(p.execute(() => transaction(pool, (client) => move(client, '40001', 99)))).rejects.toMatchObject({ code: '40001' });
    expect(p.slots.active).toBe(0);
    expect([pool.waitingCount, pool.totalCount - pool.idleCount]).toEqual([0, 0]);
    expect(await balances()).toEqual([100, 0]);
  });
});
