import { once } from 'node:events';
import { type IncomingMessage, type ServerResponse, request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createServer as createServer2, connect as connect2 } from 'node:http2';
import type { AddressInfo } from 'node:net';
import express from 'express';
import Fastify from 'fastify';
import Koa from 'koa';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Recorded } from '../../src/http/recording/recorded.ts';
import { record } from '../../src/http/recording/recording.ts';
import { type Asking, ask, latch, serve } from './serving.ts';

type Handler = (req: IncomingMessage, res: ServerResponse) => unknown;

/** Asks a server that records, and answers with what came and with what was recorded. */
async function recorded(handler: Handler, asking: Asking = {}, maxBytes = 1000) {
  const kept = latch<Recorded | undefined>();
  const { port } = await serve((req, res) => {
    record(res, maxBytes, kept.open);
    void handler(req, res);
  });
  const reply = await ask(port, asking);
  return { reply, kept: await kept.opened };
}

function text(kept: Recorded | undefined): string | undefined {
  return kept?.body === undefined ? undefined : Buffer.from(kept.body).toString();
}

describe('what a handler answers is what is recorded', () => {
  const ways: Record<string, Handler> = {
    'end alone': (_req, res) => res.setHeader('x-a', '1').end('hello'),
    'write and end': (_req, res) => {
      res.setHeader('x-a', '1');
      res.write('hel');
      res.write(Buffer.from('l'));
      res.end(Buffer.from('o'));
    },
    'bytes that are no Buffer': (_req, res) => {
      res.setHeader('x-a', '1');
      res.end(new TextEncoder().encode('hello'));
    },
    encodings: (_req, res) => {
      res.setHeader('x-a', '1');
      res.write('68656c', 'hex');
      res.end('bG8=', 'base64');
    },
    'writeHead with an object': (_req, res) => res.writeHead(200, { 'X-A': 1 }).end('hello'),
    'writeHead with a message and an object': (_req, res) => res.writeHead(200, 'Fine', { 'X-A': '1' }).end('hello'),
    'writeHead with names and values by turns': (_req, res) => res.writeHead(200, ['X-A', '1']).end('hello'),
    'writeHead with pairs': (_req, res) => res.writeHead(200, [['X-A', '1']] as never).end('hello'),
    'writeHead over what was set before': (_req, res) => res.setHeader('x-a', '0').writeHead(200, { 'x-a': '1' }).end('hello'),
    'flushHeaders first': (_req, res) => {
      res.setHeader('x-a', '1');
      res.flushHeaders();
      res.end('hello');
    },
    'a callback in place of an encoding': (_req, res) => {
      res.setHeader('x-a', '1');
      res.write('hello', () => res.end(() => undefined));
    },
    corked: (_req, res) => {
      res.setHeader('x-a', '1');
      res.cork();
      res.write('he');
      res.write('llo');
      res.uncork();
      res.end();
    },
    'a stream': (_req, res) => {
      res.setHeader('x-a', '1');
      return pipeline(Readable.from([Buffer.from('he'), Buffer.from('llo')]), res);
    },
    trailers: (_req, res) => {
      res.writeHead(200, { 'x-a': '1', trailer: 'x-sum' });
      res.write('hello');
      res.addTrailers({ 'x-sum': '5' });
      res.end();
    },
    'early hints first': (_req, res) => {
      res.writeEarlyHints({ link: '</a.css>; rel=preload' });
      res.setHeader('x-a', '1');
      res.end('hello');
    },
  };
  test.each(Object.entries(ways))('%s', async (_, handler) => {
    const { reply, kept } = await recorded(handler);
    expect(reply).toMatchObject({ status: 200, body: 'hello', headers: { 'x-a': '1' } });
    expect(text(kept)).toBe('hello');
    expect(kept?.status).toBe(200);
    expect(kept?.headers['x-a']).toBe('1');
  });

  test('several lines of one field stay several, whichever way they were given', async () => {
    for (const handler of [
      (_req, res) => res.setHeader('set-cookie', ['a=1', 'b=2']).end(),
      (_req, res) => res.writeHead(200, ['set-cookie', 'a=1', 'Set-Cookie', 'b=2']).end(),
      (_req, res) => res.writeHead(200, { 'Set-Cookie': ['a=1', 'b=2'] }).end(),
    ] satisfies Handler[]) {
      const { reply, kept } = await recorded(handler);
      expect(reply.headers['set-cookie']).toEqual(['a=1', 'b=2']);
      expect(kept?.headers['set-cookie']).toEqual(['a=1', 'b=2']);
    }
  });

  test.each([
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
  ])('what a handler writes on %s with %i goes nowhere, and is not recorded', async (method, status) => {
    const { reply, kept } = await recorded(
      (_req, res) => {
        res.statusCode = status;
        res.write('not sent');
        res.end('either');
      },
      { method },
    );
    expect(reply.body).toBe('');
    expect(kept).toMatchObject({ status, body: new Uint8Array(0) });
  });

  test('fields that stood there before are told from those of the handler', async () => {
    const kept = latch<Recorded | undefined>();
    const { port } = await serve((_req, res) => {
      res.setHeader('x-request-id', '7').setHeader('content-type', 'text/plain');
      record(res, 100, kept.open);
      res.setHeader('content-type', 'text/html').setHeader('etag', '"1"').end('hello');
    });
    await ask(port);
    expect({ ...(await kept.opened)?.own }).toEqual({ 'content-type': 'text/html', etag: '"1"' });
  });

  test('memory that the handler uses again is not what was recorded', async () => {
    const { kept } = await recorded((_req, res) => {
      const chunk = Buffer.from('first');
      res.write(chunk, () => {
        chunk.fill('x');
        res.end();
      });
    });
    expect(text(kept)).toBe('first');
  });

  test('a small body keeps no pool of memory alive', async () => {
    const { kept } = await recorded((_req, res) => res.end('hello'));
    expect(kept?.body?.buffer.byteLength).toBe(5);
  });
});

