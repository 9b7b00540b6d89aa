/** The servers without the load, for people with curl. */

import { bareGateway, guardedGateway, listen } from './gateways.ts';
import { phases } from './scenario.ts';
import { startUpstream } from './upstream.ts';
import express from 'express';

/** Starts service and gateways, says how to talk to them, and stays until it is interrupted. */
export async function serve(): Promise<void> {
  const [first, ...others] = phases as readonly [(typeof phases)[number], ...typeof phases];
  const upstreams = [await startUpstream(first.mood, 1), await startUpstream(first.mood, 2)] as const;
  const guarded = guardedGateway(upstreams[1].url);
  const control = express();
  control.post('/:mood', (req, res) => {
    const phase = phases.find(({ name }) => name === req.params.mood);
    if (phase === undefined) {
      res.status(404).send(`one of ${phases.map(({ name }) => name).join(', ')}\n`);
      return;
    }
    for (const upstream of upstreams) upstream.setMood(phase.mood);
    res.send(`the service is ${phase.name}\n`);
  });
  control.get('/snapshot', (_req, res) => void res.send(`${JSON.stringify(guarded.stock.snapshot(), undefined, 2)}\n`));
  const running = [await listen(bareGateway(upstreams[0].url)), await listen(guarded.app), await listen(control)] as const;
  const [bare, second, mood] = running.map(({ port }) => `http://127.0.0.1:${port}`);

  console.log(`The service is ${first.name}. Ask for stock, bare and guarded:

  curl -i -m 5 ${bare}/stock/7
  curl -i -m 5 ${second}/stock/7

Spoil the day (${[...others, first].map(({ name }) => name).join(', ')}) and ask again:

  curl -X POST ${mood}/hanging

See what the policies think of it:

  curl ${mood}/snapshot

Ctrl-C ends it.`);
  await new Promise<void>((resolve) => {
    process.once('SIGINT', resolve).once('SIGTERM', resolve);
  });
  await Promise.all([...running, ...upstreams].map((each) => each.stop()));
}
