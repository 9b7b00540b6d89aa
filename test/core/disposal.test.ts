import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { discard } from '../../src/core/disposal.ts';

test('a discarded response lets go of its connection', async () => {
  let cancelled = false;
  const response = new Response(new ReadableStream({ cancel: () => void (cancelled = true) }));
  discard(response);
  await Promise.resolve();
  expect(cancelled).toBe(true);
});

test('a body that somebody reads already is left to its reader', async () => {
  const response = new Response('text');
  const reading = response.text();
  discard(response);
  expect(await reading).toBe('text');
});

test('a discarded stream is destroyed, and what it says to that is heard by nobody', async () => {
  const stream = new PassThrough({
    destroy(_error, done) {
      done(new Error('it hurt'));
    },
  });
  discard(stream);
  discard({ headers: {}, body: new PassThrough() });
  await new Promise((resolve) => stream.on('close', resolve));
  expect(stream.destroyed).toBe(true);
});

test('a value that says itself how it is released is released that way, whatever comes of it', async () => {
  const said: string[] = [];
  discard({ [Symbol.dispose]: () => said.push('dispose') });
  discard({
    [Symbol.asyncDispose]: () => {
      said.push('asyncDispose');
      return Promise.reject(new Error('unlucky'));
    },
  });
  discard({
    [Symbol.dispose]: () => {
      throw new Error('unlucky');
    },
  });
  await Promise.resolve();
  expect(said).toEqual(['dispose', 'asyncDispose']);
});

test('a destroy that may mean something else is not called: a database record has one too', () => {
  const record = Object.assign(new EventEmitter(), {
    destroyed: false,
    destroy() {
      this.destroyed = true;
    },
  });
  for (const value of [record, { destroy: () => record.destroy() }, null, undefined, 7, 'text']) discard(value);
  expect(record.destroyed).toBe(false);
});
