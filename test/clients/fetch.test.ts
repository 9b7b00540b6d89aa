import { once } from 'node:events';
import { Readable } from 'node:stream';
import { bulkhead, circuitBreaker, fallback, pipeline, presets, retry, timeout } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { type GuardedRequestInit, wrapFetch } from 'breakwater/fetch';
import { describe, expect, test, vi } from 'vitest';

type Transport = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

const url = 'https://api.example/things';
const atOnce = { backoff: { delay: 0, jitter: 'none' } } as const;

/** A transport that answers with these, one after another; each request as it would have been sent is kept. */
function answering(...answers: readonly (number | Error | Response)[]): { fetch: Transport; requests: Request[] } {
  const requests: Request[] = [];
  const fetch: Transport = async (input, init) => {
    requests.push(new Request(input, init));
    const answer = answers[Math.min(requests.length, answers.length) - 1] as number | Error | Response;
    if (answer instanceof Error) throw answer;
    return typeof answer === 'number' ? new Response(String(answer), { status: answer }) : answer;
  };
  return { fetch, requests };
}

function networkError(code: string): TypeError {
  return new TypeError('fetch failed', { cause: Object.assign(new Error(code), { code }) });
}

describe('a guarded fetch', () => {
  test('tries again what failed, each time with a new request', async () => {
    const { fetch, requests } = answering(503, networkError('ECONNRESET'), 200);
    const response = await wrapFetch([retry(atOnce)], { fetch })(url, { headers: { accept: 'text/plain' } });
    expect([response.status, await response.text()]).toEqual([200, '200']);
    expect(requests.map(({ url: sent, headers }) => [sent, headers.get('accept')])).toEqual(Array(3).fill([url, 'text/plain']));
    expect(new Set(requests.map(({ signal }) => signal)).size).toBe(3);
  });

  test('takes null for no options, as fetch does', async () => {
    const { fetch, requests } = answering(503, 200);
    const guarded: (input: string, init: null) => Promise<Response> = wrapFetch([retry(atOnce)], { fetch }) as never;
    expect([(await guarded(url, null)).status, requests.length]).toEqual([200, 2]);
  });

  test('answers with the last response when there are no more attempts, as fetch does', async () => {
    const { fetch, requests } = answering(500, 503, 502);
    const response = await wrapFetch([retry(atOnce)], { fetch })(url);
    expect([response.status, response.ok, await response.text(), requests.length]).toEqual([502, false, '502', 3]);
  });

  test('rejects with the very error of the last attempt', async () => {
    const error = networkError('ECONNRESET');
    const { fetch } = answering(error);
    await expect(wrapFetch([retry(atOnce)], { fetch })(url)).rejects.toBe(error);
  });

  test('cancels the bodies of the responses that it throws away', async () => {
    const cancel = vi.fn();
    const discarded = new Response(new ReadableStream({ cancel }), { status: 503 });
    const { fetch } = answering(discarded, 200);
    const response = await wrapFetch([retry(atOnce)], { fetch })(url);
    expect(response.status).toBe(200);
    expect(cancel).toHaveBeenCalledTimes(1);
  });

  test('waits as long as the service asks', async () => {
    const clock = new VirtualClock();
    const { fetch, requests } = answering(new Response('', { status: 429, headers: { 'retry-after': '7' } }), 200);
    const policies = pipeline([retry({ backoff: { delay: 10, jitter: 'none' }, retryAfter: { jitter: 1 } })], { clock });
    const answer = wrapFetch(policies, { fetch })(url);
    await clock.advance(6999);
    expect(requests).toHaveLength(1);
    await clock.advance(1);
    expect((await answer).status).toBe(200);
  });

  test('is guarded by presets.http() unless told otherwise, with a circuit for each origin', async () => {
    const { fetch } = answering(200);
    const guarded = wrapFetch(undefined, { fetch });
    await (await guarded(url)).text();
    await (await guarded('https://other.example/')).text();
    expect(guarded.pipeline.name).toBe('fetch');
    expect(guarded.pipeline.describe().layers.map(({ name }) => name)).toEqual(
      pipeline(presets.http())
        .describe()
        .layers.map(({ name }) => name),
    );
    expect(guarded.pipeline.snapshot().policies).toContainEqual(expect.objectContaining({ name: 'circuit-breaker', size: 2 }));
  });

  test('goes through a pipeline of your own', async () => {
    const own = pipeline([circuitBreaker({ consecutiveFailures: 1 })], { name: 'own' });
    const guarded = wrapFetch(own, { fetch: answering(500).fetch });
    expect(guarded.pipeline).toBe(own);
    await (await guarded(url)).text();
    await expect(guarded(url)).rejects.toMatchObject({ code: 'ERR_CIRCUIT_OPEN', pipeline: 'own' });
  });

  test('looks the global fetch up when a request is made, so that doubles of it are used', async () => {
    const guarded = wrapFetch([]);
    vi.stubGlobal('fetch', answering(202).fetch);
    try {
      expect((await guarded(url)).status).toBe(202);
    } finally {
      vi.unstubAllGlobals();
    }
  });

  test('takes what a test double answers with, even if it is no response', async () => {
    const double = { ok: true, status: 200, json: async () => ({ a: 1 }) };
    const slots = bulkhead({ maxConcurrent: 1 });
    const guarded = wrapFetch([slots], { fetch: async () => double as never });
    expect(await (await guarded(url)).json()).toEqual({ a: 1 });
    expect(slots.active).toBe(0);
  });

  test('answers with what a fallback has', async () => {
    const guarded = wrapFetch([fallback({ run: () => Response.json([]) }), retry(atOnce)], {
      fetch: answering(networkError('ECONNREFUSED')).fetch,
    });
    expect(await (await guarded(url)).json()).toEqual([]);
  });

  test('rejects what fetch rejects, without trying twice', async () => {
    const { fetch, requests } = answering(200);
    const guarded = wrapFetch([retry(atOnce)], { fetch });
    await expect(guarded('/relative')).rejects.toThrow(TypeError);
    await expect(guarded(url, { method: 'GET', body: 'no' })).rejects.toThrow(TypeError);
    await expect(guarded(url, { headers: { 'bad name': 'x' } })).rejects.toThrow(TypeError);
    expect(requests).toHaveLength(0);
  });
});

