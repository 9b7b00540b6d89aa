import { type Call, type GatePolicy, definePolicy } from 'breakwater';
import { type PerKeyOptions, perKey } from '../../src/policies/per-key.ts';

/** The same policy as if all calls had one key. */
export function sameKey(make: () => GatePolicy, options?: PerKeyOptions<GatePolicy>): GatePolicy {
  const inner = perKey(make, options);
  return definePolicy({
    kind: 'same-key',
    snapshot: () => inner.get('k')?.snapshot() ?? make().snapshot(),
    gate: (scope) => {
      const gate = inner.gate(scope);
      const member = (target: object, name: string | symbol): unknown => {
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      };
      const get = (target: object, name: string | symbol): unknown => (name === 'key' ? 'k' : member(target, name));
      const keyed = (call: Call): Call => new Proxy<Call>(call, { get, set: (target, name, value) => Reflect.set(target, name, value) });
      return {
        ...gate,
        enter: (call, now) => gate.enter(keyed(call), now),
        settle: gate.settle.bind(gate),
        cancel: gate.cancel.bind(gate),
      };
    },
  });
}
