/** What the figures were taken on. */

import { readFileSync } from 'node:fs';
import os from 'node:os';

const peers = [
  'cockatiel',
  'opossum',
  'bottleneck',
  'p-retry',
  'p-timeout',
  'p-limit',
  'p-queue',
  'rate-limiter-flexible',
  'express',
  'express-rate-limit',
  'fastify',
  '@fastify/rate-limit',
  '@fastify/under-pressure',
  '@fastify/circuit-breaker',
];

function versionIn(directory) {
  return JSON.parse(readFileSync(new URL(`${directory}/package.json`, import.meta.url), 'utf8')).version;
}

export function machine() {
  const processors = os.cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    v8: process.versions.v8,
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    processor: `${processors[0]?.model.trim() ?? 'unknown processor'}, ${processors.length} cores`,
    memory: `${Math.round(os.totalmem() / 2 ** 30)} GB`,
    load: os.loadavg()[0],
    own: versionIn('..'),
    peers: peers.map((name) => `${name} ${versionIn(`../node_modules/${name}`)}`),
  };
}
