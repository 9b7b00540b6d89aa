/** Clients of all kinds, good and bad, in an order that chance decides and a seed repeats. */

import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { type Socket, connect } from 'node:net';
import { seededRandom } from 'breakwater/testing';

/** What a client got, as far as it waited for it. */
export interface Got {
  readonly status: number;
  readonly method: string;
  readonly tenant: string;
  readonly retryAfter: string;
  /** What the head says of the body, and how much of it came. */
  readonly said: string;
  readonly length: number;
}

/** What came of a crowd. */
export interface Crowd {
  /** Requests of which at least the head was sent whole, about. */
  readonly sent: number;
  readonly got: readonly Got[];
}

type Manner = 'stay' | 'leave-when-sent' | 'leave-at-once' | 'leave-while-reading' | 'read-slowly';

interface Wish {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string | number>;
  readonly body?: Buffer;
  readonly manner: Manner;
}

const paths = ['/ok', '/ok', '/ok', '/later', '/304', '/stream', '/stream', '/fail', '/throw', '/reject', '/nowhere', '/obey', '/hijack'];

/** As many requests as said, by so many clients at once. Resolves when all have their answers or have left, and all connections are closed. */
export async function comeMixed(port: number, requests: number, seed: number, clients = 48): Promise<Crowd> {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const got: Got[] = [];
  let next = 0;
  let sent = 0;
  const client = async (): Promise<void> => {
    while (next < requests) {
      const random = seededRandom(seed * 1_000_003 + next);
      const size = random() < 0.12 ? 1 + Math.floor(random() * 14) : 1;
      const pipelined = size > 1;
      next += size;
      sent += size;
      if (pipelined) await cutPipeline(port, size, random);
      else await wish(port, wished(random), agent, random).then((each) => each !== undefined && got.push(each));
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  agent.destroy();
  return { sent, got };
}

/** Who asks: mostly somebody of a few, at times somebody new, at times one for whom the key function throws. */
function tenant(random: () => number): string {
  const kind = random();
  if (kind < 0.01) return 'boom';
  if (kind < 0.1) return 'greedy';
  return kind < 0.2 ? `passer-by-${Math.floor(random() * 1e9)}` : `regular-${Math.floor(random() * 20)}`;
}

function wished(random: () => number): Wish {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const headers = { 'x-tenant': tenant(random) };
  const kind = random();
  if (kind < 0.04) return { method: 'GET', path: '/big', headers, manner: pick<Manner>(['stay', 'leave-while-reading', 'read-slowly']) };
  if (kind < 0.16) {
    const body = Buffer.alloc(1000 + Math.floor(random() * 30_000), 'x');
    const manner = pick<Manner>(['stay', 'leave-when-sent', 'leave-at-once']);
    return { method: 'POST', path: '/upload', headers: { ...headers, 'content-length': body.length }, body, manner };
  }
  if (kind < 0.19) return { method: 'GET', path: '/hang', headers, manner: pick<Manner>(['stay', 'leave-when-sent']) };
  const method = random() < 0.1 ? 'HEAD' : 'GET';
  return { method, path: pick(paths), headers, manner: random() < 0.15 ? 'leave-when-sent' : 'stay' };
}

/** One request; answers with what came back whole. An upload that is left is left in the middle of its body. */
async function wish(
  port: number,
  { method, path, headers, body, manner }: Wish,
  agent: Agent,
  random: () => number,
): Promise<Got | undefined> {
  const sending = request({ host: '127.0.0.1', port, method, path, agent, headers });
  const leaves = manner === 'leave-when-sent' || manner === 'leave-at-once';
  const over = new Promise<Got | undefined>((resolve) => {
    sending.on('error', () => resolve(undefined)).on('close', () => resolve(undefined));
    sending.on('response', (response) => {
      let length = 0;
      response.on('error', () => resolve(undefined)).on('close', () => resolve(undefined));
      response.on('end', () => {
        const { 'retry-after': retryAfter = '', 'content-length': said = '' } = response.headers;
        resolve({ status: response.statusCode ?? 0, method, tenant: String(headers['x-tenant']), retryAfter, said, length });
      });
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (manner === 'leave-while-reading') sending.destroy();
        if (manner === 'read-slowly') {
          response.pause();
          setImmediate(() => response.resume());
        }
      });
    });
  });
  if (body === undefined) sending.end();
  else if (leaves) sending.write(body.subarray(0, body.length >> 1));
  else sending.end(body);
  if (manner === 'leave-at-once') {
    // Half of the body, or nothing yet, is out when it leaves.
    if (random() < 0.5) sending.once('socket', () => process.nextTick(() => sending.destroy()));
    else sending.destroy();
  } else if (manner === 'leave-when-sent') {
    sending.once('socket', (socket) => {
      const leave = (): void => void setImmediate(() => sending.destroy());
      if (socket.connecting) socket.once('connect', leave);
      else leave();
    });
  }
  return over;
}

/** Requests sent one after the other without waiting, over a connection that is cut somewhere: as load generators do that are killed. */
async function cutPipeline(port: number, size: number, random: () => number): Promise<void> {
  const socket: Socket = connect(port, '127.0.0.1').on('error', () => undefined);
  const closed = once(socket, 'close').catch(() => undefined);
  const texts = Array.from({ length: size }, () => written(wished(random)));
  const whole = texts.join('');
  const where = random();
  const text = where < 0.5 ? whole : whole.slice(0, Math.floor(random() * whole.length));
  const cut = (): void => {
    if (where % 0.1 < 0.05) socket.resetAndDestroy();
    else socket.destroy();
  };
  const when = random();
  socket.resume();
  await once(socket, 'connect').catch(() => undefined);
  socket.write(text, () => {
    if (when < 0.4) setImmediate(cut);
    else if (when < 0.5) cut();
  });
  // The others wait for a first piece of an answer, if the requests are whole enough to get any.
  if (when >= 0.5) {
    socket.once('data', () => setImmediate(cut));
    if (text.length < (texts[0] as string).length) socket.end();
  }
  await closed;
}

function written({ method, path, headers, body }: Wish): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\nHost: a\r\n${lines.join('')}\r\n${body?.toString() ?? ''}`;
}
