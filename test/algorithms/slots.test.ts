import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Lifo } from '../../src/algorithms/lines/lifo.ts';
import { Holder, Slots, Waiter } from '../../src/algorithms/slots.ts';

type Slot = Holder<number, string>;
type Waiting = Waiter<number, string, never>;

const nobody = (): void => undefined;
const holder = (id: number): Slot => new Holder(id, 'door');
const waiter = (id: number): Waiting => new Waiter<number, string, never>(id, 'door', 0, Infinity, nobody);

/** Slots that write down who is let in from the line. */
function arranged(limit: number, places = 10): { slots: Slots<Slot, Waiting>; admitted: number[]; unwilling: Set<number> } {
  const admitted: number[] = [];
  const unwilling = new Set<number>();
  const slots = new Slots<Slot, Waiting>(limit, places, ({ owner }) => {
    admitted.push(owner);
    return !unwilling.has(owner);
  });
  return { slots, admitted, unwilling };
}

describe('slots', () => {
  test('are taken by newcomers up to the limit, and not beyond (B1)', () => {
    const { slots } = arranged(2);
    expect([slots.take(holder(1)), slots.take(holder(2)), slots.take(holder(3))]).toEqual([true, true, false]);
    expect([slots.limit, slots.active, slots.queued]).toEqual([2, 2, 0]);
  });

  test('are free again once given back, and a second word changes nothing (B2)', () => {
    const { slots } = arranged(1);
    const one = holder(1);
    slots.take(one);
    expect([slots.release(one), slots.release(one), slots.release(holder(9))]).toEqual([true, false, false]);
    expect(slots.active).toBe(0);
    expect(slots.take(holder(2))).toBe(true);
  });

  test('go to the head of the line in the very act of being given back: no newcomer can come between (B3)', () => {
    const { slots, admitted } = arranged(1);
    const one = holder(1);
    slots.take(one);
    slots.wait(waiter(2));
    slots.wait(waiter(3));
    expect(slots.line.oldest?.owner).toBe(2);
    slots.release(one);
    expect(admitted).toEqual([2]);
    expect([slots.active, slots.queued]).toEqual([1, 1]);
    expect(slots.take(holder(4))).toBe(false);
  });

  test('are not for newcomers while somebody waits, even in the middle of a raise of the limit (B3)', () => {
    const overtaken: boolean[] = [];
    const slots = new Slots<Slot, Waiting>(0, 10, () => {
      overtaken.push(slots.take(holder(9)));
      return true;
    });
    for (const id of [1, 2, 3]) slots.wait(waiter(id));
    slots.resize(3);
    expect(overtaken).toEqual([false, false, false]);
    expect([slots.active, slots.queued]).toEqual([3, 0]);
  });

  test('are offered to the next in line when the first wants none any more', () => {
    const { slots, admitted, unwilling } = arranged(1);
    const one = holder(1);
    slots.take(one);
    for (const id of [2, 3, 4]) slots.wait(waiter(id));
    unwilling.add(2).add(3);
    slots.release(one);
    expect(admitted).toEqual([2, 3, 4]);
    expect([slots.active, slots.queued]).toEqual([1, 0]);
  });

  test('have a line of so many places (B3)', () => {
    const { slots } = arranged(1, 2);
    slots.take(holder(1));
    const two = waiter(2);
    slots.wait(two);
    expect(slots.hasPlace).toBe(true);
    slots.wait(waiter(3));
    expect(slots.hasPlace).toBe(false);
    expect([slots.leave(two), slots.leave(two)]).toEqual([true, false]);
    expect(slots.hasPlace).toBe(true);
    expect(arranged(1, 0).slots.hasPlace).toBe(false);
  });

  test('shrink without turning anybody out: nobody gets in until there is room (B5)', () => {
    const { slots, admitted } = arranged(3);
    const held = [1, 2, 3].map(holder);
    for (const each of held) slots.take(each);
    slots.wait(waiter(4));
    slots.resize(1);
    expect([slots.limit, slots.active]).toEqual([1, 3]);
    for (const each of held.slice(0, 2)) slots.release(each);
    expect([slots.active, admitted]).toEqual([1, []]);
    slots.release(held[2] as Slot);
    expect([slots.active, admitted]).toEqual([1, [4]]);
  });

  test('grow to those who wait at once, in order, as far as they go', () => {
    const { slots, admitted } = arranged(0);
    for (const id of [1, 2, 3, 4]) slots.wait(waiter(id));
    slots.resize(3);
    expect(admitted).toEqual([1, 2, 3]);
    expect([slots.active, slots.queued]).toEqual([3, 1]);
  });

  test('tell whether something holds for one of their holders, and do not count those who wait', () => {
    const { slots } = arranged(2);
    slots.take(holder(1));
    slots.take(holder(2));
    slots.wait(waiter(3));
    expect([1, 2, 3].map((id) => slots.someHolder(({ owner }) => owner === id))).toEqual([true, true, false]);
  });

  test('serve in another order if the line has one', () => {
    const admitted: number[] = [];
    const slots = new Slots<Slot, Waiting>(0, 10, ({ owner }) => admitted.push(owner) > 0, new Lifo());
    for (const id of [1, 2, 3]) slots.wait(waiter(id));
    expect(slots.line.oldest?.owner).toBe(1);
    slots.resize(2);
    expect(admitted).toEqual([3, 2]);
  });

  test('agree with a list and a count on any sequence of commands (B1, B2, B3, B5)', () => {
    const command = fc.record({
      what: fc.constantFrom('come' as const, 'release' as const, 'leave' as const, 'resize' as const),
      which: fc.nat(30),
      limit: fc.nat(4),
      unwilling: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.nat(3), fc.nat(4), fc.array(command, { maxLength: 80 }), (limit, places, commands) => {
        const { slots, admitted, unwilling } = arranged(limit, places);
        const model = { limit, held: [] as number[], line: [] as number[], admitted: [] as number[] };
        const all = new Map<number, Waiting>();
        const fill = (): void => {
          while (model.held.length < model.limit && model.line.length > 0) {
            const next = model.line.shift() as number;
            model.admitted.push(next);
            if (!unwilling.has(next)) model.held.push(next);
          }
        };
        for (const [id, { what, which, limit: changed, unwilling: no }] of commands.entries()) {
          if (what === 'come') {
            if (no) unwilling.add(id);
            const come = waiter(id);
            all.set(id, come);
            const free = model.held.length < model.limit && model.line.length === 0;
            expect(slots.take(come)).toBe(free);
            expect(slots.hasPlace).toBe(model.line.length < places);
            if (free) {
              model.held.push(id);
            } else if (slots.hasPlace) {
              slots.wait(come);
              model.line.push(id);
            }
          } else if (what === 'resize') {
            model.limit = changed;
            slots.resize(changed);
            fill();
          } else {
            const each = all.get(which);
            if (each === undefined) continue;
            const list = what === 'release' ? model.held : model.line;
            expect(what === 'release' ? slots.release(each) : slots.leave(each)).toBe(list.includes(which));
            if (list.includes(which)) list.splice(list.indexOf(which), 1);
            if (what === 'release') fill();
          }
          expect([slots.limit, slots.active, slots.queued, slots.line.oldest?.owner]).toEqual([
            model.limit,
            model.held.length,
            model.line.length,
            model.line[0],
          ]);
          expect(admitted).toEqual(model.admitted);
        }
      }),
    );
  });
});
