/** With no policies a guarded fetch is fetch. */

import type { RequestListener } from 'node:http';
import { type GuardedRequestInit, wrapFetch } from 'breakwater/fetch';
import { describe, expect, test } from 'vitest';
import { serve } from '../http/serving.ts';

const server: RequestListener = (req, res) => {
  const { pathname, searchParams } = new URL(req.url ?? '/', 'http://localhost');
  if (pathname === '/status') res.writeHead(Number(searchParams.get('code')), 'Said so').end();
  else if (pathname === '/cookies') res.writeHead(200, { 'set-cookie': ['a=1', 'b=2'], 'x-list': ['1', '2'] }).end('cookies');
  else if (pathname === '/redirect') res.writeHead(Number(searchParams.get('code')), { location: '/echo?redirected' }).end('over there');
  else if (pathname === '/loop') res.writeHead(302, { location: '/loop' }).end();
  else if (pathname === '/reset') req.socket.destroy();
  else if (pathname === '/half') res.writeHead(200, { 'content-length': 10 }).write('half', () => req.socket.destroy());
  else if (pathname === '/chunks') {
    res.write('one,');
    res.end('two');
  } else {
    const { 'content-type': type = null, 'content-length': length = null, authorization = null } = req.headers;
    let body = '';
    req.setEncoding('utf8');
    req.on('data', (chunk: string) => (body += chunk));
    req.on('end', () => {
      const said = { method: req.method, url: req.url, type: type?.split('boundary')[0], length, authorization, body: body.slice(0, 20) };
      res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(said));
    });
  }
};

type Asked = (base: string) => [input: string | URL | Request, init?: GuardedRequestInit];

const requests: Readonly<Record<string, Asked>> = {
  'a GET': (base) => [`${base}/echo?q=1#part`],
  'a URL': (base) => [new URL(`${base}/echo`)],
  'a request': (base) => [new Request(`${base}/echo`, { headers: { authorization: 'me' } })],
  'a request with other options': (base) => [new Request(`${base}/echo`, { method: 'POST', body: 'a' }), { method: 'PUT', body: 'b' }],
  'a request that was used': (base) => {
    const request = new Request(`${base}/echo`, { method: 'POST', body: 'a' });
    void request.text();
    return [request];
  },
  'no URL': () => ['/echo'],
  'a URL with credentials': (base) => [base.replace('http://', 'http://me:secret@')],
  'another scheme': () => ['ftp://localhost/'],
  'a data URL': () => ['data:text/plain,hello'],
  HEAD: (base) => [`${base}/echo`, { method: 'HEAD' }],
  'a method in small letters': (base) => [`${base}/echo`, { method: 'post' }],
  'a method that is none': (base) => [`${base}/echo`, { method: 'NO METHOD' }],
  'a string': (base) => [`${base}/echo`, { method: 'POST', body: 'text' }],
  bytes: (base) => [`${base}/echo`, { method: 'POST', body: new Uint8Array([104, 105]) }],
  parameters: (base) => [`${base}/echo`, { method: 'POST', body: new URLSearchParams({ a: 'b c' }) }],
  'a blob': (base) => [`${base}/echo`, { method: 'POST', body: new Blob(['blob'], { type: 'text/x' }) }],
  'a form': (base) => {
    const body = new FormData();
    body.set('a', 'b');
    return [`${base}/echo`, { method: 'POST', body }];
  },
  'a stream': (base) => [`${base}/echo`, { method: 'POST', body: new Blob(['stream']).stream(), duplex: 'half' }],
  'a stream without duplex': (base) => [`${base}/echo`, { method: 'POST', body: new Blob(['stream']).stream() }],
  'a body with GET': (base) => [`${base}/echo`, { body: 'no' }],
  'fields as pairs': (base) => [`${base}/echo`, { headers: [['Authorization', 'me']] }],
  'a field that is none': (base) => [`${base}/echo`, { headers: { 'a b': 'c' } }],
  'a field with a line break': (base) => [`${base}/echo`, { headers: { a: 'b\r\nc: d' } }],
  'cookies and lists': (base) => [`${base}/cookies`],
  chunks: (base) => [`${base}/chunks`],
  ...(Object.fromEntries(
    [200, 201, 204, 205, 206, 304, 400, 404, 408, 429, 500, 503, 599].map((code) => [
      `${code}`,
      (base: string) => [`${base}/status?code=${code}`],
    ]),
  ) as Record<string, Asked>),
  ...(Object.fromEntries(
    [301, 302, 303, 307, 308].map((code) => [
      `a redirect, ${code}`,
      (base: string) => [`${base}/redirect?code=${code}`, { method: 'POST', body: 'text' }],
    ]),
  ) as Record<string, Asked>),
  'a redirect, left alone': (base) => [`${base}/redirect?code=302`, { redirect: 'manual' }],
  'a redirect, refused': (base) => [`${base}/redirect?code=302`, { redirect: 'error' }],
  'a loop of redirects': (base) => [`${base}/loop`],
  'a reset': (base) => [`${base}/reset`],
  'half a body': (base) => [`${base}/half`],
  'nobody there': () => ['http://127.0.0.1:1/'],
  'aborted before': (base) => [`${base}/echo`, { signal: AbortSignal.abort('enough') }],
  'aborted before, in the request': (base) => [new Request(`${base}/echo`, { signal: AbortSignal.abort('enough') })],
};

/** All that can be seen of what a fetch answers. */
async function seen(fetching: typeof globalThis.fetch | ReturnType<typeof wrapFetch>, asked: ReturnType<Asked>): Promise<unknown> {
  try {
    const response = await fetching(...(asked as [string]));
    const { status, statusText, ok, url, redirected, type, headers, body } = response;
    const fields = [...headers].filter(([name]) => name !== 'date');
    const head = { status, statusText, ok, url, redirected, type, fields, cookies: headers.getSetCookie(), empty: body === null };
    const text = await response.text().catch(said);
    return { ...head, text, used: response.bodyUsed };
  } catch (error) {
    return said(error);
  }
}

function said(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, cause } = error;
  return { name, message, code: (cause as { code?: unknown } | undefined)?.code };
}

describe('a fetch that nothing guards answers as fetch does to', () => {
  test.each(Object.entries(requests))('%s', async (_, asked) => {
    const { port } = await serve(server);
    const base = `http://127.0.0.1:${port}`;
    const theirs = await seen(globalThis.fetch, asked(base));
    expect(await seen(wrapFetch([]), asked(base))).toEqual(theirs);
  });
});
