import { describe, expect, test, vi } from 'vitest';
import { OptionsError, type Switchboard, degrade, pipeline, switchboard } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

const levels = ['full', { name: 'light', work: true }, 'off'] as const;
const newYear = 946_684_800_000;

/** A board with three features, on a clock of its own. */
const arranged = (options: object = {}): { board: Switchboard; clock: VirtualClock; stand: () => string } => {
  const clock = new VirtualClock();
  const board = switchboard({ clock, ...options });
  for (const feature of ['c', 'a', 'b']) degrade({ feature, board, levels });
  return {
    board,
    clock,
    stand: () =>
      board
        .list()
        .map(({ level }) => level)
        .join(' '),
  };
};

describe('the list', () => {
  test('shows all features by name, with who, why, since and until', async () => {
    const { board, clock } = arranged();
    await clock.advance('1s');
    board.set('b', 'off', { reason: 'index broken', by: 'ada', for: '1h' });
    expect(board.list()).toEqual([
      {
        feature: 'a',
        kind: 'read',
        levels: ['full', 'light', 'off'],
        level: 'full',
        degraded: false,
        cause: 'none',
        since: newYear,
        automatic: false,
        holds: 0,
      },
      {
        feature: 'b',
        kind: 'read',
        levels: ['full', 'light', 'off'],
        level: 'off',
        degraded: true,
        cause: 'manual',
        reason: 'index broken',
        by: 'ada',
        since: newYear + 1000,
        until: newYear + 3_601_000,
        automatic: false,
        holds: 0,
      },
      {
        feature: 'c',
        kind: 'read',
        levels: ['full', 'light', 'off'],
        level: 'full',
        degraded: false,
        cause: 'none',
        since: newYear,
        automatic: false,
        holds: 0,
      },
    ]);
    expect(board.get('b')).toMatchObject({ level: 'off' });
    expect(board.get('__proto__')).toBeUndefined();
  });

  test('orders by hand, holds and what takes them back', () => {
    const { board, stand } = arranged();
    const hold = board.hold('a', 'light');
    board.set('c', 'off', 'sale');
    expect(stand()).toBe('light full off');
    hold.release();
    expect([board.clear('c'), board.clear('c')]).toEqual([true, false]);
    expect(stand()).toBe('full full full');
  });

  test('a snapshot is plain data, and looking twice shows the same', () => {
    const { board } = arranged();
    board.plan('rush', { a: 'off' }).apply('sale');
    board.plan('outage', { b: 'off' });
    const snapshot = board.snapshot();
    expect(JSON.parse(JSON.stringify(snapshot))).toEqual(snapshot);
    expect(board.snapshot()).toEqual(snapshot);
    expect(snapshot.plans).toEqual([
      { plan: 'rush', levels: [{ feature: 'a', level: 'off' }], applied: true, since: newYear, reason: 'sale' },
      { plan: 'outage', levels: [{ feature: 'b', level: 'off' }], applied: false },
    ]);
  });
});

