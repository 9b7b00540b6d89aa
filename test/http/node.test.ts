import { once } from 'node:events';
import { type IncomingMessage, createServer } from 'node:http';
import http2 from 'node:http2';
import { type AddressInfo, type Socket, connect } from 'node:net';
import { bulkhead, tokenBucket } from 'breakwater';
import { ClientGoneError, lifecycle, liveness, protect, readiness } from 'breakwater/node';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { ask, books, latch, serve } from './serving.ts';

/** Speaks by hand; resolves when what was heard has this part. */
function speak(port: number, text: string): { socket: Socket; until: (part: string) => Promise<string> } {
  const socket = connect(port, '127.0.0.1');
  let heard = '';
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1')));
  socket.write(text);
  onTestFinished(() => void socket.destroy());
  const until = async (part: string): Promise<string> => {
    while (!heard.includes(part)) await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => expect.fail(heard))]);
    return heard;
  };
  return { socket, until };
}

const upgrading = 'GET /chat HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n';

describe('a protected listener', () => {
  test('serves what is admitted and refuses the rest', async () => {
    const told = latch();
    const listener = protect(
      (req, res) => {
        expect(req.breakwater.admitted).toBe(true);
        void told.opened.then(() => res.end('served'));
      },
      [bulkhead({ maxConcurrent: 1 })],
      { name: 'api' },
    );
    const { port } = await serve(listener);
    const answers = [ask(port), ask(port)];
    const refused = await Promise.race(answers);
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1']);
    told.open();
    expect((await Promise.all(answers)).map(({ status }) => status).sort()).toEqual([200, 503]);
    expect(listener.pipeline.snapshot()).toMatchObject({ name: 'api', active: 0 });
  });

  test('a key function that throws is a 500 and a warning, and ends nothing', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    onTestFinished(() => warned.mockRestore());
    const { policy } = books();
    const { port } = await serve(
      protect((_, res) => res.end(), [policy], {
        key: () => {
          throw new Error('token=secret');
        },
      }),
    );
    for (let i = 0; i < 2; i++) {
      const { status, headers, body } = await ask(port);
      expect([status, headers['content-type']]).toEqual([500, 'application/problem+json']);
      expect(body).not.toContain('secret');
    }
    expect(warned).toHaveBeenCalledTimes(1);
    expect(warned.mock.calls[0]?.[1]).toMatchObject({ type: 'BreakwaterWarning', code: 'BREAKWATER_UNHEARD_ERROR' });
  });

  test.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('broken');
      },
    ],
    ['rejects', () => Promise.reject(new Error('broken'))],
  ])('what a listener %s goes to onError, and counts as a failure if that answers 500', async (_, fail) => {
    const kept = books();
    const { port } = await serve(
      protect(fail, [kept.policy], {
        onError: (error, _req, res) => {
          res.statusCode = 500;
          res.end((error as Error).message);
        },
      }),
    );
    expect(await ask(port)).toMatchObject({ status: 500, body: 'broken' });
    await kept.quiet();
    expect(kept.verdicts).toEqual(['failure']);
  });

  test('wrong options are refused when it is made', () => {
    expect(() => protect('listener' as never, [])).toThrow(/protect: expected a function \(req, res\) => void/);
    expect(() => protect(() => undefined, [], { onError: true as never })).toThrow(/protect.onError/);
    expect(() => protect(() => undefined, [], { deadlne: '1s' } as never)).toThrow(/did you mean deadline/);
  });
});

