/** The service that both gateways stand in front of: a real HTTP server with a few workers, and bad days. */

import { once } from 'node:events';
import { type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { seededRandom } from 'breakwater/testing';

/** How the service behaves. */
export interface Mood {
  /** What one request takes a worker, ms; it varies by half. `Infinity`: it hangs. */
  readonly takes: number;
  /** Share of requests answered with 500. */
  readonly fails: number;
}

/** Workers: what the service can do at the same time. All else waits in line. */
const workers = 8;

export interface Upstream {
  readonly url: string;
  setMood(mood: Mood): void;
  /** Requests it has on its hands: served, hanging or in line. */
  readonly load: number;
  /** Requests it was ever sent. */
  readonly arrived: number;
  /** The highest load since the last time somebody asked. */
  takePeak(): number;
  stop(): Promise<void>;
}

/** Starts the service on a free port. */
export async function startUpstream(mood: Mood, seed: number): Promise<Upstream> {
  const random = seededRandom(seed);
  const line = new Set<ServerResponse>();
  const served = new Map<ServerResponse, NodeJS.Timeout | undefined>();
  let now = mood;
  let arrived = 0;
  let peak = 0;

  const work = (response: ServerResponse): void => {
    const timer = now.takes === Infinity ? undefined : setTimeout(() => answer(response), now.takes * (0.75 + random() / 2));
    served.set(response, timer);
  };
  const answer = (response: ServerResponse): void => {
    const failed = random() < now.fails;
    response.writeHead(failed ? 500 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(failed ? { error: 'out of order' } : { pieces: Math.floor(random() * 100) }));
  };
  const next = (): void => {
    for (const response of line) {
      if (served.size >= workers) return;
      line.delete(response);
      work(response);
    }
  };

  const server = createServer((_request, response) => {
    arrived++;
    line.add(response);
    // A client that hangs up frees its worker. The bare gateway never does.
    response.once('close', () => {
      clearTimeout(served.get(response));
      served.delete(response);
      line.delete(response);
      next();
    });
    next();
    peak = Math.max(peak, line.size + served.size);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    setMood(mood) {
      const hung = [...served].filter(([, timer]) => timer === undefined).map(([response]) => response);
      now = mood;
      for (const response of hung) work(response);
    },
    get load() {
      return line.size + served.size;
    },
    get arrived() {
      return arrived;
    },
    takePeak() {
      const highest = peak;
      peak = line.size + served.size;
      return highest;
    },
    async stop() {
      for (const timer of served.values()) clearTimeout(timer);
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
