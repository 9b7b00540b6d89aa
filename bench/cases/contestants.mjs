/** What stands in many cases: the bare call, a pipeline of ours, a policy of cockatiel's. */

import { pipeline } from 'breakwater';

export const bare = { name: 'bare await', make: (work) => ({ call: () => work() }) };

/** Ours: the pipeline around the work. */
export function ours(name, policies, options) {
  return {
    name: `breakwater ${name}`,
    make: (work) => {
      const guarded = pipeline(policies());
      return { call: () => guarded.execute(work, options) };
    },
  };
}

/** One of cockatiel's policies around the work. */
export function cockatiels(name, policy) {
  return {
    name: `cockatiel ${name}`,
    make: (work) => {
      const guarded = policy();
      return { call: () => guarded.execute(work) };
    },
  };
}
