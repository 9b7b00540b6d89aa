/** docs/how-to/guard-a-consumer.md with a queue that takes messages back from whoever holds them too long. */

import { RejectedError, bulkhead, circuitBreaker, pipeline, retry, timeout, tokenBucket } from 'breakwater';
import { describe, expect, test } from 'vitest';

interface Message {
  readonly id: number;
  deliveries: number;
}

/** A queue that keeps books on who holds what, and for how long. */
function queueOf(count: number) {
  const held = new Map<number, number>();
  const queue = {
    waiting: Array.from({ length: count }, (_, id): Message => ({ id, deliveries: 0 })),
    done: [] as number[],
    dead: [] as number[],
    mostHeld: 0,
    longestHeld: 0,
    receive: (): Message | undefined => {
      const message = queue.waiting.shift();
      if (message !== undefined) held.set(message.id, performance.now());
      queue.mostHeld = Math.max(queue.mostHeld, held.size);
      return message;
    },
    settle: (message: Message, to: 'done' | 'dead' | 'waiting') => {
      queue.longestHeld = Math.max(queue.longestHeld, performance.now() - (held.get(message.id) ?? 0));
      held.delete(message.id);
      if (to === 'waiting') queue.waiting.push(message);
      else queue[to].push(message.id);
    },
  };
  return queue;
}

class HopelessError extends Error {}

/** The loop of the page. */
async function consume(queue: ReturnType<typeof queueOf>, handle: (message: Message) => Promise<void>, leaving = new AbortController()) {
  const breaker = circuitBreaker({ consecutiveFailures: 5, openFor: 60 });
  const intake = pipeline([bulkhead({ maxConcurrent: 10 }), tokenBucket({ rate: 2000, per: '1s', burst: 20 })]);
  const work = pipeline([timeout({ after: 1000 }), retry({ maxAttempts: 2, backoff: { delay: 1 }, budget: false }), breaker]);
  const running = new Set<Promise<void>>();
  let pausedUntil = 0;

  async function process(message: Message): Promise<number> {
    message.deliveries++;
    const outcome = await work.executeOutcome(async (): Promise<HopelessError | undefined> => {
      try {
        await handle(message);
        return undefined;
      } catch (error) {
        if (error instanceof HopelessError) return error;
        throw error;
      }
    });
    const refusal = outcome.ok || !(outcome.error instanceof RejectedError) ? undefined : outcome.error;
    if (refusal !== undefined) message.deliveries--;
    if (outcome.ok && outcome.value === undefined) queue.settle(message, 'done');
    else queue.settle(message, outcome.ok || message.deliveries >= 5 ? 'dead' : 'waiting');
    return refusal === undefined ? 0 : (refusal.retryAfter ?? 1000);
  }

  while (!leaving.signal.aborted) {
    const admission = performance.now() < pausedUntil ? undefined : intake.tryAcquire();
    const message = admission?.admitted === true ? queue.receive() : undefined;
    if (admission?.admitted !== true || message === undefined) {
      if (admission?.admitted === true) admission.ignore();
      if (queue.waiting.length === 0 && running.size === 0) break;
      await new Promise((resolve) => setTimeout(resolve, 2));
      continue;
    }
    const task = process(message).then((pause) => {
      admission.success();
      pausedUntil = Math.max(pausedUntil, performance.now() + pause);
      running.delete(task);
    });
    running.add(task);
  }
  await Promise.all(running);
  return { breaker, intake, work };
}

const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

describe('a consumer', () => {
  test('never holds more messages than it has slots, and acknowledges each once, after the work', async () => {
    const queue = queueOf(100);
    let running = 0;
    let most = 0;
    const { intake } = await consume(queue, async ({ id }) => {
      most = Math.max(most, ++running);
      expect(queue.done).not.toContain(id);
      await soon();
      running--;
    });
    expect(queue.done.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, id) => id));
    expect([most <= 10, queue.mostHeld <= 10, intake.snapshot().active]).toEqual([true, true, 0]);
  });

  test('puts aside at once what is hopeless, and in the end what never works, and opens no circuit for the former', async () => {
    const queue = queueOf(30);
    const runs = new Map<number, number>();
    await consume(queue, async ({ id }) => {
      runs.set(id, (runs.get(id) ?? 0) + 1);
      await soon();
      if (id % 2 === 0) throw new HopelessError('no');
      if (id === 7) throw new Error('never');
    });
    expect(queue.dead.toSorted((a, b) => a - b)).toEqual([0, 2, 4, 6, 7, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28]);
    expect(runs.get(0)).toBe(1);
    expect(runs.get(7)).toBeGreaterThanOrEqual(5);
    expect(queue.done).toHaveLength(14);
  });

  test('trap: while the circuit is open messages are given back, not used up, and nobody sleeps on one', async () => {
    const queue = queueOf(40);
    let broken = true;
    setTimeout(() => (broken = false), 150);
    let runs = 0;
    await consume(queue, async () => {
      runs++;
      await soon();
      if (broken) throw new Error('the database is away');
    });
    expect([queue.done.length, queue.dead]).toEqual([40, []]);
    expect(queue.longestHeld).toBeLessThan(1000);
    expect(runs).toBeLessThan(150);
  });

  test('that is told to stop takes nothing more and brings to an end what it has', async () => {
    const queue = queueOf(100);
    const leaving = new AbortController();
    await consume(
      queue,
      async ({ id }) => {
        if (id === 20) leaving.abort();
        await soon();
      },
      leaving,
    );
    expect(queue.done.length + queue.waiting.length).toBe(100);
    expect(queue.waiting.length).toBeGreaterThan(50);
  });
});
