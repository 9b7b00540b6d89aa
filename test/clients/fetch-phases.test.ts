import { ShutdownError, TimeoutError, bulkhead, circuitBreaker, hedge, pipeline, retry, timeout } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { type FetchOptions, type Guarding, PhaseTimeoutError, wrapFetch } from 'breakwater/fetch';
import { describe, expect, test, vi } from 'vitest';
import { books } from '../http/serving.ts';

const url = 'https://api.example/things';
const chunk = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A response whose body the test writes. It does not heed signals: what ends it is our doing. */
function writable(status = 200): {
  response: Response;
  write: (text: string) => void;
  end: () => void;
  fail: (error: unknown) => void;
  cancelled: unknown[];
} {
  let controller!: ReadableStreamDefaultController;
  const cancelled: unknown[] = [];
  const body = new ReadableStream({ start: (own) => void (controller = own), cancel: (reason) => void cancelled.push(reason) });
  return {
    response: new Response(body, { status }),
    write: (text) => controller.enqueue(chunk(text)),
    end: () => controller.close(),
    fail: (error) => controller.error(error),
    cancelled,
  };
}

interface Bench {
  readonly clock: VirtualClock;
  readonly kept: ReturnType<typeof books>;
  readonly guarded: ReturnType<typeof wrapFetch>;
}

function bench(policies: Guarding & readonly unknown[], options: FetchOptions): Bench {
  const clock = new VirtualClock();
  const kept = books();
  return { clock, kept, guarded: wrapFetch(pipeline([...policies, kept.policy] as never, { clock }), options) };
}

describe('what policies hold, they hold until the body is over', () => {
  test('read to its end', async () => {
    const { response, write, end } = writable();
    const { kept, guarded, clock } = bench([], { fetch: async () => response });
    const answer = await guarded(url);
    expect([kept.verdicts, guarded.pipeline.snapshot().active]).toEqual([[], 1]);
    const text = answer.text();
    write('half ');
    await clock.advance(1000);
    write('whole');
    end();
    expect(await text).toBe('half whole');
    expect([kept.verdicts, guarded.pipeline.snapshot().active, clock.pending]).toEqual([['success'], 0, 0]);
  });

  test('cancelled by whoever got it', async () => {
    const { response, cancelled } = writable();
    const { kept, guarded } = bench([], { fetch: async () => response });
    const answer = await guarded(url);
    await answer.body?.cancel('enough');
    expect([kept.verdicts, cancelled]).toEqual([['success'], ['enough']]);
  });

  test('broken off: that is a failure, and not tried again, for the caller has the response', async () => {
    const { response, write, fail } = writable();
    const fetch = vi.fn(async () => response);
    const { kept, guarded } = bench([retry({ backoff: { delay: 0 } })], { fetch });
    const answer = await guarded(url);
    write('half');
    const error = new TypeError('terminated');
    const text = answer.text();
    fail(error);
    await expect(text).rejects.toBe(error);
    expect([kept.verdicts, kept.errors, fetch.mock.calls.length]).toEqual([['failure'], [error], 1]);
  });

  test('a circuit opens for bodies that break off, though every head was a 200', async () => {
    const circuit = circuitBreaker({ consecutiveFailures: 2 });
    const guarded = wrapFetch([circuit], {
      fetch: async () => {
        const { response, fail } = writable();
        fail(new TypeError('terminated'));
        return response;
      },
    });
    for (let i = 0; i < 2; i++) await expect((await guarded(url)).json()).rejects.toThrow('terminated');
    await expect(guarded(url)).rejects.toMatchObject({ code: 'ERR_CIRCUIT_OPEN' });
  });

  test('none at all: a response without a body is over at once', async () => {
    for (const status of [204, 205, 304]) {
      const { kept, guarded } = bench([], { fetch: async () => new Response(null, { status }) });
      expect((await guarded(url)).status).toBe(status);
      expect([kept.verdicts, guarded.pipeline.snapshot().active]).toEqual([['success'], 0]);
    }
  });

  test('an empty one is over when it is read', async () => {
    const { kept, guarded } = bench([], { fetch: async () => new Response('') });
    expect(await (await guarded(url)).text()).toBe('');
    expect(kept.verdicts).toEqual(['success']);
  });

  test('a slot is held as long, for each key', async () => {
    const slots = bulkhead({ maxConcurrent: 1 });
    const guarded = wrapFetch([slots], { fetch: async () => new Response('body') });
    const answer = await guarded(url);
    await expect(guarded(url)).rejects.toMatchObject({ code: 'ERR_BULKHEAD_FULL' });
    await answer.text();
    expect(await (await guarded(url)).text()).toBe('body');
  });

  test('of hedges only the winner is waited for, and the loser is let go', async () => {
    const clock = new VirtualClock();
    const slots = bulkhead({ maxConcurrent: 10 });
    const { response, end } = writable();
    let calls = 0;
    const guarded = wrapFetch(pipeline([hedge({ delay: 100 }), slots], { clock }), {
      fetch: (_, init) =>
        ++calls === 1
          ? new Promise((_resolve, reject) => init?.signal?.addEventListener('abort', () => reject(init.signal?.reason as Error)))
          : Promise.resolve(response),
    });
    const answering = guarded(url);
    await clock.advance(100);
    const answer = await answering;
    await clock.advance(0);
    expect([calls, slots.active]).toEqual([2, 1]);
    const text = answer.text();
    end();
    await text;
    expect([slots.active, guarded.pipeline.snapshot().active]).toEqual([0, 0]);
  });
});

