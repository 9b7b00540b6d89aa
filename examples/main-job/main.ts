/**
 * The main job: a service with five kinds of days, a bare and a guarded gateway in front of it, and the same users on both.
 *
 *     npm start                 the whole of it, about 45 s
 *     npm start -- --short      the same in about 15 s
 *     npm start -- --serve      no users: the servers stay up for you and curl
 */

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { Screen } from './screen.ts';
import { type Progress, runScenario } from './scenario.ts';
import { serve } from './serve.ts';

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    serve: { type: 'boolean', default: false },
    seed: { type: 'string', default: '42' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

if (values.help) {
  console.log('npm start -- [--short] [--serve] [--seed <number>]');
} else if (values.serve) {
  await serve();
} else {
  const { isTTY, columns } = process.stdout;
  const live = isTTY && columns >= 80;
  const screen = new Screen(isTTY && process.env['NO_COLOR'] === undefined);
  const rate = 50;
  const busy = monitorEventLoopDelay({ resolution: 10 });
  busy.enable();
  console.log(
    `One service, two gateways, ${rate} users a second at each. The service is healthy, gets slow, fails, hangs, and recovers.\n`,
  );

  let drawn = 0;
  const draw = (progress: Progress): void => {
    if (!live) {
      console.log(screen.line(progress));
      return;
    }
    const table = screen.table(progress);
    process.stdout.write(`${drawn > 0 ? `\x1b[${drawn}A` : ''}\x1b[0J${table}\n`);
    drawn = table.split('\n').length;
  };
  const { bare, guarded } = await runScenario({
    scale: values.short ? 0.4 : 1,
    patience: values.short ? 2500 : 5000,
    rate,
    seed: Number(values.seed),
    progress: draw,
  });
  if (live && drawn > 0) process.stdout.write(`\x1b[${drawn}A\x1b[0J`);
  console.log(`${live ? '' : '\n'}${screen.summary(bare, guarded)}`);
  const delay = busy.percentile(99) / 1e6;
  if (delay > 50)
    console.log(`\nThis machine is busy (timers run up to ${Math.round(delay)} ms late): both gateways look slower than they are.`);
}
