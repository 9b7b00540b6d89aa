/** Two policies of your own: a gate that admits or refuses, and a step in the shape of middleware. */

import { RejectedError, definePolicy, fromMiddleware, pipeline, refuse } from 'breakwater';

/** Lets every tenant have one call under way at a time. */
const busy = new Set<string>();
const oneEach = definePolicy({
  kind: 'one-each',
  gate: {
    enter: (call) => {
      const tenant = call.key ?? 'nobody';
      if (busy.has(tenant)) return refuse(new RejectedError(`${tenant} has a call under way`));
      busy.add(tenant);
      return tenant; // the pass: exactly one of settle and cancel gets it back
    },
    settle: (tenant) => void busy.delete(tenant),
    cancel: (tenant) => void busy.delete(tenant),
  },
  snapshot: () => ({ busy: busy.size }),
});

/** Writes down how every call ended. */
const journal: string[] = [];
const journalling = fromMiddleware(async (call, next) => {
  try {
    const result = await next();
    journal.push(`${call.key}: well`);
    return result;
  } catch (error) {
    journal.push(`${call.key}: ${(error as Error).message}`);
    throw error;
  }
});

const reports = pipeline([journalling, oneEach]);
const report = (key: string): Promise<unknown> => reports.executeOutcome(() => new Promise((resolve) => setTimeout(resolve, 10)), { key });
await Promise.all([report('acme'), report('acme'), report('globex')]);

console.log(journal); // => [ 'acme: acme has a call under way', 'acme: well', 'globex: well' ]
console.log(busy.size); // => 0