describe('phases', () => {
  test('no head of an answer in time: each attempt has its own, and the error names the phase', async () => {
    const signals: AbortSignal[] = [];
    const fetch: NonNullable<FetchOptions['fetch']> = (_, init) => {
      signals.push(init?.signal as AbortSignal);
      return new Promise(() => undefined);
    };
    const { clock, guarded } = bench([retry({ maxAttempts: 2, backoff: { delay: 50, jitter: 'none' } })], {
      fetch,
      phases: { headers: '1s' },
    });
    const answer = guarded(url).catch((error: unknown) => error);
    await clock.advance(1000);
    expect([signals.length, signals[0]?.aborted]).toEqual([1, true]);
    await clock.advance(1050);
    const error = (await answer) as PhaseTimeoutError;
    expect(error).toBeInstanceOf(PhaseTimeoutError);
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({ code: 'ERR_TIMEOUT', phase: 'headers', after: 1000, started: true, pipeline: 'pipeline' });
    expect(error.message).toBe('pipeline: no answer within 1000 ms (phases.headers)');
    expect(signals[1]?.reason).toBe(error);
    expect(clock.pending).toBe(0);
  });

  test('the body may take as long as it likes, while something comes', async () => {
    const { response, write, end } = writable();
    const { clock, guarded, kept } = bench([timeout({ after: 500 })], {
      fetch: async () => response,
      phases: { bodyIdle: '1s', headers: 300 },
    });
    const text = (await guarded(url)).text();
    for (let i = 0; i < 10; i++) {
      await clock.advance(900);
      write(String(i));
    }
    end();
    expect(await text).toBe('0123456789');
    expect([kept.verdicts, clock.pending]).toEqual([['success'], 0]);
  });

  test('nothing more of the body in time', async () => {
    const { response, write, cancelled } = writable();
    const { clock, guarded, kept } = bench([], { fetch: async () => response, phases: { bodyIdle: '1s' } });
    const text = (await guarded(url)).text().catch((error: unknown) => error);
    write('half');
    await clock.advance(999);
    expect(kept.verdicts).toEqual([]);
    await clock.advance(1);
    const error = await text;
    expect(error).toMatchObject({ code: 'ERR_TIMEOUT', phase: 'body-idle', after: 1000 });
    expect([kept.errors, cancelled, guarded.pipeline.snapshot().active]).toEqual([[error], [error], 0]);
  });

  test('a body that nobody reads gives back its slot in time, and can be read later', async () => {
    const { response, write, end } = writable();
    const { clock, guarded, kept } = bench([], { fetch: async () => response, phases: { bodyIdle: '1s' } });
    const answer = await guarded(url);
    await clock.advance(1000);
    expect([kept.verdicts, guarded.pipeline.snapshot().active]).toEqual([['success'], 0]);
    write('late');
    end();
    expect(await answer.text()).toBe('late');
    expect([kept.verdicts, clock.pending]).toEqual([['success'], 0]);
  });

  test('one that is read later has the same time between two chunks, and heeds the same signal', async () => {
    for (const ending of ['idle', 'abort'] as const) {
      const { response } = writable();
      const controller = new AbortController();
      const { clock, guarded } = bench([], { fetch: async () => response, phases: { bodyIdle: '1s' } });
      const answer = await guarded(url, { signal: controller.signal });
      await clock.advance(5000);
      const text = answer.text().catch((error: unknown) => error);
      if (ending === 'abort') controller.abort('enough');
      await clock.advance(1000);
      expect(await text).toEqual(ending === 'abort' ? 'enough' : expect.objectContaining({ phase: 'body-idle' }));
    }
  });

  test('the deadline and phases.total cover the body', async () => {
    for (const [options, own] of [
      [{ deadline: '2s' }, undefined],
      [{}, '2s'],
      [{ phases: { total: '2s' } }, '5s'],
      [{ phases: { total: '5s' } }, '2s'],
    ] as const) {
      const { response, write } = writable();
      const { clock, guarded, kept } = bench([], { ...options, fetch: async () => response });
      const text = (await guarded(url, { breakwater: { deadline: own } })).text().catch((error: unknown) => error);
      write('half');
      await clock.advance(1999);
      expect(kept.verdicts).toEqual([]);
      await clock.advance(1);
      expect(await text).toMatchObject({ code: 'ERR_TIMEOUT', after: 2000 });
      expect([kept.verdicts, clock.pending]).toEqual([['failure'], 0]);
    }
  });

  test('the deadline reaches the body of a later attempt, too', async () => {
    const { response } = writable();
    const answers = [new Response('', { status: 503 }), response];
    const { clock, guarded } = bench(
      [timeout({ after: '30s' }), retry({ backoff: { delay: 0, jitter: 'none' } }), timeout({ after: 100 })],
      {
        fetch: async () => answers.shift() as Response,
      },
    );
    const answering = guarded(url, { breakwater: { deadline: '2s' } });
    await clock.advance(0);
    const text = (await answering).text().catch((error: unknown) => error);
    await clock.advance(2000);
    expect(await text).toMatchObject({ code: 'ERR_TIMEOUT', after: 2000 });
    expect(clock.pending).toBe(0);
  });
});

