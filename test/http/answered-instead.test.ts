import { describe, expect, onTestFinished, test } from 'vitest';
import { Serving } from '../../src/http/admission/serving.ts';
import { latch } from './serving.ts';

/** Rejections of which nobody has heard until the test is over. */
function unheard(): unknown[] {
  const heard: unknown[] = [];
  const hear = (reason: unknown): void => void heard.push(reason);
  process.on('unhandledRejection', hear);
  onTestFinished(() => void process.off('unhandledRejection', hear));
  return heard;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a handler at work, and the answer in its place', () => {
  test("is through with the application's own answer, or with what that failed with", async () => {
    const fine = new Serving();
    expect(await fine.through(Promise.resolve())).toBe(true);
    const broken = new Serving();
    await expect(broken.through(Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect([fine.over, broken.over]).toEqual([true, true]);
  });

  test('is through with the answer in its place while the handler still runs, and does not hear of its failure', async () => {
    const lost = unheard();
    const rest = latch<never>();
    const serving = new Serving();
    const through = serving.through(rest.opened);
    serving.replace(Promise.resolve());
    expect([await through, serving.over]).toEqual([false, false]);
    rest.open(Promise.reject(new Error('late')) as never);
    await turn();
    expect([serving.over, lost]).toEqual([true, []]);
  });

  test('waits for the answer in its place, also if the handler is through before that is there', async () => {
    const answer = latch();
    const serving = new Serving();
    const rest = latch();
    const through = serving.through(rest.opened);
    serving.replace(answer.opened);
    rest.open();
    await turn();
    expect(serving.over).toBe(true);
    answer.open();
    expect(await through).toBe(false);
  });

  test('fails as the answer in its place does', async () => {
    const serving = new Serving();
    const through = serving.through(new Promise(() => undefined));
    serving.replace(Promise.reject(new Error('no copy')));
    await expect(through).rejects.toThrow('no copy');
  });

  test('one that is answered for before it begins is not lost, and takes nothing down if it never begins', async () => {
    const lost = unheard();
    const serving = new Serving();
    serving.replace(Promise.reject(new Error('closed')));
    await turn();
    expect(lost).toEqual([]);
    await expect(serving.through(Promise.resolve())).rejects.toThrow('closed');
  });

  test('whoever goes on a second time hears why that cannot be', async () => {
    const serving = new Serving();
    await serving.through(Promise.resolve());
    await expect(serving.through(Promise.reject(new Error('next() called multiple times')))).rejects.toThrow('multiple times');
  });
});
