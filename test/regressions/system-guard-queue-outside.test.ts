import { describe, expect, test } from 'vitest';
import { VirtualClock, arrange } from 'breakwater/testing';
import { type SystemGuardOptions, systemGuard } from '../../src/policies/system-guard.ts';

/**
 * A server whose handlers compute for 10 ms and never wait, with 250 requests a second for 20 seconds. What has come by the beginning of a turn of its event loop is handled in that turn, one after
 * the other, so what comes meanwhile waits in the sockets, and no more than one call is ever under way. A refusal takes 0.1 ms. Answers with what was served after 5 s: calls per second, and the median of
 * their times from when they came, ms.
 */
async function server(options: SystemGuardOptions): Promise<{ goodput: number; median: number }> {
  const turns: { readonly end: number; readonly ms: number }[] = [];
  let turn = 0;
  const late = (now: number): number => {
    const lately = turns.filter(({ end }) => end > now - 1000).map(({ ms }) => ms);
    return Math.max(0, now - turn > 500 ? (now - turn) / 2 : 0, ...lately);
  };
  const clock = new VirtualClock();
  const monitor = { read: () => ({ eventLoopDelay: late(clock.now()), eventLoopUtilization: 1 }) };
  const { run } = arrange(systemGuard({ monitor, ...options }), { clock });
  const times: number[] = [];
  for (let next = 0; clock.now() < 20_000;) {
    turn = clock.now();
    if (next * 4 > turn) clock.jump(next * 4 - turn);
    for (turn = clock.now(); next * 4 <= turn; next++) {
      const came = next * 4;
      const served = await run(() => {
        clock.jump(10);
        return true;
      }).catch(() => false);
      if (!served) clock.jump(0.1);
      else if (clock.now() > 5000) times.push(clock.now() - came);
    }
    turns.push({ end: clock.now(), ms: clock.now() - turn });
  }
  times.sort((a, b) => a - b);
  return { goodput: times.length / 15, median: times[times.length >> 1] as number };
}

// The check of Sentinel, Kratos and go-zero looks at calls under way, of which a Node server that computes never has more than one, however long the queue is in front of it.
describe('a queue that waits where no guard can count it', () => {
  test('is seen by how late the event loop is: the server serves nearly what it can, in time', async () => {
    const { goodput, median } = await server({});
    expect(goodput).toBeGreaterThan(75);
    expect(median).toBeLessThan(200);
  });

  test('grows for as long as the overload lasts if nobody looks', async () => {
    const { median } = await server({ eventLoopDelay: false, eventLoopUtilization: false, cpu: false });
    expect(median).toBeGreaterThan(5000);
  });
});