describe("the caller's abort", () => {
  const reason = { my: 'reason' };

  test('before anything is sent', async () => {
    const fetch = vi.fn();
    await expect(wrapFetch([retry()], { fetch })(url, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(fetch).not.toHaveBeenCalled();
  });

  test('before the head of the answer is there, in the signal of the request as well', async () => {
    for (const within of ['init', 'request'] as const) {
      const controller = new AbortController();
      let seen: AbortSignal | undefined;
      const { guarded, kept } = bench([retry()], {
        fetch: (_, init) => {
          seen = init?.signal as AbortSignal;
          return new Promise(() => undefined);
        },
      });
      const { signal } = controller;
      const answer = within === 'init' ? guarded(url, { signal }) : guarded(new Request(url, { signal }));
      controller.abort(reason);
      await expect(answer).rejects.toBe(reason);
      expect([seen?.reason, kept.verdicts]).toEqual([reason, ['ignored']]);
    }
  });

  test('between two attempts', async () => {
    const controller = new AbortController();
    const { clock, guarded } = bench([retry({ backoff: { delay: 1000, jitter: 'none' } })], {
      fetch: async () => new Response('', { status: 503 }),
    });
    const answer = guarded(url, { signal: controller.signal });
    await clock.advance(500);
    controller.abort(reason);
    await expect(answer).rejects.toBe(reason);
    expect(clock.pending).toBe(0);
  });

  test('while the body is read: nobody failed', async () => {
    const controller = new AbortController();
    const { response, write, cancelled } = writable();
    const { guarded, kept } = bench([], { fetch: async () => response });
    const text = (await guarded(url, { signal: controller.signal })).text();
    write('half');
    controller.abort(reason);
    await expect(text).rejects.toBe(reason);
    expect([kept.verdicts, cancelled]).toEqual([['ignored'], [reason]]);
  });

  test('after the body was read nothing is left of it on the signal', async () => {
    const { signal } = new AbortController();
    const adds = vi.spyOn(signal, 'addEventListener');
    const removes = vi.spyOn(signal, 'removeEventListener');
    const guarded = wrapFetch([retry()], { fetch: async () => new Response('body') });
    await (await guarded(url, { signal })).text();
    expect(removes.mock.calls.length).toBeGreaterThanOrEqual(adds.mock.calls.length);
    expect(adds).toHaveBeenCalled();
  });

  test('a request with signal: null is not aborted by the signal of the request it is made of', async () => {
    const request = new Request(url, { signal: AbortSignal.abort(reason) });
    const guarded = wrapFetch([], { fetch: async () => new Response('body') });
    expect(await (await guarded(request, { signal: null })).text()).toBe('body');
  });
});

describe('the end of the pipeline', () => {
  test('waits for bodies as long as it drains, and cuts those that are left', async () => {
    const { response } = writable();
    const { clock, guarded } = bench([], { fetch: async () => response });
    const text = (await guarded(url)).text().catch((error: unknown) => error);
    const closing = guarded.pipeline.close({ drain: '1s' });
    await clock.advance(1000);
    await closing;
    expect(await text).toBeInstanceOf(ShutdownError);
    expect(guarded.pipeline.snapshot().active).toBe(0);
  });
});

describe('a response that is passed on', () => {
  const native = (): Response => {
    const response = new Response('{"a":1}', {
      status: 201,
      statusText: 'Made',
      headers: { 'content-type': 'application/json', 'x-a': 'b' },
    });
    return Object.defineProperties(response, { url: { value: `${url}/1` }, redirected: { value: true }, type: { value: 'basic' } });
  };
  const guarded = wrapFetch([], { fetch: async () => native() });

  test('is one, and says of itself what the transport said', async () => {
    const answer = await guarded(url);
    expect(answer).toBeInstanceOf(Response);
    const { status, statusText, ok, url: from, redirected, type, bodyUsed } = answer;
    expect({ status, statusText, ok, from, redirected, type, bodyUsed }).toEqual({
      status: 201,
      statusText: 'Made',
      ok: true,
      from: `${url}/1`,
      redirected: true,
      type: 'basic',
      bodyUsed: false,
    });
    expect([...answer.headers]).toEqual([...native().headers]);
    expect(Object.prototype.toString.call(answer)).toBe('[object Response]');
  });

  test('has no stream of ours where it is read as a whole, and one where somebody asks for it', async () => {
    const answer = await guarded(url);
    const { body } = answer;
    expect(answer.body).toBe(body);
    expect([body?.locked, answer.bodyUsed]).toEqual([false, false]);
    expect([await answer.text(), answer.bodyUsed]).toEqual(['{"a":1}', true]);
    const whole = await guarded(url);
    const text = whole.text();
    expect([whole.bodyUsed, whole.body?.locked]).toEqual([true, true]);
    expect(await text).toBe('{"a":1}');
    await expect(whole.json()).rejects.toThrow(TypeError);
  });

  test('gives up the byte order mark, as fetch does', async () => {
    const marked = wrapFetch([], { fetch: async () => new Response(new Uint8Array([0xef, 0xbb, 0xbf, 0x37])) });
    expect(await (await marked(url)).text()).toBe('7');
    expect(await (await marked(url)).json()).toBe(7);
  });

  test('can be read in every way, once', async () => {
    expect(await (await guarded(url)).json()).toEqual({ a: 1 });
    expect((await (await guarded(url)).arrayBuffer()).byteLength).toBe(7);
    expect((await (await guarded(url)).blob()).type).toBe('application/json');
    const answer = await guarded(url);
    await answer.text();
    expect(answer.bodyUsed).toBe(true);
    await expect(answer.text()).rejects.toThrow(TypeError);
    const reader = ((await guarded(url)).body as ReadableStream).getReader({ mode: 'byob' });
    const { value } = await reader.read(new Uint8Array(3));
    expect(new TextDecoder().decode(value)).toBe('{"a');
  });

  test('can be cloned: what is held is given back when both have been read', async () => {
    const slots = bulkhead({ maxConcurrent: 1 });
    const answer = await wrapFetch([slots], { fetch: async () => native() })(url);
    const copy = answer.clone();
    expect([copy.url, copy.redirected, copy.status, copy.clone().url]).toEqual([answer.url, true, 201, answer.url]);
    expect([copy.clone().clone().type, await copy.json(), answer.bodyUsed]).toEqual(['basic', { a: 1 }, false]);
    expect([await answer.json(), answer.bodyUsed]).toEqual([{ a: 1 }, true]);
    expect(() => answer.clone()).toThrow(TypeError);
    expect(slots.active).toBe(0);
  });
});
