import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type LevelHold, degrade, switchboard } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

const levels = ['full', 'light', 'cached', 'off'];
const features = ['a', 'b', 'c'];
const plans = ['one', 'two', 'three'];

const level = fc.integer({ min: 0, max: 3 });
const feature = fc.constantFrom(...features);
const plan = fc.constantFrom(...plans);
const time = fc.option(fc.integer({ min: 1, max: 50 }), { nil: undefined });
const command = fc.oneof(
  fc.record({ do: fc.constant('apply' as const), plan, time }),
  fc.record({ do: fc.constant('rollback' as const), plan: fc.option(plan, { nil: undefined }) }),
  fc.record({ do: fc.constant('set' as const), feature, level, time }),
  fc.record({ do: fc.constant('clear' as const), feature }),
  fc.record({ do: fc.constant('hold' as const), feature, level }),
  fc.record({ do: fc.constant('release' as const), which: fc.nat(9) }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 40 }) }),
);
const definitions = fc.tuple(...plans.map(() => fc.dictionary(feature, level, { minKeys: 1 })));

/** What the board should say, told as simply as can be: orders in a list, and holds in another. */
interface Order {
  readonly name: string;
  readonly plan: boolean;
  readonly levels: Readonly<Record<string, number>>;
  readonly until: number;
}

test('any sequence of plans, orders by hand, holds, lapses and their ends stands where the orders that remain say', async () => {
  await fc.assert(
    fc.asyncProperty(definitions, fc.array(command, { maxLength: 40 }), async (defined, commands) => {
      const clock = new VirtualClock();
      const board = switchboard({ clock });
      for (const each of features) degrade({ feature: each, board, levels });
      const named = (given: Readonly<Record<string, number>>): Record<string, string> =>
        Object.fromEntries(Object.entries(given).map(([name, n]) => [name, levels[n] as string]));
      plans.forEach((name, i) => board.plan(name, named(defined[i] as Record<string, number>)));
      let orders: Order[] = [];
      const holds: { hold: LevelHold; feature: string; level: number; held: boolean }[] = [];
      const put = (order: Order): void => void (orders = [...orders.filter(({ name }) => name !== order.name), order]);
      const take = (name: string | undefined): boolean => {
        const before = orders.length;
        orders = orders.filter((order) => order.name !== name);
        return orders.length < before;
      };
      for (const each of commands) {
        const until = clock.now() + (('time' in each ? each.time : undefined) ?? Infinity);
        const how = 'time' in each && each.time !== undefined ? { for: each.time } : {};
        if (each.do === 'apply') {
          board.apply(each.plan, how);
          put({ name: each.plan, plan: true, levels: defined[plans.indexOf(each.plan)] as Record<string, number>, until });
        } else if (each.do === 'rollback') {
          expect(board.rollback(each.plan)).toBe(take(each.plan ?? orders.findLast((order) => order.plan)?.name));
        } else if (each.do === 'set') {
          board.set(each.feature, levels[each.level] as string, how);
          put({ name: `by hand ${each.feature}`, plan: false, levels: { [each.feature]: each.level }, until });
        } else if (each.do === 'clear') {
          expect(board.clear(each.feature)).toBe(take(`by hand ${each.feature}`));
        } else if (each.do === 'hold') {
          holds.push({ ...each, hold: board.hold(each.feature, levels[each.level] as string), held: true });
        } else if (each.do === 'release') {
          const chosen = holds[each.which % Math.max(1, holds.length)];
          chosen?.hold.release();
          if (chosen !== undefined) chosen.held = false;
        } else {
          await clock.advance(each.ms);
          orders = orders.filter((order) => order.until > clock.now());
        }
        const expected = features.map((name) => {
          const ordered = orders.findLast((order) => Object.hasOwn(order.levels, name))?.levels[name] ?? 0;
          return levels[Math.max(ordered, ...holds.filter((one) => one.held && one.feature === name).map((one) => one.level))];
        });
        expect(board.list().map((state) => state.level)).toEqual(expected);
      }
      for (const { hold } of holds) hold.release();
      for (const name of features) board.clear(name);
      while (board.rollback());
      expect(board.list().every(({ degraded, cause, holds: held }) => !degraded && cause === 'none' && held === 0)).toBe(true);
      // Every change of a level is in the history, and nothing else: played again, it ends where the board stands.
      const played = new Map(features.map((name) => [name, 'full']));
      for (const { changes } of board.history().slice(-100)) for (const change of changes) played.set(change.feature, change.to);
      expect(board.list().map((state) => state.level)).toEqual(features.map((name) => played.get(name)));
    }),
    { numRuns: 300 },
  );
});

test('a plan that is applied and taken back leaves everything as it was, whatever stood before', () => {
  const setting = fc.array(fc.record({ feature, level }), { maxLength: 6 });
  fc.assert(
    fc.property(definitions, setting, fc.shuffledSubarray(plans), fc.shuffledSubarray(plans), (defined, settings, before, order) => {
      const board = switchboard({ clock: new VirtualClock() });
      for (const each of features) degrade({ feature: each, board, levels });
      const named = (given: Readonly<Record<string, number>>): Record<string, string> =>
        Object.fromEntries(Object.entries(given).map(([name, n]) => [name, levels[n] as string]));
      plans.forEach((name, i) => board.plan(name, named(defined[i] as Record<string, number>)));
      for (const each of settings) board.set(each.feature, levels[each.level] as string);
      const standing = before.slice(0, 1);
      for (const name of standing) board.apply(name);
      const stood = board.list();
      const others = order.filter((name) => !standing.includes(name));
      for (const name of others) board.apply(name);
      for (const name of [...others].sort()) board.rollback(name);
      expect(board.list()).toEqual(stood);
    }),
  );
});
