/** Starts one of the services, and an upstream for it to call: `npx tsx examples/services/main.ts fastify`. Ctrl-C ends it, as SIGTERM would. */

import { start as startExpress } from './express/service.ts';
import { start as startFastify } from './fastify/service.ts';
import { start as startNest } from './nest/service.ts';
import type { Start } from './service.ts';
import { startUpstream } from './upstream.ts';

const services: ReadonlyMap<string | undefined, { readonly start: Start; readonly path: string }> = new Map([
  ['fastify', { start: startFastify, path: '/stock/bolt' }],
  ['express', { start: startExpress, path: '/catalogue' }],
  ['nest', { start: startNest, path: '/advice' }],
]);

const name = process.argv[2];
const service = services.get(name);
if (service === undefined) {
  console.error(`Say which: ${[...services.keys()].join(', ')}.`);
  process.exit(1);
}

const upstream = process.env['UPSTREAM'] ?? (await startUpstream()).url;
const { url, life } = await service.start(upstream, Number(process.env['PORT'] ?? 0));
life.onSignals({ exit: true });
console.log(`listening on ${url}

  curl -i ${url}${service.path}
  curl -X POST '${upstream}/fail?times=50'    # a bad day; then ask again
  curl ${url}/ready`);