describe('what may be sent twice', () => {
  const reset = networkError('ECONNRESET');

  test.each([
    ['GET', {}, 2],
    ['PUT', { body: 'x' }, 2],
    ['POST', { body: 'x' }, 1],
    ['POST', { body: 'x', headers: { 'Idempotency-Key': 'k' } }, 2],
    ['POST', { body: 'x', breakwater: { idempotent: true } }, 2],
    ['GET', { breakwater: { idempotent: false } }, 1],
  ] as const)('%s %j: %i', async (method, init, times) => {
    for (const failure of [reset, 503] as const) {
      const { fetch, requests } = answering(failure, 200);
      await wrapFetch(presets.http({ retry: atOnce }), { fetch })(url, { method, ...init }).catch(() => undefined);
      expect(requests).toHaveLength(times);
    }
  });

  test('whatever never reached the service', async () => {
    const { fetch, requests } = answering(networkError('ECONNREFUSED'), 200);
    const response = await wrapFetch(presets.http({ retry: atOnce }), { fetch })(url, { method: 'POST', body: 'x' });
    expect([response.status, requests.length]).toEqual([200, 2]);
  });

  test('a POST whose attempts have one key', async () => {
    const { fetch, requests } = answering(503, 200);
    await wrapFetch(presets.http({ retry: atOnce }), { fetch, idempotencyKey: true })(url, { method: 'POST', body: 'x' });
    const keys = requests.map(({ headers }) => headers.get('idempotency-key'));
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(keys).toEqual([keys[0], keys[0]]);
  });
});

