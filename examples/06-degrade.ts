/** A shop that does less before it breaks: features with levels, a plan for the sale, and one that goes down by itself. */

import { degrade, pipeline, switchboard } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

const clock = new VirtualClock();
const board = switchboard({ name: 'shop' });

// Reading features answer with something lesser, writing ones refuse.
const hints = degrade({
  feature: 'hints',
  board,
  levels: ['full', { name: 'popular', run: () => ['tea'] }, { name: 'off', value: [] }],
  auto: { failureRate: 0.5, minCalls: 4, minDwell: '30s' },
});
const wishlist = degrade({ feature: 'wishlist', board, kind: 'write' });
const page = pipeline([hints], { clock });
const saving = pipeline([wishlist], { clock, name: 'shop' });

const standing = (): string =>
  board
    .list()
    .map(({ feature, level, cause }) => `${feature} ${level} (${cause})`)
    .join(', ');
console.log(standing()); // => hints full (none), wishlist full (none)

// By plan: one call there, one call back. Forgotten ones end by themselves.
board.plan('sale', { hints: 'popular', wishlist: 'off' });
board.apply('sale', { reason: 'black friday', by: 'ada', for: '5h' });
console.log(standing()); // => hints popular (plan), wishlist off (plan)
console.log(await page.executeOutcome(() => ['books', 'tea'])); // => { ok: true, value: [ 'tea' ], degraded: true }
const refused = await saving.executeOutcome(() => 'saved');
console.log(refused.ok || (refused.error as Error).message); // => shop: wishlist is at level off: black friday
board.rollback('sale');
console.log(standing()); // => hints full (none), wishlist full (none)

// By itself: four failures are enough, and half a minute later it tries again.
for (let i = 0; i < 4; i++) await page.executeOutcome(() => Promise.reject(new Error('down')));
console.log(standing()); // => hints popular (automatic), wishlist full (none)
await clock.advance('30s');
console.log(await page.execute(() => ['books', 'tea'])); // => [ 'books', 'tea' ]

// Who did what.
const deeds = board.history().map(({ action, changes }) => `${action} ${changes.length}`);
console.log(deeds); // => [ 'applied 2', 'rolled-back 2', 'automatic 1', 'automatic 1' ]