describe('plans', () => {
  test('flip all their features in one call, and are taken back in one call', () => {
    const { board, stand } = arranged();
    const rush = board.plan('rush', { a: 'light', b: 'off' });
    expect([stand(), rush.applied]).toEqual(['full full full', false]);
    rush.apply();
    expect([stand(), rush.applied]).toEqual(['light off full', true]);
    expect([rush.rollback(), rush.rollback()]).toEqual([true, false]);
    expect([stand(), rush.applied]).toEqual(['full full full', false]);
  });

  test('that overlap are layers: the latest counts, and taking any one back leaves what the others say', () => {
    const { board, stand } = arranged();
    board.set('c', 'light');
    board.plan('rush', { a: 'light', b: 'off' });
    board.plan('outage', { b: 'light', c: 'off' });
    board.apply('rush');
    board.apply('outage');
    expect(stand()).toBe('light light off');
    board.rollback('rush');
    expect(stand()).toBe('full light off');
    board.rollback('outage');
    expect(stand()).toBe('full full light');
  });

  test('an order by hand after a plan counts more, and is there when the plan is gone', () => {
    const { board, stand } = arranged();
    board.plan('rush', { a: 'off', b: 'off' }).apply();
    board.set('a', 'full', 'needed after all');
    expect(stand()).toBe('full off full');
    board.rollback();
    expect(stand()).toBe('full full full');
    expect(board.get('a')).toMatchObject({ cause: 'manual', reason: 'needed after all' });
  });

  test('without a name the plan on top is taken back', () => {
    const { board, stand } = arranged();
    board.plan('one', { a: 'off' }).apply();
    board.plan('two', { b: 'off' }).apply();
    board.apply('one');
    expect(board.rollback()).toBe(true);
    expect(stand()).toBe('full off full');
    expect([board.rollback(), board.rollback()]).toEqual([true, false]);
    expect(stand()).toBe('full full full');
  });

  test('an unknown feature or level flips nothing, and all that is wrong is told at once', () => {
    const { board, stand } = arranged();
    board.plan('broken', { a: 'off', nobody: 'off', b: 'of' });
    const refusal = (): void => board.apply('broken');
    expect(refusal).toThrow(OptionsError);
    expect(refusal).toThrow(
      'apply.feature: expected a feature that switchboard knows, got "nobody"; apply.level: expected a level of b: full, light, off, got "of"',
    );
    expect(stand()).toBe('full full full');
    expect(board.history()).toEqual([]);
    degrade({ feature: 'nobody', board });
    board.plan('broken', { a: 'off', nobody: 'off' });
    board.apply('broken');
    expect(stand()).toBe('off full full off');
  });

  test('one that is defined anew while it stands is what it was, until it is applied again', () => {
    const { board, stand } = arranged();
    const rush = board.plan('rush', { a: 'off', b: 'off' });
    rush.apply();
    board.plan('rush', { c: 'off' });
    expect(stand()).toBe('off off full');
    rush.apply();
    expect(stand()).toBe('full full off');
  });

  test('lapse as a whole, without a timer, in the order of their times', async () => {
    const { board, clock, stand } = arranged();
    board.plan('rush', { a: 'off', b: 'off' }).apply({ for: '2m' });
    board.plan('outage', { b: 'light' }).apply({ for: '1m' });
    expect([stand(), clock.pending]).toEqual(['off light full', 0]);
    await clock.advance('1m');
    expect(stand()).toBe('off off full');
    await clock.advance('1m');
    expect(board.snapshot().plans.map(({ applied }) => applied)).toEqual([false, false]);
    expect(stand()).toBe('full full full');
    expect(board.rollback('rush')).toBe(false);
  });
});

describe('the history', () => {
  test('tells who did what, when and why, and what came of it', async () => {
    const { board, clock } = arranged();
    board.plan('rush', { a: 'light', b: 'off' }).apply({ reason: 'sale', by: 'ada', for: '1m' });
    await clock.advance('1s');
    board.set('b', 'off', 'again');
    await clock.advance('1m');
    board.clear('b', { by: 'bob' });
    expect(board.history()).toEqual([
      {
        at: newYear,
        action: 'applied',
        plan: 'rush',
        reason: 'sale',
        by: 'ada',
        changes: [
          { feature: 'a', from: 'full', to: 'light' },
          { feature: 'b', from: 'full', to: 'off' },
        ],
      },
      { at: newYear + 1000, action: 'set', feature: 'b', reason: 'again', changes: [] },
      {
        at: newYear + 61_000,
        action: 'lapsed',
        plan: 'rush',
        reason: 'sale',
        by: 'ada',
        changes: [{ feature: 'a', from: 'light', to: 'full' }],
      },
      { at: newYear + 61_000, action: 'cleared', feature: 'b', by: 'bob', changes: [{ feature: 'b', from: 'off', to: 'full' }] },
    ]);
  });

  test('keeps the last entries, as many as it is told', () => {
    const { board } = arranged({ history: 3 });
    for (let i = 0; i < 10; i++) board.set('a', i % 2 === 0 ? 'off' : 'full', `order ${i}`);
    expect(board.history().map(({ reason }) => reason)).toEqual(['order 7', 'order 8', 'order 9']);
    const { board: none } = arranged({ history: 0 });
    none.set('a', 'off');
    expect(none.history()).toEqual([]);
  });
});