describe('the body of a request is sent whole with every attempt', () => {
  const bytes = new TextEncoder().encode('some body');
  const form = new FormData();
  form.set('a', '1');
  form.set('file', new Blob(['content'], { type: 'text/plain' }), 'f.txt');
  const stream = (): ReadableStream =>
    new ReadableStream({
      start(controller) {
        controller.enqueue(bytes.slice(0, 4));
        controller.enqueue(bytes.slice(4));
        controller.close();
      },
    });
  async function* chunks(): AsyncGenerator<Uint8Array | string> {
    yield bytes.slice(0, 4);
    yield ' body';
  }
  const init = { method: 'PUT', duplex: 'half' } as const;

  test.each<[string, () => [string | Request, GuardedRequestInit?]]>([
    ['a string', () => [url, { ...init, body: 'some body' }]],
    ['bytes', () => [url, { ...init, body: bytes }]],
    ['a buffer', () => [url, { ...init, body: Buffer.from('some body') }]],
    ['a blob', () => [url, { ...init, body: new Blob([bytes]) }]],
    ['a stream', () => [url, { ...init, body: stream() }]],
    ['an async iterable', () => [url, { ...init, body: chunks() as unknown as ReadableStream }]],
    ['a request', () => [new Request(url, { ...init, body: 'some body' })]],
    ['a request with a stream', () => [new Request(url, { ...init, body: stream() })]],
    ['a request with another body', () => [new Request(url, { ...init, body: 'other' }), { body: stream(), duplex: 'half' }]],
  ])('%s', async (_, make) => {
    const { fetch, requests } = answering(503, 502, 200);
    const response = await wrapFetch([retry(atOnce)], { fetch })(...make());
    expect(response.status).toBe(200);
    expect(await Promise.all(requests.map((request) => request.text()))).toEqual(Array(3).fill('some body'));
  });

  test('a form, with the boundary that its fields name (Node 26 keeps one for all attempts, others make one for each)', async () => {
    const { fetch, requests } = answering(503, 200);
    await wrapFetch([retry(atOnce)], { fetch })(url, { method: 'PUT', body: form });
    const boundaries = requests.map(({ headers }) => headers.get('content-type')?.split('boundary=')[1]);
    expect(boundaries).toEqual([expect.stringMatching(/^-+/), expect.stringMatching(/^-+/)]);
    for (const [i, request] of requests.entries()) {
      const sent = await request.text();
      expect(sent).toContain(`${boundaries[i]}\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n`);
      expect(sent).toContain('name="file"; filename="f.txt"\r\nContent-Type: text/plain\r\n\r\ncontent\r\n');
    }
  });

  test('fields that are added leave the type of a body as it is', async () => {
    const { fetch, requests } = answering(200);
    const guarded = wrapFetch([retry({ idempotencyKey: 'x-key' })], { fetch });
    await guarded(url, { method: 'POST', body: new URLSearchParams({ a: '1' }) });
    await guarded(new Request(url, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json', 'x-a': 'b' } }));
    expect(requests.map(({ headers }) => headers.get('content-type'))).toEqual([
      'application/x-www-form-urlencoded;charset=UTF-8',
      'application/json',
    ]);
    expect(requests[1]?.headers.get('x-a')).toBe('b');
    expect(requests.every(({ headers }) => headers.has('x-key'))).toBe(true);
  });

  test("the caller's own request is used as fetch uses it, and not touched if it is refused", async () => {
    const request = new Request(url, { method: 'POST', body: 'x' });
    const circuit = circuitBreaker();
    circuit.isolate();
    await expect(wrapFetch([circuit], { fetch: answering(200).fetch })(request)).rejects.toMatchObject({ code: 'ERR_CIRCUIT_ISOLATED' });
    expect([request.bodyUsed, await request.text()]).toEqual([false, 'x']);
    const plain = new Request(url, { headers: { a: 'b' } });
    await wrapFetch([retry({ idempotencyKey: 'x-key' })], { fetch: answering(200).fetch })(plain);
    expect([...plain.headers]).toEqual([['a', 'b']]);
  });

  test('a stream that is too long to be kept is sent once, and the answer to it stands', async () => {
    for (const answers of [
      [503, 200],
      [networkError('ECONNRESET'), 200],
    ] as const) {
      const sent: string[] = [];
      let next = 0;
      const fetch: Transport = async (input, given) => {
        sent.push(await new Request(input, given).text());
        const answer = answers[next++] as number | Error;
        if (answer instanceof Error) throw answer;
        return new Response('', { status: answer });
      };
      const ended = await wrapFetch([retry(atOnce)], { fetch, maxReplayBytes: 8 })(url, { ...init, body: stream() }).then(
        ({ status }) => status,
        (error: unknown) => error,
      );
      expect(ended).toBe(answers[0]);
      expect(sent).toEqual(['some body']);
    }
  });

  test('one that is just short enough is kept', async () => {
    const { fetch, requests } = answering(503, 200);
    await wrapFetch([retry(atOnce)], { fetch, maxReplayBytes: 9 })(url, { ...init, body: stream() });
    expect(requests).toHaveLength(2);
  });

  test('a long stream of which nothing was sent yet is sent when the service can be reached', async () => {
    const sent: string[] = [];
    let reached = false;
    const fetch: Transport = async (input, given) => {
      if (!reached) {
        reached = true;
        await (given?.body as ReadableStream).cancel();
        throw networkError('ECONNREFUSED');
      }
      sent.push(await new Request(input, given).text());
      return new Response('');
    };
    for (const method of ['PUT', 'POST']) {
      reached = false;
      await wrapFetch([retry(atOnce)], { fetch, maxReplayBytes: 4 })(url, { ...init, method, body: stream() });
    }
    expect(sent).toEqual(['some body', 'some body']);
  });

  test('whoever insists on sending a stream again is told why it cannot be', async () => {
    const fetch: Transport = async (input, given) => new Response(await new Request(input, given).text(), { status: 503 });
    const guarded = wrapFetch([retry({ ...atOnce, idempotent: true })], { fetch, maxReplayBytes: 4 });
    await expect(guarded(url, { ...init, body: stream() })).rejects.toThrow(/too long to be kept \(maxReplayBytes\)/);
  });

  test('a stream that nobody will send any more is cancelled', async () => {
    const cancel = vi.fn();
    const body = new ReadableStream({ pull: (controller) => controller.enqueue(bytes), cancel });
    const error = networkError('ECONNREFUSED');
    const guarded = wrapFetch([retry({ ...atOnce, maxAttempts: 2 })], { fetch: async () => Promise.reject(error) });
    await expect(guarded(url, { ...init, method: 'POST', body })).rejects.toBe(error);
    expect(cancel).toHaveBeenCalledWith(error);
  });

  test('an abort ends the wait for a slow stream', async () => {
    const controller = new AbortController();
    const cancel = vi.fn();
    const { fetch, requests } = answering(200);
    const answer = wrapFetch([retry()], { fetch })(url, { ...init, body: new ReadableStream({ cancel }), signal: controller.signal });
    controller.abort('enough');
    await expect(answer).rejects.toBe('enough');
    expect(cancel).toHaveBeenCalledWith('enough');
    expect(requests).toHaveLength(0);
  });

  test.each([
    ['a web stream', stream],
    ['a Readable', () => Readable.from([bytes, bytes])],
  ])('trap: what is left of %s that somebody has read from is not sent for the whole, as with fetch', async (_, body) => {
    const spent = body() as unknown as ReadableStream;
    if (spent instanceof ReadableStream) {
      const reader = spent.getReader();
      await reader.read();
      reader.releaseLock();
    } else await once(spent as Readable, 'data');
    const { fetch, requests } = answering(200);
    await expect(wrapFetch([retry(atOnce)], { fetch })(url, { ...init, body: spent })).rejects.toBeInstanceOf(TypeError);
    expect(requests).toEqual([]);
  });

  test('without a policy that repeats, streams go through as they are', async () => {
    const body = stream();
    const fetch = vi.fn<Transport>(async () => new Response(''));
    await wrapFetch([timeout({ after: 1000 })], { fetch })(url, { ...init, body });
    expect(fetch.mock.calls[0]?.[1]?.body).toBe(body);
  });
});

describe('what is told to services', () => {
  test('nothing, but to those that are named; never our own option', async () => {
    const { fetch, requests } = answering(200);
    const guarded = wrapFetch([], { fetch, propagate: ['https://own.example'] });
    const own: GuardedRequestInit = { breakwater: { deadline: '1s', priority: 'sheddable', priorityLevel: 1 } };
    await guarded(url, own);
    await guarded('https://own.example/', own);
    expect([...(requests[0] as Request).headers]).toEqual([]);
    expect(requests[1]?.headers.get('x-request-priority')).toBe('sheddable;1');
    expect(Number(requests[1]?.headers.get('x-request-deadline'))).toBeGreaterThan(900);
  });
});

describe('options', () => {
  test.each([
    [{ fetch: 'fetch' }, /wrapFetch.fetch: expected a function/],
    [{ maxReplayBytes: -1 }, /maxReplayBytes/],
    [{ phases: { header: 1 } }, /phases.header: .*did you mean headers/],
    [{ phases: { bodyIdle: 0 } }, /phases.bodyIdle/],
  ])('%j is refused', (options, message) => {
    expect(() => wrapFetch([], options as object)).toThrow(message);
  });

  test('a policy by itself is refused, and wrong options of one request reject', async () => {
    expect(() => wrapFetch(retry() as never)).toThrow(/a retry by itself/);
    await expect(wrapFetch([])(url, { breakwater: { priority: 'urgent' as never } })).rejects.toThrow(/priority/);
    await expect(wrapFetch([], { phases: { total: 5 } })(url, { breakwater: { deadline: 'soon' as never } })).rejects.toThrow(/deadline/);
  });
});