describe('bounds', () => {
  test('of a longer body nothing is kept, and all of it is sent', async () => {
    const { reply, kept } = await recorded((_req, res) =>
      pipeline(Readable.from(Array.from({ length: 100 }, () => 'x'.repeat(1000))), res),
    );
    expect(reply.body.length).toBe(100_000);
    expect(kept).toMatchObject({ status: 200, body: undefined });
  });

  test('a body of exactly as many bytes is kept', async () => {
    for (const [length, fits] of [
      [1000, true],
      [1001, false],
    ] as const) {
      const { kept } = await recorded((_req, res) => res.end('x'.repeat(length)));
      expect(kept?.body !== undefined).toBe(fits);
    }
  });

  test('many single bytes take about as much memory as one chunk of as many', async () => {
    const before = process.memoryUsage().arrayBuffers;
    const { kept } = await recorded(
      (_req, res) => {
        // Not corked: from Node 22 on, the end of so many chunks in one piece is sent before the last of them.
        for (let i = 0; i < 30_000; i++) res.write('x');
        res.end();
      },
      {},
      1_000_000,
    );
    expect(kept?.body?.byteLength).toBe(30_000);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
  });
});

describe('the response behaves as it did', () => {
  test('backpressure is told, and drain comes', async () => {
    const told: unknown[] = [];
    const { reply } = await recorded(async (_req, res) => {
      const full = !res.write(Buffer.alloc(1_000_000));
      told.push(full);
      if (full) await once(res, 'drain');
      told.push(res.write('x'), res.end('y') === res);
    });
    expect(told).toEqual([true, true, true]);
    expect(reply.body.length).toBe(1_000_002);
  });

  test('callbacks are called once', async () => {
    const called: string[] = [];
    const over = latch();
    await recorded((_req, res) => {
      res.write('a', () => called.push('write'));
      res.write('b', 'utf8', () => called.push('write, too'));
      res.end('c', () => {
        called.push('end');
        over.open();
      });
    });
    await over.opened;
    expect(called).toEqual(['write', 'write, too', 'end']);
  });

  test('mistakes throw what they threw, and what comes after them is recorded', async () => {
    const codes: unknown[] = [];
    const { reply, kept } = await recorded((_req, res) => {
      const slip = (act: () => unknown): void => {
        try {
          act();
        } catch (error) {
          codes.push((error as { code: string }).code);
        }
      };
      slip(() => res.write(5));
      slip(() => res.end({} as string));
      slip(() => res.writeHead(99));
      res.writeHead(201);
      slip(() => res.writeHead(200));
      slip(() => res.setHeader('late', '1'));
      res.end('fine');
    });
    expect(codes).toEqual([
      'ERR_INVALID_ARG_TYPE',
      'ERR_INVALID_ARG_TYPE',
      'ERR_HTTP_INVALID_STATUS_CODE',
      'ERR_HTTP_HEADERS_SENT',
      'ERR_HTTP_HEADERS_SENT',
    ]);
    expect(reply).toMatchObject({ status: 201, body: 'fine' });
    expect(kept?.status).toBe(201);
    expect(text(kept)).toBe('fine');
  });

  test('its methods are its own again afterwards, also those that somebody else had put there', async () => {
    const seen = latch<unknown[]>();
    const { port } = await serve((_req, res) => {
      const own = res.write.bind(res);
      res.write = own;
      const one = latch<Recorded | undefined>();
      record(res, 10, one.open);
      const stop = record(res, 10, () => undefined);
      stop();
      res.end('hello');
      seen.open([Object.hasOwn(res, 'end'), Object.hasOwn(res, 'writeHead'), Object.hasOwn(res, 'destroy'), res.write === own]);
    });
    await ask(port);
    expect(await seen.opened).toEqual([false, false, false, true]);
  });

  test('whoever stops recording is told nothing, and the methods are its own at once', async () => {
    let told = 0;
    const { port } = await serve((_req, res) => {
      record(res, 10, () => told++)();
      expect(Object.hasOwn(res, 'end')).toBe(false);
      res.end('hello');
    });
    expect((await ask(port)).body).toBe('hello');
    expect(told).toBe(0);
  });

  test('of an answer that is not wanted nothing is kept, from its first line on', async () => {
    const seen: unknown[] = [];
    const { port } = await serve((_req, res) => {
      const wanted = (status: number, headers: object): boolean => seen.push(status, headers) === 0;
      record(res, 10, (kept) => seen.push(kept), {}, wanted);
      res.write('hel');
      seen.push(Object.hasOwn(res, 'write'), Object.hasOwn(res, 'end'));
      res.end('lo');
    });
    expect((await ask(port)).body).toBe('hello');
    expect(seen).toEqual([200, {}, undefined, false, false]);
  });

  test('two record the same, each up to its own bound', async () => {
    const kept: (string | undefined)[] = [];
    const { port } = await serve((_req, res) => {
      record(res, 10, (each) => kept.push(text(each)));
      record(res, 3, (each) => kept.push(text(each)));
      res.end('hello');
    });
    await ask(port);
    expect(kept).toEqual(['hello', undefined]);
  });

  test('who stands further in is recorded, who stands further out changes what was recorded: fields and bytes fit together', async () => {
    const kept = latch<Recorded | undefined>();
    const { port } = await serve((_req, res) => {
      // In the way of compression and of on-headers.
      const around = (mark: string): void => {
        const end = res.end.bind(res) as (chunk: string) => ServerResponse;
        const writeHead = res.writeHead.bind(res) as (...given: unknown[]) => ServerResponse;
        Object.assign(res, {
          writeHead: (...given: unknown[]) => {
            res.setHeader(mark, '1');
            return writeHead(...given);
          },
          end: (chunk: string) => end(`${chunk}${mark}`),
        });
      };
      around('outer');
      record(res, 100, kept.open);
      around('inner');
      res.end('hello ');
    });
    const reply = await ask(port);
    expect(reply).toMatchObject({ body: 'hello innerouter', headers: { outer: '1', inner: '1' } });
    const got = await kept.opened;
    expect(text(got)).toBe('hello inner');
    expect({ ...got?.headers }).toEqual({ inner: '1' });
  });
});

