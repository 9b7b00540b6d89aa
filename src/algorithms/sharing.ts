/**
 * Hands out one object for equal ones that come one after another. Whoever makes a policy per key makes it with the same options again and
 * again; so they are kept once, not once per key.
 */
export class Sharing<Value extends object> {
  #latest: Value | undefined = undefined;

  /** The object handed out last if it has the same values, else this one. */
  share(value: Value): Value {
    const latest = this.#latest;
    if (latest === undefined || (Object.keys(value) as (keyof Value)[]).some((name) => value[name] !== latest[name])) this.#latest = value;
    return this.#latest as Value;
  }
}
