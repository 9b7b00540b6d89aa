/** Options that the compiler refuses before the option reader has to. Nothing here runs. */

import { type Duration, type RetryOptions, fallback, pipeline, retry, timeout } from 'breakwater';
import { typed } from './equal.ts';

export function durationsAreNumbersWithKnownUnits(): void {
  const good: readonly Duration[] = [250, '250ms', '2s', '1.5m', '1h'];
  for (const after of good) timeout({ after });
  // @ts-expect-error days are no unit
  timeout({ after: '1d' });
  // @ts-expect-error a unit is needed
  timeout({ after: '250' });
  // @ts-expect-error there is no default
  timeout({});
}

export function wrongNamesAndValuesAreErrors(): void {
  // @ts-expect-error an unknown option
  retry({ attempts: 3 });
  // @ts-expect-error an unknown kind of jitter
  retry({ backoff: { jitter: 'some' } });
  // @ts-expect-error a number is asked for
  retry({ maxAttempts: '3' });
  // @ts-expect-error an unknown option
  pipeline([], { clocks: [] });
  // @ts-expect-error a policy is asked for
  pipeline([{ kind: 'thing' }]);
  // @ts-expect-error policies come as an array
  pipeline(retry());
}

export function optionsAreReadonly(): void {
  const options: RetryOptions = { maxAttempts: 3 };
  // @ts-expect-error what was given is never changed
  options.maxAttempts = 4;
}

export function eventsAreKnownByTheirType(): void {
  const service = pipeline([retry(), fallback({ value: 1 })]);
  service.on('retry.scheduled', (event) => {
    typed(event.type).is<'retry.scheduled'>();
    typed(event.delay).is<number>();
    typed(event.pipeline).is<string>();
  });
  service.on('timeout.expired', (event) => typed(event.after).is<number>());
  service.on('*', (event) => typed(event.level).is<'debug' | 'info' | 'warn' | 'error'>());
  // @ts-expect-error no such event
  service.on('retry.done', () => undefined);
}

export function callOptionsAreChecked(): void {
  const service = pipeline([]);
  void service.execute(() => 1, { deadline: '2s', key: 'tenant', priority: 'sheddable', idempotent: true, tags: { a: 1 } });
  // @ts-expect-error an unknown priority
  void service.execute(() => 1, { priority: 'high' });
  // @ts-expect-error a key is a string
  void service.execute(() => 1, { key: 7 });
}