describe('listeners', () => {
  test('hear of all changes, also of features that no pipeline serves, once everything is flipped', () => {
    const { board, stand } = arranged({ name: 'shop' });
    const told: unknown[] = [];
    const off = board.on('degrade.changed', ({ pipeline: where, feature, to, level, plan }) =>
      told.push([where, feature, to, level, plan, stand()]),
    );
    board.plan('rush', { a: 'light', b: 'off' }).apply();
    board.rollback();
    off();
    board.set('a', 'off');
    expect(told).toEqual([
      ['shop', 'a', 'light', 'warn', 'rush', 'light off full'],
      ['shop', 'b', 'off', 'warn', 'rush', 'light off full'],
      ['shop', 'a', 'full', 'info', 'rush', 'full full full'],
      ['shop', 'b', 'full', 'info', 'rush', 'full full full'],
    ]);
  });

  test('one that throws keeps nobody from hearing', () => {
    const { board } = arranged();
    const told: string[] = [];
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    try {
      board.on('degrade.changed', () => {
        throw new Error('listener');
      });
      board.on('degrade.changed', ({ feature }) => told.push(feature));
      board.plan('rush', { a: 'off', b: 'off' }).apply();
    } finally {
      warned.mockRestore();
    }
    expect(told).toEqual(['a', 'b']);
  });
});

describe('time', () => {
  test('a board without a clock goes by that of the first pipeline that has one, and what stood goes on', async () => {
    const board = switchboard();
    const clock = new VirtualClock({ start: 5_000_000 });
    const a = degrade({ feature: 'a', board });
    a.set('off', { for: '1m' });
    const served = pipeline([a], { clock });
    pipeline([a], { clock: new VirtualClock() });
    await clock.advance('59s');
    expect((await served.executeOutcome(() => 1)).ok).toBe(false);
    await clock.advance('2s');
    expect((await served.executeOutcome(() => 1)).ok).toBe(true);
  });
});

describe('options and names (G9)', () => {
  test.each<[string, () => unknown]>([
    ['switchboard.max', () => switchboard({ max: 0 })],
    ['switchboard.name', () => switchboard({ name: '' })],
    ['switchboard.clock', () => switchboard({ clock: {} as never })],
    ['set.feature', () => arranged().board.set('d', 'off')],
    ['set.level', () => arranged().board.set('a', '__proto__')],
    ['set.reason', () => arranged().board.set('a', 'off', '')],
    ['set.by', () => arranged().board.set('a', 'off', { by: 'x'.repeat(501) })],
    ['set.for', () => arranged().board.set('a', 'off', { for: 0 })],
    ['clear.feature', () => arranged().board.clear('d')],
    ['hold.feature', () => arranged().board.hold('d', 'off')],
    ['plan.name', () => arranged().board.plan('toString', { a: 'off' })],
    ['plan.levels', () => arranged().board.plan('rush', {})],
    ['plan.levels', () => arranged().board.plan('rush', ['a'] as never)],
    ['plan.levels.name', () => arranged().board.plan('rush', JSON.parse('{"__proto__":"off"}') as never)],
    ['plan.levels.a.name', () => arranged().board.plan('rush', { a: 5 } as never)],
    ['apply.plan', () => arranged().board.apply('nobody')],
    ['rollback.plan', () => arranged().board.rollback('nobody')],
  ])('%s', (path, act) => {
    try {
      act();
      expect.unreachable();
    } catch (problem) {
      expect(problem).toBeInstanceOf(OptionsError);
      expect((problem as OptionsError).path).toBe(path);
    }
  });

  test('features and plans are bounded in number', () => {
    const board = switchboard({ max: 2 });
    for (const feature of ['a', 'b', 'a']) degrade({ feature, board });
    expect(() => degrade({ feature: 'c', board })).toThrow('degrade.feature: expected at most 2 on switchboard, got "c" as well');
    for (const plan of ['one', 'two', 'one']) board.plan(plan, { a: 'off' });
    expect(() => board.plan('three', { a: 'off' })).toThrow(OptionsError);
  });
});
