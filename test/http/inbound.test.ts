import { getEventListeners } from 'node:events';
import { TimeoutError, pipeline, timeout } from 'breakwater';
import { describe, expect, test } from 'vitest';
import { type Arrival, ClientGoneError, type Visit, arrive, letThrough } from '../../src/http/admission/inbound.ts';
import { FakeResponse } from './fake-response.ts';
import { books } from './serving.ts';

const never = (): void => expect.unreachable();

function visitOf(arrival: Arrival): Visit {
  if (arrival.kind !== 'admitted') throw new Error(`expected to be admitted, was ${arrival.kind}`);
  return arrival.visit;
}

describe('a request as a call through gates', () => {
  test.each([
    ['finished, then closed', ['finish', 'close'], 'success'],
    ['closed alone, its answer complete', ['end', 'close', 'finish'], 'success'],
    ['closed before its answer was complete', ['close', 'finish'], 'ignored'],
    ['reset, which HTTP/2 tells as finished first', ['reset', 'close'], 'ignored'],
  ])('W2 settles once when the response is %s', async (_, events, verdict) => {
    const account = books();
    const response = new FakeResponse();
    const visit = visitOf(await arrive(pipeline([account.policy]), response, { deadline: Infinity, expired: never }));
    for (const event of events) {
      if (event === 'finish') response.finish();
      else if (event === 'close') response.close();
      else if (event === 'end') response.writableEnded = true;
      else response.emit('finish');
    }
    expect(account.verdicts).toEqual([verdict]);
    expect(visit.signal.aborted).toBe(verdict === 'ignored');
    expect([response.listening, getEventListeners(visit.signal, 'abort').length]).toEqual([0, 0]);
  });

  test('a client that is gone already gets nothing and takes nothing', async () => {
    const account = books();
    const response = Object.assign(new FakeResponse(), { destroyed: true });
    expect(await arrive(pipeline([account.policy]), response, { deadline: 1000, expired: never })).toEqual({ kind: 'gone' });
    const reset = Object.assign(new FakeResponse(), { stream: { destroyed: true } });
    expect(await arrive(pipeline([account.policy]), reset, { deadline: 1000, expired: never })).toEqual({ kind: 'gone' });
    expect([account.entered, response.listening, reset.listening]).toEqual([0, 0, 0]);
  });

  test('one that leaves in the very moment it is let in gives back what it was given', async () => {
    const account = books();
    const response = new FakeResponse();
    const gates = pipeline([account.policy]);
    const arriving = arrive(
      {
        acquire: async (options) => {
          const admission = await gates.acquire(options);
          response.close();
          return admission;
        },
      },
      response,
      { deadline: Infinity, expired: never },
    );
    expect(await arriving).toEqual({ kind: 'gone' });
    expect(account.verdicts).toEqual(['ignored']);
  });

  test('ends with the visit to an outer guard, which answers for both, and leaves no listener on it', async () => {
    const account = books();
    const response = new FakeResponse();
    const outerExpired: unknown[] = [];
    const outer = visitOf(
      await arrive(pipeline([timeout({ after: 10 })]), response, { deadline: Infinity, expired: (error) => outerExpired.push(error) }),
    );
    const inner = visitOf(await arrive(pipeline([account.policy]), response, { deadline: Infinity, outer, expired: never }));
    const beyond = letThrough(response, inner);
    await new Promise((resolve) => beyond.signal.addEventListener('abort', resolve));
    expect(outerExpired).toEqual([expect.any(TimeoutError)]);
    expect([inner.signal.reason, beyond.signal.reason]).toEqual([outer.signal.reason, outer.signal.reason]);
    expect([inner.remaining(), beyond.admitted]).toEqual([0, false]);
    expect(await arrive(pipeline([account.policy]), response, { deadline: 1000, outer, expired: never })).toEqual({ kind: 'gone' });
    response.finish(504);
    expect(account.errors).toEqual(outerExpired);
    expect(getEventListeners(outer.signal, 'abort')).toEqual([]);
    expect(response.listening).toBe(0);
  });

  test('the reason of a client that has left says so', async () => {
    const response = new FakeResponse();
    const visit = letThrough(response, undefined);
    response.close();
    expect(visit.signal.reason).toBeInstanceOf(ClientGoneError);
    expect(visit.signal.reason).toMatchObject({ code: 'ERR_CLIENT_GONE', name: 'ClientGoneError' });
    await Promise.resolve();
  });
});
