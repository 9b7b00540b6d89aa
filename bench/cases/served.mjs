/** What a guard costs each request of a server: processor time of the server's process, since whoever sends the requests shares the machine. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';

const script = fileURLToPath(new URL('../server.mjs', import.meta.url));
const CONNECTIONS = 20;
/** So many requests come before those that count. */
const WARM_UP = 0.5;

async function measure({ which }, n) {
  const server = fork(script, [which]);
  try {
    const [{ port }] = await once(server, 'message');
    const url = `http://127.0.0.1:${port}/`;
    await send(url, Math.ceil(n * WARM_UP));
    const before = await processorTime(server);
    const { answered, rate } = await send(url, n);
    const spent = (await processorTime(server)) - before;
    return { rate, cpu: spent / answered, answered };
  } finally {
    server.disconnect();
  }
}

async function send(url, amount) {
  const result = await autocannon({ url, amount: Math.max(amount, CONNECTIONS), connections: CONNECTIONS });
  return { answered: result['2xx'], rate: result['2xx'] / result.duration };
}

async function processorTime(server) {
  server.send('cpu');
  const [{ cpu }] = await once(server, 'message');
  return cpu.user + cpu.system;
}

function served(id, title, contestants) {
  return {
    id,
    title,
    size: 20_000,
    rounds: 3,
    columns: [
      { key: 'rate', title: 'requests/s' },
      { key: 'cpu', title: 'server, µs a request', ratio: true },
    ],
    measure,
    expected({ answered }, n, name) {
      if (answered < n) throw new Error(`${name}: of ${n} requests, ${answered} were served`);
    },
    contestants,
  };
}

export const servedCases = [
  served('served-node', 'Served by node:http', [
    { name: 'breakwater protect, a bulkhead', which: 'node-slots' },
    { name: 'bare node:http', which: 'node' },
  ]),
  served('served-express', 'Served by Express 5', [
    { name: 'breakwater guard, a limit per client, with RateLimit fields', which: 'express-limit' },
    { name: 'the same without the fields', which: 'express-limit-plain' },
    { name: 'breakwater guard, a bulkhead', which: 'express-slots' },
    { name: 'bare Express', which: 'express' },
    { name: 'express-rate-limit, with RateLimit fields', which: 'express-rate-limit' },
  ]),
  served('served-fastify-limit', 'Served by Fastify 5: a limit per client', [
    { name: 'breakwater, with RateLimit fields', which: 'fastify-limit' },
    { name: 'bare Fastify', which: 'fastify' },
    { name: '@fastify/rate-limit, with RateLimit fields', which: 'fastify-rate-limit' },
  ]),
  served('served-fastify-load', 'Served by Fastify 5: refusing under load', [
    { name: 'breakwater systemGuard', which: 'fastify-system' },
    { name: 'breakwater bulkhead', which: 'fastify-slots' },
    { name: 'bare Fastify', which: 'fastify' },
    { name: '@fastify/under-pressure', which: 'fastify-under-pressure' },
  ]),
  served('served-fastify-circuit', 'Served by Fastify 5: a circuit breaker and a timeout', [
    { name: 'breakwater circuitBreaker, timeout', which: 'fastify-circuit' },
    { name: 'bare Fastify', which: 'fastify' },
    { name: '@fastify/circuit-breaker', which: 'fastify-circuit-breaker' },
  ]),
];