describe('answers that break off', () => {
  test('a client that leaves does not end what its handler does: the answer is recorded', async () => {
    const kept = latch<Recorded | undefined>();
    const { port } = await serve((_req, res) => {
      record(res, 100, kept.open);
      res.setHeader('x-a', '1');
      res.write('part');
      res.once('close', () => {
        res.statusCode = 200;
        res.write(' and');
        res.end(' rest');
      });
    });
    const sending = request({ host: '127.0.0.1', port, agent: false });
    sending.on('error', () => undefined);
    sending.on('response', (response) => response.on('error', () => undefined).once('data', () => sending.destroy()));
    sending.end();
    expect(text(await kept.opened)).toBe('part and rest');
    expect((await kept.opened)?.headers['x-a']).toBe('1');
  });

  test('one that left before anything was sent, too, with the status that it would have got', async () => {
    const kept = latch<Recorded | undefined>();
    const { port } = await serve((_req, res) => {
      record(res, 100, kept.open);
      res.once('close', () => {
        res.statusCode = 201;
        res.setHeader('location', '/orders/1');
        res.end('made');
      });
      asking.leave();
    });
    const asking = ask(port);
    const got = await kept.opened;
    expect(got).toMatchObject({ status: 201, headers: { location: '/orders/1' } });
    expect(text(got)).toBe('made');
  });

  test('what is destroyed when the client has left already (as stream.pipeline does) is not cut off by the server', async () => {
    const kept = latch<Recorded | undefined>();
    const { port } = await serve((_req, res) => {
      record(res, 100, kept.open);
      res.once('close', () => {
        res.destroy();
        res.end('done all the same');
      });
      asking.leave();
    });
    const asking = ask(port);
    expect(text(await kept.opened)).toBe('done all the same');
  });

  test('a server that destroys the response has not answered', async () => {
    await expect(
      recorded((_req, res) => {
        res.write('part');
        res.destroy();
      }),
    ).rejects.toThrow();
    const kept = latch<Recorded | undefined>();
    const { port } = await serve((_req, res) => {
      record(res, 100, kept.open);
      pipeline(
        Readable.from(
          (async function* () {
            yield 'part';
            throw new Error('the source has failed');
          })(),
        ),
        res,
      ).catch(() => undefined);
    });
    await expect(ask(port)).rejects.toThrow();
    expect(await kept.opened).toBeUndefined();
  });
});

