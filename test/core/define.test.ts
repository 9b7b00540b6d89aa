import { describe, expect, test } from 'vitest';
import { OptionsError, definePolicy, fromMiddleware, isFailure, pipeline, refuse, retry, verdictOf } from 'breakwater';

const error = new Error('down');

describe('a policy of your own', () => {
  test('is a gate, one for all or one for each pipeline', async () => {
    let made = 0;
    const each = definePolicy({
      kind: 'each',
      gate: () => {
        made++;
        return { enter: () => 'pass', settle() {}, cancel() {} };
      },
    });
    await pipeline([each]).execute(() => 1);
    await pipeline([each]).execute(() => 1);
    expect(made).toBe(2);
  });

  test('is a driver that looks at outcomes', async () => {
    const verdicts: string[] = [];
    const judge = definePolicy({
      kind: 'judge',
      mount: (next) => async (call) => {
        const outcome = await next(call);
        verdicts.push(isFailure(outcome) ? `${verdictOf(outcome)} ${outcome.kind}` : verdictOf(outcome));
        return outcome;
      },
    });
    const judged = pipeline([judge]);
    expect(await judged.execute(() => 1)).toBe(1);
    await expect(judged.execute(() => Promise.reject(error))).rejects.toBe(error);
    expect(verdicts).toEqual(['success', 'failure thrown']);
  });

  test('tells its options and its state', () => {
    const told = definePolicy({
      kind: 'told',
      name: 'mine',
      mount: (next) => next,
      snapshot: () => ({ now: 1 }),
      describe: () => ({ limit: 2 }),
    });
    const built = pipeline([told]);
    expect(built.describe().layers).toEqual([{ kind: 'told', name: 'mine', options: { limit: 2 } }]);
    expect(built.snapshot().policies).toEqual([{ kind: 'told', name: 'mine', now: 1 }]);
  });

  test.each([[{}], [{ kind: '' }], [{ kind: 'x' }], [{ kind: 'x', mount: 5 }], [{ kind: 'x', gate: {}, mount: () => undefined }]])(
    '%j is refused',
    (definition) => {
      expect(() => definePolicy(definition as never)).toThrow(OptionsError);
    },
  );
});

describe('middleware in the familiar shape', () => {
  test('sees results and errors as they are, and may replace both', async () => {
    const seen: unknown[] = [];
    const middleware = fromMiddleware<string>(
      async (_call, next) => {
        try {
          const value = await next();
          seen.push(value);
          return 'replaced';
        } catch (reason) {
          seen.push(reason);
          return 'rescued';
        }
      },
      { name: 'rescue' },
    );
    const built = pipeline([middleware]);
    expect(await built.execute(() => 1)).toBe('replaced');
    expect(await built.execute(() => Promise.reject(error))).toBe('rescued');
    expect(seen).toEqual([1, error]);
    expect(built.describe().layers[0]).toMatchObject({ kind: 'middleware', name: 'rescue' });
  });

  test('may be synchronous, throw, or never go inward', async () => {
    expect(await pipeline([fromMiddleware<string>(() => 'short')]).execute(() => expect.fail('should not run'))).toBe('short');
    const throwing = fromMiddleware(() => {
      throw error;
    });
    await expect(pipeline([throwing]).execute(() => 1)).rejects.toBe(error);
  });

  test('keeps what happened apart: a refusal inside is still a refusal to the policies around it', async () => {
    let entered = 0;
    const no = definePolicy({ kind: 'no', gate: { enter: () => (entered++, refuse(error)), settle() {}, cancel() {} } });
    const passing = fromMiddleware(async (_call, next) => await next());
    await expect(pipeline([retry({ backoff: { delay: 0 } }), passing, no]).execute(() => 1)).rejects.toBe(error);
    expect(entered).toBe(1);
  });

  test('must be a function', () => {
    expect(() => fromMiddleware(5 as never)).toThrow(OptionsError);
  });
});
