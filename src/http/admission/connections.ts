/** Connections that several requests wait on at once: pipelined ones, whose responses have no socket until it is their turn. */

/** What a request comes in on. */
export interface Connection {
  readonly destroyed: boolean;
  once(event: 'close', listener: () => void): unknown;
  removeListener(event: 'close', listener: () => void): unknown;
}

/** Who waits on a connection, and the one listener on it that tells them: one for each would look like a leak from the eleventh on. */
interface Waiting {
  readonly told: Set<() => void>;
  readonly tell: () => void;
}

const waiting = new WeakMap<Connection, Waiting>();

/** Calls `listener`, once, when the connection closes. */
export function onceClosed(connection: Connection, listener: () => void): void {
  let own = waiting.get(connection);
  if (own === undefined) {
    const told = new Set<() => void>();
    const tell = (): void => {
      waiting.delete(connection);
      for (const each of told) each();
    };
    waiting.set(connection, (own = { told, tell }));
    connection.once('close', tell);
  }
  own.told.add(listener);
}

/** Takes that back; the last one leaves nothing on the connection. */
export function noLongerClosed(connection: Connection, listener: () => void): void {
  const own = waiting.get(connection);
  if (own === undefined || !own.told.delete(listener) || own.told.size > 0) return;
  waiting.delete(connection);
  connection.removeListener('close', own.tell);
}
