/** What the services here have in common. */

import type { Lifecycle } from 'breakwater/node';

/** A service that listens. */
export interface Service {
  readonly url: string;
  /** For signals, and to shut it down. */
  readonly life: Lifecycle;
}

/** Starts a service that calls an upstream; on port 0 it finds a free one. */
export type Start = (upstream: string, port?: number) => Promise<Service>;
