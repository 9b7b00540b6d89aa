import { VirtualClock } from 'breakwater/testing';
import { describe, expect, test } from 'vitest';
import type { Recorded } from '../../src/http/recording/recorded.ts';
import { type Patience, recordWeb } from '../../src/http/recording/web-recording.ts';
import { latch } from './serving.ts';

/** A response whose body comes when it is told to, and what was recorded of it. */
function streamed(maxBytes = 100, patience?: Patience) {
  let source!: ReadableStreamDefaultController<Uint8Array>;
  let cancelled: unknown;
  const kept = latch<Recorded | undefined>();
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      source = controller;
    },
    cancel: (reason) => {
      cancelled = reason;
    },
  });
  const given = new Response(body, { status: 201, statusText: 'Made', headers: { 'x-a': '1' } });
  const response = recordWeb(given, maxBytes, kept.open, new Headers(), patience);
  const send = (text: string): void => source.enqueue(new TextEncoder().encode(text));
  return { response, send, end: () => source.close(), fail: (error: unknown) => source.error(error), kept, cancelled: () => cancelled };
}

const text = (kept: Recorded | undefined): string => Buffer.from(kept?.body ?? []).toString();

describe('recordWeb', () => {
  test('the response goes on as it was, and is recorded when it has been read', async () => {
    const { response, send, end, kept } = streamed();
    expect([response.status, response.statusText, response.headers.get('x-a')]).toEqual([201, 'Made', '1']);
    send('hel');
    send('lo');
    end();
    expect(await response.text()).toBe('hello');
    const got = await kept.opened;
    expect(got).toMatchObject({ status: 201, headers: { 'x-a': '1' } });
    expect(text(got)).toBe('hello');
  });

  test('each chunk goes on when it comes, and none is asked for before', async () => {
    let pulls = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        pull: (controller) => {
          if (++pulls > 3) controller.close();
          else controller.enqueue(Uint8Array.of(pulls));
        },
      },
      { highWaterMark: 0 },
    );
    const response = recordWeb(new Response(body), 100, () => undefined);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    expect((await reader.read()).value).toEqual(Uint8Array.of(1));
    expect(pulls).toBe(1);
  });

  test('of a longer body nothing is kept, and all of it goes on', async () => {
    const { response, send, end, kept } = streamed(4);
    send('hello');
    end();
    expect(await response.text()).toBe('hello');
    expect(await kept.opened).toMatchObject({ status: 201, body: undefined });
  });

  test('a client that leaves half-way: the source is told to stop at once, and nothing is kept', async () => {
    const { response, send, kept, cancelled } = streamed();
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    send('hel');
    await reader.read();
    const pending = reader.read();
    await reader.cancel('gone');
    expect(cancelled()).toBe('gone');
    expect(await kept.opened).toBeUndefined();
    expect((await pending).done).toBe(true);
  });

  test('with patience the rest is read to be kept', async () => {
    const clock = new VirtualClock();
    const { response, send, end, kept, cancelled } = streamed(100, { clock, ms: 1000 });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    send('hel');
    await reader.read();
    const pending = reader.read();
    await Promise.all([reader.cancel('gone'), pending, Promise.resolve().then(() => send('l'))]);
    send('o');
    end();
    expect(text(await kept.opened)).toBe('hello');
    expect(cancelled()).toBeUndefined();
    await new Promise(setImmediate);
    expect(clock.pending).toBe(0);
  });

  test('but only for so long: then the source is told to stop, and nothing is kept', async () => {
    const clock = new VirtualClock();
    const { response, send, kept, cancelled } = streamed(100, { clock, ms: 1000 });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    send('hel');
    await reader.read();
    await reader.cancel('gone');
    await clock.advance(999);
    expect(cancelled()).toBeUndefined();
    await clock.advance(1);
    expect(cancelled()).toBe('gone');
    expect(await kept.opened).toBeUndefined();
    expect(clock.pending).toBe(0);
  });

  test('and not without end: once it is too much, the source is told to stop', async () => {
    const { response, send, kept, cancelled } = streamed(4, { clock: new VirtualClock(), ms: 1000 });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    send('hel');
    await reader.read();
    await reader.cancel('gone');
    send('lo');
    expect(await kept.opened).toMatchObject({ status: 201, body: undefined });
    await new Promise(setImmediate);
    expect(cancelled()).toBe('gone');
  });

  test('a body that breaks off is no answer, and its error is the one that readers see', async () => {
    const { response, send, fail, kept } = streamed();
    send('hel');
    const reading = response.text();
    fail(new Error('broken'));
    await expect(reading).rejects.toThrow('broken');
    expect(await kept.opened).toBeUndefined();
  });

  test('without a body there is nothing to wait for', () => {
    const kept: (Recorded | undefined)[] = [];
    const given = new Response(null, {
      status: 204,
      headers: [
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
      ],
    });
    expect(recordWeb(given, 100, (each) => kept.push(each))).toBe(given);
    expect(kept).toMatchObject([{ status: 204, headers: { 'set-cookie': ['a=1', 'b=2'] }, body: new Uint8Array(0) }]);
  });

  test('what is no answer at all (Response.error) is passed on', () => {
    const kept: unknown[] = [];
    const given = Response.error();
    expect(recordWeb(given, 100, (each) => kept.push(each))).toBe(given);
    expect(kept).toEqual([undefined]);
  });
});
