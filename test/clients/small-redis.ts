/** A Redis small enough to stand in a test: RESP2 over a real socket, a few commands, and a switch that makes it fall silent. */

import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { onTestFinished } from 'vitest';

export interface SmallRedis {
  readonly port: number;
  /** Commands that arrived, by name. */
  readonly seen: string[];
  /** Reads on, answers nothing: a frozen process. */
  silent: boolean;
  /** Everybody out, and the port is closed. */
  leave(): Promise<void>;
  /** Back on the same port. */
  comeBack(): Promise<void>;
}

export async function smallRedis(): Promise<SmallRedis> {
  const values = new Map<string, string>();
  const sockets = new Set<Socket>();
  let server: Server;
  const redis = { port: 0, seen: [] as string[], silent: false, leave, comeBack: listen };

  function answer([name = '', key = '', value = '']: readonly string[]): string {
    redis.seen.push(name);
    if (name === 'set') values.set(key, value);
    if (name === 'set') return '+OK\r\n';
    if (name === 'incr') return '-WRONGTYPE Operation against a key holding the wrong kind of value\r\n';
    if (name === 'info') return bulk('loading:0');
    if (name !== 'get') return '+OK\r\n';
    const found = values.get(key);
    return found === undefined ? '$-1\r\n' : bulk(found);
  }

  function serve(socket: Socket): void {
    let unread = '';
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (bytes) => {
      unread += bytes.toString();
      for (let read = command(unread); read !== undefined; read = command(unread)) {
        unread = unread.slice(read.length);
        const reply = answer(read.words);
        if (!redis.silent) socket.write(reply);
      }
    });
  }

  async function listen(): Promise<void> {
    server = createServer(serve);
    server.listen(redis.port, '127.0.0.1');
    await once(server, 'listening');
    redis.port = (server.address() as AddressInfo).port;
  }

  async function leave(): Promise<void> {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  }

  await listen();
  onTestFinished(leave);
  return redis;
}

function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}

/** The first whole command of what was read: an array of bulk strings. ASCII only. */
function command(text: string): { readonly words: string[]; readonly length: number } | undefined {
  const lines = text.split('\r\n');
  const count = Number(lines[0]?.slice(1));
  if (lines.length < count * 2 + 2) return undefined;
  const own = lines.slice(0, count * 2 + 1);
  return {
    words: own.filter((_, i) => i > 0 && i % 2 === 0).map((word, i) => (i === 0 ? word.toLowerCase() : word)),
    length: own.join('\r\n').length + 2,
  };
}
