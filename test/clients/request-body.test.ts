import { once } from 'node:events';
import { Readable } from 'node:stream';
import axios from 'axios';
import { TimeoutError, pipeline, retry, timeout } from 'breakwater';
import { adapter } from 'breakwater/axios';
import { wrapFetch } from 'breakwater/fetch';
import { interceptor } from 'breakwater/undici';
import { Agent, request } from 'undici';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { RequestBody } from '../../src/clients/request-body.ts';

/** Nobody is asked anything here: these bodies are never there. */
const url = 'http://127.0.0.1:9/things';
const piece = new TextEncoder().encode('one piece, ');

interface Limits {
  readonly deadline?: number;
  readonly signal?: AbortSignal;
}
type Upload = (body: unknown, limits: Limits) => Promise<unknown>;

const byFetch: Upload = async (body, { deadline, signal }) => {
  const guarded = wrapFetch([retry()], { fetch: async () => new Response('') });
  return await guarded(url, { method: 'PUT', body, duplex: 'half', signal, breakwater: { deadline } } as RequestInit);
};

const byFetchInTotal: Upload = async (body, { deadline = 30_000, signal }) => {
  const guarded = wrapFetch([retry()], { fetch: async () => new Response(''), phases: { total: deadline } });
  return await guarded(url, { method: 'PUT', body, duplex: 'half', signal } as RequestInit);
};

const byUndici: Upload = async (body, { deadline, signal }) => {
  const agent = new Agent();
  onTestFinished(async () => await agent.close());
  const dispatcher = agent.compose(interceptor([retry()]));
  return await request(url, { method: 'PUT', body, dispatcher, signal, breakwater: { deadline } } as Parameters<typeof request>[1]);
};

const byAxios: Upload = async (body, { deadline, signal }) =>
  await axios.put(url, body, { adapter: adapter([retry()]), ...(signal && { signal }), breakwater: { deadline } });

const ways: readonly (readonly [string, Upload])[] = [
  ['fetch', byFetch],
  ['fetch, by phases.total', byFetchInTotal],
  ['undici', byUndici],
  ['axios', byAxios],
];

/** Bodies of which a piece comes, and then nothing more, and how to see that they were let go. */
const bodies: readonly (readonly [string, () => { body: unknown; letGo: Promise<unknown> }])[] = [
  [
    'a web stream',
    () => {
      let body: unknown;
      const letGo = new Promise((resolve) => {
        body = new ReadableStream({ start: (controller) => controller.enqueue(piece), cancel: resolve });
      });
      return { body, letGo };
    },
  ],
  [
    'a Readable',
    () => {
      const body = new Readable({ read: () => undefined });
      body.push(piece);
      return { body, letGo: once(body, 'close') };
    },
  ],
];

/** The iterator of a generator is asked for the next piece, and would answer to nothing before. */
async function* generated(): AsyncGenerator<Uint8Array> {
  yield piece;
  await new Promise(() => undefined);
}

describe.each(ways)('a body that stalls while it is kept: %s', (name, upload) => {
  test.each(bodies)('trap: %s is given up at the deadline', async (_, stalled) => {
    const { body, letGo } = stalled();
    await expect(upload(body, { deadline: 30 })).rejects.toBeInstanceOf(TimeoutError);
    await letGo;
  });

  test.each(bodies)("trap: %s is given up with the caller's abort", async (_, stalled) => {
    const { body, letGo } = stalled();
    const leaving = new AbortController();
    const reply = upload(body, { signal: leaving.signal }).catch((error: unknown) => error);
    const reason = new Error('enough');
    setImmediate(() => leaving.abort(reason));
    const error = await reply;
    expect(name === 'axios' ? axios.isCancel(error) : error === reason).toBe(true);
    await letGo;
  });
});

// axios sends no generators.
describe.each(ways.slice(0, 3))('a generator that stalls while it is kept: %s', (_, upload) => {
  test('trap: holds up nobody', async () => {
    await expect(upload(generated(), { deadline: 30 })).rejects.toBeInstanceOf(TimeoutError);
    const reason = new Error('enough');
    const leaving = new AbortController();
    const reply = upload(generated(), { signal: leaving.signal }).catch((error: unknown) => error);
    setImmediate(() => leaving.abort(reason));
    expect(await reply).toBe(reason);
  });
});

describe('the time it takes to read a body', () => {
  test('is part of the time of the call', async () => {
    const left: number[] = [];
    const fetch = async (_: unknown, init?: RequestInit): Promise<Response> => {
      left.push(Number(new Headers(init?.headers).get('x-request-deadline')));
      return new Response('');
    };
    const guarded = wrapFetch([retry()], { fetch, propagate: true });
    const slow = new Readable({ read: () => undefined });
    setTimeout(() => slow.push(piece) && slow.push(null), 60);
    await guarded(url, { method: 'PUT', body: slow, duplex: 'half', breakwater: { deadline: 5000 } } as unknown as RequestInit);
    expect(left).toHaveLength(1);
    expect(left[0]).toBeGreaterThan(1000);
    expect(left[0]).toBeLessThanOrEqual(4945);
  });

  test('ends with the call in whose work the request is made', async () => {
    const outer = pipeline([timeout({ after: 30 })]);
    await expect(outer.execute(({ signal }) => byFetch(new Readable({ read: () => undefined }), { signal }))).rejects.toMatchObject({
      code: 'ERR_TIMEOUT',
    });
  });

  test('a deadline that is none is refused, and the body let go', async () => {
    const cancel = vi.fn();
    const reply = byFetch(new ReadableStream({ cancel }), { deadline: -1 });
    await expect(reply).rejects.toThrow('deadline');
    expect(cancel).toHaveBeenCalledTimes(1);
  });
});

describe('a body that was given up', () => {
  test('is not waited for: whoever keeps it hears the abort at once', async () => {
    const leaving = new AbortController();
    const kept = new RequestBody(generated(), 1000).keep(leaving.signal);
    setImmediate(() => leaving.abort('enough'));
    await expect(kept).rejects.toBe('enough');
    await expect(new RequestBody(generated(), 1000).keep(leaving.signal)).rejects.toBe('enough');
  });

  test('does not pass for one that is complete, whoever still reads it', async () => {
    const body = new RequestBody(new ReadableStream({ start: (controller) => controller.enqueue(piece) }), 1000);
    const first = (body.open() as ReadableStream).getReader();
    await first.read();
    const next = first.read();
    body.drop('gone');
    await expect(next).rejects.toBe('gone');

    const long = new RequestBody(new ReadableStream({ start: (controller) => controller.enqueue(piece) }), 4);
    const taker = (long.open() as ReadableStream).getReader();
    await taker.read();
    const rest = taker.read();
    await new Promise(setImmediate);
    long.drop('gone');
    await expect(rest).rejects.toBe('gone');
  });

  test("is let go also before anything of it was read, and its own trouble is nobody else's", async () => {
    const closed = vi.fn();
    const untouched = new Readable({
      read: () => undefined,
      destroy: (_, done) => {
        closed();
        done(new Error('cannot be closed'));
      },
    });
    new RequestBody(untouched, 1000).drop('gone');
    await new Promise(setImmediate);
    expect(closed).toHaveBeenCalledTimes(1);
  });
});
