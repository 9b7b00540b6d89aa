import { EventEmitter } from 'node:events';
import type { Responding } from '../../src/http/admission/inbound.ts';

/** A response of no framework at all. */
export class FakeResponse extends EventEmitter implements Responding {
  statusCode = 200;
  writableEnded = false;
  destroyed = false;

  finish(statusCode = 200): void {
    this.statusCode = statusCode;
    this.writableEnded = true;
    this.emit('finish');
  }

  close(): void {
    this.destroyed = true;
    this.emit('close');
  }

  get listening(): number {
    return this.listenerCount('finish') + this.listenerCount('close');
  }
}