describe('one decision for each request', () => {
  test('a client that expects 100-continue is asked for its body once it is admitted', async () => {
    const kept = books();
    const listener = protect(
      (req, res) => {
        let size = 0;
        req.on('data', (chunk: Buffer) => (size += chunk.length)).on('end', () => res.end(`got ${size}`));
      },
      [kept.policy, tokenBucket({ rate: 1, per: '1h', burst: 1 })],
    );
    const { port, server } = await serve(listener);
    server.on('checkContinue', listener.checkContinue);
    const asking = 'POST / HTTP/1.1\r\nHost: here\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n';
    const first = speak(port, asking);
    await first.until('100 Continue');
    first.socket.write('body');
    expect(await first.until('got 4')).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK/);
    await kept.quiet();
    expect(kept.verdicts).toEqual(['success']);

    const second = speak(port, asking);
    expect(await second.until('quota-exceeded')).toMatch(/^HTTP\/1.1 429/);
    expect(kept.entered).toBe(2);
  });

  test('an upgrade is admitted for as long as the connection lasts, and the signal aborts with it', async () => {
    const kept = books();
    const listener = protect((_, res) => res.end('plain'), [kept.policy]);
    const { port, server } = await serve(listener);
    const switched = latch<IncomingMessage>();
    server.on(
      'upgrade',
      listener.upgrade((req, socket, head) => {
        expect(head).toHaveLength(0);
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n');
        socket.on('data', (chunk: Buffer) => socket.write(`heard ${chunk.toString()}`)).on('end', () => socket.end());
        switched.open(req);
      }),
    );
    const chat = speak(port, upgrading);
    const { breakwater } = await switched.opened;
    chat.socket.write('hello');
    expect(await chat.until('heard hello')).toMatch(/^HTTP\/1.1 101/);
    expect(kept.verdicts).toEqual([]);
    expect(breakwater.signal.aborted).toBe(false);
    chat.socket.end();
    await kept.quiet();
    expect(breakwater.signal.reason).toBeInstanceOf(ClientGoneError);
    expect(kept.entered).toBe(1);
  });

  test('an upgrade that is refused is answered on its socket, which is closed', async () => {
    const listener = protect((_, res) => res.end(), [bulkhead({ maxConcurrent: 0 })]);
    const { port, server } = await serve(listener);
    server.on(
      'upgrade',
      listener.upgrade(() => expect.fail('it was let in')),
    );
    const chat = speak(port, upgrading);
    const closed = once(chat.socket, 'close');
    expect(await chat.until('temporary-reduced-capacity')).toMatch(/^HTTP\/1.1 503 Service Unavailable\r\n[\s\S]*connection: close/i);
    await closed;
  });

  test('a client that is gone before its upgrade is decided on gives back what it got', async () => {
    const kept = books();
    const room = bulkhead({ maxConcurrent: 1, maxQueue: 1 });
    const listener = protect((_, res) => held.open(() => res.end()), [kept.policy, room]);
    const held = latch<() => void>();
    const { port, server } = await serve(listener);
    const asked = once(server, 'upgrade');
    server.on(
      'upgrade',
      listener.upgrade(() => expect.fail('it was let in')),
    );
    const slow = ask(port);
    const end = await held.opened;
    const chat = speak(port, upgrading);
    await asked;
    chat.socket.destroy();
    while (kept.verdicts.length < 1) await new Promise(setImmediate);
    end();
    await slow;
    await kept.quiet();
    expect(kept.entered).toBe(2);
    expect(room.active + room.queued).toBe(0);
  });

  test('streams of HTTP/2 are guarded one by one, also such as are reset', async () => {
    const kept = books();
    const begun = latch();
    const listener = protect((req, res) => (req.url === '/slow' ? begun.open() : void res.end('served')), [kept.policy]);
    const server = http2.createServer(listener);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    onTestFinished(() => {
      session.destroy();
      server.close();
    });
    const served = session.request({ ':path': '/' });
    served.resume();
    await once(served, 'close');
    const slow = session.request({ ':path': '/slow' });
    slow.on('error', () => undefined);
    await begun.opened;
    slow.close(http2.constants.NGHTTP2_CANCEL);
    while (kept.verdicts.length < 2) await new Promise(setImmediate);
    expect(kept.verdicts).toEqual(['success', 'ignored']);
  });
});

test('gates, probes and a shutdown together: readiness turns, what runs is answered, and the gates close', async () => {
  const begun = latch();
  const told = latch();
  const api = protect(
    (_, res) => {
      begun.open();
      void told.opened.then(() => res.end('done'));
    },
    [bulkhead({ maxConcurrent: 10 })],
  );
  const life = lifecycle({ delay: 0, pipelines: [api.pipeline], skip: ({ url }) => url === '/live' || url === '/ready' });
  const probes = { '/ready': readiness({ lifecycle: life, pipelines: [api.pipeline], details: true }), '/live': liveness() };
  const server = life.attach(
    createServer((req, res) => (req.url === '/ready' || req.url === '/live' ? probes[req.url](req, res) : api(req, res))),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const status = async (path: string): Promise<number> => (await ask(port, { path })).status;
  expect([await status('/ready'), await status('/live')]).toEqual([200, 200]);
  const running = ask(port);
  await begun.opened;
  const drained = life.drain();
  while (!life.refusing) await Promise.resolve();
  expect([await status('/ready'), await status('/live'), await status('/')]).toEqual([503, 200, 503]);
  told.open();
  expect((await running).body).toBe('done');
  expect(await drained).toMatchObject({ cut: 0 });
  expect(api.pipeline.snapshot()).toMatchObject({ closed: true, active: 0 });
});
