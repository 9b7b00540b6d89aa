/**
 * The time that is left to a request, as its fields say it: always as a span, never as a moment, since clocks differ.
 * So `grpc-timeout: 1500m` leaves 1500 ms.
 */

import { digitsAt, wholePart } from './bounds.ts';

/** Breakwater's own field: milliseconds that are left, a whole number. */
export const DEADLINE_FIELD = 'x-request-deadline';

/** gRPC's field: up to eight digits and a unit. */
export const GRPC_TIMEOUT_FIELD = 'grpc-timeout';

/** Envoy's field: milliseconds in which the answer is expected. */
export const ENVOY_TIMEOUT_FIELD = 'x-envoy-expected-rq-timeout-ms';

/** All fields that tell how much time is left. */
export const deadlineFields: readonly string[] = Object.freeze([DEADLINE_FIELD, GRPC_TIMEOUT_FIELD, ENVOY_TIMEOUT_FIELD]);

const GRPC_DIGITS = 8;
const GRPC_GREATEST = 99_999_999;

/** The units that a `grpc-timeout` is written in, from fine to coarse, ms. Finer ones are read only: nobody's timers know them. */
const grpcUnits: readonly (readonly [unit: string, ms: number])[] = [
  ['m', 1],
  ['S', 1000],
  ['M', 60_000],
  ['H', 3_600_000],
];

/** Milliseconds that a `grpc-timeout` leaves (gRPC over HTTP/2: at most eight digits and one of H, M, S, m, u, n); `undefined` if it is none. */
export function parseGrpcTimeout(value: string): number | undefined {
  const end = value.length - 1;
  const count = digitsAt(value, 0, end, GRPC_DIGITS);
  if (count < 0) return undefined;
  const unit = value[end];
  if (unit === 'u') return count / 1000;
  if (unit === 'n') return count / 1e6;
  const known = grpcUnits.find(([name]) => name === unit);
  return known === undefined ? undefined : count * known[1];
}

/**
 * The least time (ms) that the fields of these names leave, in any spelling of the names; `undefined` if none of them can be read.
 * `get` is asked by lower-case names. What is malformed counts as not there. So does a 0 of Envoy's, which means "no limit" to it.
 */
export function readDeadline(get: (name: string) => string | undefined, names: readonly string[]): number | undefined {
  let least: number | undefined;
  for (const each of names) {
    const name = each.toLowerCase();
    const value = get(name);
    const left = typeof value === 'string' ? parse(name, value) : undefined;
    if (left !== undefined && (least === undefined || left < least)) least = left;
  }
  return least;
}

/**
 * The value that the field of this name has when so much time is left, rounded down, at least 0 (1 for Envoy, to which 0 means "no limit"). `undefined` if there is no
 * limit (`Infinity`, `NaN`): then the field is not sent.
 */
export function writeDeadline(name: string, remainingMs: number): string | undefined {
  if (Number.isNaN(remainingMs) || remainingMs === Infinity) return undefined;
  const ms = wholePart(remainingMs);
  switch (name.toLowerCase()) {
    case GRPC_TIMEOUT_FIELD:
      return grpcTimeout(ms);
    case ENVOY_TIMEOUT_FIELD:
      return String(Math.max(ms, 1));
    default:
      return String(ms);
  }
}

function parse(name: string, value: string): number | undefined {
  if (name === GRPC_TIMEOUT_FIELD) return parseGrpcTimeout(value);
  const ms = digitsAt(value, 0, value.length);
  return ms < 0 || (ms === 0 && name === ENVOY_TIMEOUT_FIELD) ? undefined : ms;
}

/** In the finest unit whose number has eight digits at most. */
function grpcTimeout(ms: number): string {
  for (const [unit, size] of grpcUnits) {
    const count = Math.floor(ms / size);
    if (count <= GRPC_GREATEST) return `${count}${unit}`;
  }
  return `${GRPC_GREATEST}H`;
}
