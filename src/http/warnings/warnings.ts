/**
 * Warnings that teach: what is set up in a way that works and does not do what it is there for. Each is said once per process, with a page that tells
 * what to do.
 *
 * @module
 */

/** What a warning is about. */
export type WarningCode =
  | 'BREAKWATER_PERMISSIVE_TRUST'
  | 'BREAKWATER_FORWARDED_WITHOUT_TRUST'
  | 'BREAKWATER_FORWARDED_UNREAD'
  | 'BREAKWATER_NO_ADDRESS'
  | 'BREAKWATER_IPV6_KEY'
  | 'BREAKWATER_NO_KEY'
  | 'BREAKWATER_CREATED_PER_REQUEST'
  | 'BREAKWATER_DOUBLE_COUNT'
  | 'BREAKWATER_MEMORY_IN_CLUSTER'
  | 'BREAKWATER_UNHEARD_ERROR';

/** A warning. Holds nothing that a client wrote. */
export interface GuardWarning {
  readonly code: WarningCode;
  /** What was seen, what it leads to, and what to do. */
  readonly message: string;
  /** Name of the guard. */
  readonly guard: string;
  /** Where to read on. */
  readonly link: string;
}

/** Who hears warnings: nobody (`false`), a function, or the process (`process.on('warning')`, which prints them). */
export type Warnings = false | ((warning: GuardWarning) => void) | undefined;

/** What each of them says, after the name of the guard. */
export const lessons: Readonly<Record<WarningCode, string>> = {
  BREAKWATER_PERMISSIVE_TRUST:
    'trustProxy believes everybody, or more proxies than there are, so a client can write another address into X-Forwarded-For and be counted as somebody new. Name the proxies in front of this server, or how many there are.',
  BREAKWATER_FORWARDED_WITHOUT_TRUST:
    'a request came with X-Forwarded-For or Forwarded, and no proxy is trusted: if there is one, all clients behind it are counted as one. Set trustProxy to its address or network, or give a key of your own; if there is none, nothing is wrong.',
  BREAKWATER_FORWARDED_UNREAD:
    'a request came with Forwarded and without X-Forwarded-For, which is the one that is read: all clients behind the proxy that wrote it are counted as one. Have the proxy write X-Forwarded-For, or give a key of your own.',
  BREAKWATER_NO_ADDRESS:
    "a request came without an address (over a Unix socket, for instance), and all such requests share the key 'unknown'. Give a key of your own.",
  BREAKWATER_IPV6_KEY:
    'the key function answered with a whole IPv6 address. Who has one has a network of them, and a count for each. Use clientKey(), or ipKey() around the address.',
  BREAKWATER_NO_KEY:
    "the key function answered undefined, and policies per key let such a request pass uncounted. Fall back to clientKey() or to a word for strangers, or make them with { missing: 'refuse' }.",
  BREAKWATER_CREATED_PER_REQUEST:
    'guards are made while requests are handled, each for one request, so that nothing is ever counted to two. Make the guard once, outside of the handler.',
  BREAKWATER_DOUBLE_COUNT:
    'one policy counted the same request twice, because two guards that the request passes share it. Give each guard its own, or mount it once.',
  BREAKWATER_MEMORY_IN_CLUSTER:
    'rate limits are kept in this process, and there are several of it: clients get the limit once in each. Divide the limit by the number of processes, or count where all processes do.',
  BREAKWATER_UNHEARD_ERROR:
    'the guard met an error (a key function that threw, for instance) and nobody to give it to, and answered 500. Give it an onError.',
};

/** What was said already, for each who hears; in all copies of this package that a process has loaded. */
const registry: unique symbol = Symbol.for('breakwater.warned');
const everywhere = globalThis as unknown as { [registry]?: Set<WarningCode> | undefined };
const byListener = new WeakMap<(warning: GuardWarning) => void, Set<WarningCode>>();

/** Whether anything would be said: whoever looks for something to warn of can leave it then. */
export function hears(warnings: Warnings): boolean {
  return typeof warnings === 'function' || (warnings !== false && isOn(process.env['BREAKWATER_WARNINGS']));
}

function isOn(setting: string | undefined): boolean {
  return setting === undefined || !['0', 'off', 'false', 'no'].includes(setting.toLowerCase());
}

/**
 * Says it, once: to the function that was given, else to the process, unless `BREAKWATER_WARNINGS=off` is in its environment. Node's own switches
 * (`--no-warnings`, `--disable-warning=CODE`) work as well. Never throws.
 */
export function warn(warnings: Warnings, code: WarningCode, guard: string): void {
  if (!hears(warnings)) return;
  const said = typeof warnings === 'function' ? heardBy(warnings) : (everywhere[registry] ??= new Set());
  if (said.has(code)) return;
  said.add(code);
  const message = `${guard}: ${lessons[code]}`;
  const link = `docs/reference/warnings.md#${anchor(code)}`;
  if (typeof warnings !== 'function') {
    process.emitWarning(message, { type: 'BreakwaterWarning', code, detail: `Read on in ${link}` });
    return;
  }
  try {
    warnings({ code, message, guard, link });
  } catch {
    // A warning is no reason for a request to fail.
  }
}

function heardBy(listener: (warning: GuardWarning) => void): Set<WarningCode> {
  let said = byListener.get(listener);
  if (said === undefined) byListener.set(listener, (said = new Set()));
  return said;
}

function anchor(code: WarningCode): string {
  return code.slice('BREAKWATER_'.length).toLowerCase().replaceAll('_', '-');
}