describe('frameworks', () => {
  test('express: res.json, with fields and HEAD', async () => {
    const kept: (Recorded | undefined)[] = [];
    const app = express();
    app.use((_req, res, next) => {
      record(res, 1000, (each) => kept.push(each));
      next();
    });
    app.get('/', (_req, res) => {
      res.status(201).json({ a: 1 });
    });
    const { port } = await serve(app);
    await ask(port);
    await ask(port, { method: 'HEAD' });
    expect(kept.map((each) => [each?.status, text(each)])).toEqual([
      [201, '{"a":1}'],
      [201, ''],
    ]);
    expect(kept[0]?.own['content-type']).toBe('application/json; charset=utf-8');
    expect(kept[0]?.own['x-powered-by']).toBeUndefined();
  });

  test('fastify, on reply.raw', async () => {
    const kept = latch<Recorded | undefined>();
    const app = Fastify();
    app.addHook('onRequest', (_request, reply, done) => {
      record(reply.raw, 1000, kept.open);
      done();
    });
    app.get('/', (_request, reply) => reply.code(201).header('x-a', '1').send({ a: 1 }));
    await app.listen({ port: 0 });
    onTestFinished(() => app.close());
    const reply = await ask((app.server.address() as AddressInfo).port);
    expect(reply).toMatchObject({ status: 201, body: '{"a":1}' });
    expect(text(await kept.opened)).toBe('{"a":1}');
    expect(await kept.opened).toMatchObject({ status: 201, headers: { 'x-a': '1', 'content-type': 'application/json; charset=utf-8' } });
  });

  test('koa, on ctx.res', async () => {
    const kept = latch<Recorded | undefined>();
    const app = new Koa();
    app.use((ctx) => {
      record(ctx.res, 1000, kept.open);
      ctx.status = 201;
      ctx.body = Readable.from(['he', 'llo']);
    });
    const { port } = await serve((req, res) => void app.callback()(req, res));
    expect((await ask(port)).body).toBe('hello');
    expect(text(await kept.opened)).toBe('hello');
  });

  test('HTTP/2, where end writes by itself', async () => {
    const kept = latch<Recorded | undefined>();
    const server = createServer2((_req, res) => {
      record(res as never, 1000, kept.open);
      res.setHeader('x-a', '1');
      res.write('he');
      res.end('llo');
    });
    await once(server.listen(0), 'listening');
    const client = connect2(`http://localhost:${(server.address() as AddressInfo).port}`);
    onTestFinished(() => {
      client.close();
      server.close();
    });
    const stream = client.request({ ':path': '/' });
    stream.resume();
    await once(stream, 'end');
    const got = await kept.opened;
    expect(text(got)).toBe('hello');
    expect({ ...got?.headers }).toEqual({ 'x-a': '1' });
  });
});
