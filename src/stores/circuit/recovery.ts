import type { Circuit } from '../../algorithms/circuit.ts';
import { Alarm } from '../../core/alarm.ts';
import { type Clock, span } from '../../core/clock.ts';
import { TimeoutError } from '../../core/errors.ts';
import { show } from '../../core/options.ts';
import type { CircuitNews } from './news.ts';

/** How an open circuit recovers though nobody calls. `Time` is what a length of time is given as: ms, once read. */
export interface RecoverySettings<Time = number> {
  /** Whether a timer makes it half-open at the end of the open time, and not the next call. @defaultValue `false` */
  readonly auto: boolean;
  /** Asks the dependency itself, again and again while the circuit is open; `true` ends the open time. @defaultValue none */
  readonly probe: RecoveryProbe | undefined;
  /** Time from the opening, or from the end of one probe, to the next. @defaultValue `'5s'` */
  readonly interval: Time;
  /** A probe that takes longer is aborted and has failed. @defaultValue `'5s'` */
  readonly timeout: Time;
  /** Whether a good probe closes the circuit, and does not only let calls probe it. @defaultValue `false` */
  readonly closes: boolean;
}

/** Says whether the dependency works again. The signal aborts when the answer is of no use any more. */
export type RecoveryProbe = (signal: AbortSignal) => boolean | PromiseLike<boolean>;

/**
 * Lets an open circuit recover by itself. There is a timer only while the circuit is open, and none of them keeps the process alive. What a probe says counts
 * for the opening in which it began.
 */
export class Recovery {
  readonly #circuit: Circuit;
  readonly #settings: RecoverySettings;
  readonly #clock: Clock;
  readonly #news: CircuitNews;
  readonly #look: () => void;
  readonly #opening: Alarm;
  readonly #probing: Alarm;
  /** Whether there is anything to do. */
  #active: boolean;
  /** The opening that it follows. */
  #epoch: number | undefined = undefined;
  /** The probe under way. */
  #probe: AbortController | undefined = undefined;

  /** `look` is called when something is due or has been done; it is to come back with `follow`. */
  constructor(circuit: Circuit, settings: RecoverySettings, clock: Clock, news: CircuitNews, look: () => void) {
    this.#circuit = circuit;
    this.#settings = settings;
    this.#clock = clock;
    this.#news = news;
    this.#look = look;
    this.#active = settings.auto || settings.probe !== undefined;
    this.#opening = new Alarm(clock, look, true);
    this.#probing = new Alarm(clock, (now) => this.#ring(now), true);
  }

  /** Looks where the circuit stands. To be called after each change. */
  follow(): void {
    if (!this.#active) return;
    const { state, epoch, openings } = this.#circuit;
    if (state !== 'open') {
      this.stop();
      return;
    }
    const now = this.#clock.now();
    if (this.#epoch !== epoch) {
      this.stop();
      this.#epoch = epoch;
      if (this.#settings.probe !== undefined) this.#probing.set(now + this.#settings.interval, now);
    }
    if (this.#settings.auto) this.#opening.set(openings.until, now);
  }

  /** Nothing of it is left: no timer, and a probe under way is told that nobody waits for it. */
  stop(): void {
    if (this.#epoch === undefined) return;
    this.#epoch = undefined;
    this.#opening.clear();
    this.#probing.clear();
    this.#probe?.abort();
    this.#probe = undefined;
  }

  /** Stops for good. */
  end(): void {
    this.#active = false;
    this.stop();
  }

  /** The same on another clock. */
  on(clock: Clock): Recovery {
    const moved = new Recovery(this.#circuit, this.#settings, clock, this.#news, this.#look);
    moved.#active = this.#active;
    this.end();
    return moved;
  }

  /** It is time for a probe, or over with the one under way. */
  #ring(now: number): void {
    const { timeout } = this.#settings;
    if (this.#probe === undefined) void this.#ask(now);
    else this.#probe.abort(new TimeoutError(`recover.probe: no answer within ${timeout} ms`, { after: timeout }));
  }

  async #ask(begun: number): Promise<void> {
    const probe = (this.#probe = new AbortController());
    this.#probing.set(begun + this.#settings.timeout, begun);
    const result = await answerOf(this.#settings.probe as RecoveryProbe, probe.signal);
    if (this.#probe !== probe) return;
    this.#probe = undefined;
    this.#probing.clear();
    const now = this.#clock.now();
    this.#probing.set(now + this.#settings.interval, now);
    this.#news.emit('circuit-breaker.recovery-probed', result.ok ? 'info' : 'warn', undefined, { ...result, took: span(begun, now) });
    if (result.ok && this.#circuit.epoch === this.#epoch) this.#recover(now); // else a listener gave a command
  }

  #recover(now: number): void {
    if (this.#settings.closes) this.#circuit.put('closed', now, 'recovery-probe');
    else this.#circuit.halfOpen(now, 'recovery-probe');
    this.#look();
  }
}

/** What a probe says before its signal aborts. */
function answerOf(probe: RecoveryProbe, signal: AbortSignal): Promise<{ ok: boolean; error?: unknown }> {
  return new Promise<unknown>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    void Promise.resolve(probe(signal)).then(resolve, reject);
  }).then(
    (answer) => (typeof answer === 'boolean' ? { ok: answer } : { ok: false, error: noAnswer(answer) }),
    (error: unknown) => ({ ok: false, error }),
  );
}

function noAnswer(answer: unknown): TypeError {
  return new TypeError(`circuit-breaker.recover.probe: expected true or false as its answer, got ${show(answer)}`);
}
