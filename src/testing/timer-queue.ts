/** A timer of a virtual clock. */
export interface VirtualTimer {
  /** When it is due, on the clock's own steady count, ms. */
  readonly due: number;
  /** Timers due at the same time run in the order they were set. */
  readonly sequence: number;
  readonly run: () => void;
  live: boolean;
}

/** Dead timers are swept out when there are this many more of them than living ones. */
const SWEEP = 64;

/** Timers in the order they come due: a binary heap, from which cleared timers are swept now and then. */
export class TimerQueue {
  #heap: VirtualTimer[] = [];
  /** Timers that have neither run nor been cleared. */
  size = 0;

  add(timer: VirtualTimer): void {
    this.size++;
    this.#heap.push(timer);
    this.#rise(this.#heap.length - 1);
  }

  /** Takes a timer out; nothing happens if it has run or left before. */
  remove(timer: VirtualTimer): void {
    if (!timer.live) return;
    timer.live = false;
    this.size--;
    if (this.#heap.length > 2 * this.size + SWEEP) {
      this.#heap = this.#heap.filter(({ live }) => live).sort((a, b) => (before(a, b) ? -1 : 1));
    }
  }

  /** The timer that is due first, if there is one. */
  first(): VirtualTimer | undefined {
    while (this.#heap[0]?.live === false) this.#dropTop();
    return this.#heap[0];
  }

  /** Takes the first timer out. */
  shift(): VirtualTimer | undefined {
    const timer = this.first();
    if (timer === undefined) return undefined;
    timer.live = false;
    this.size--;
    this.#dropTop();
    return timer;
  }

  #dropTop(): void {
    const last = this.#heap.pop() as VirtualTimer;
    if (this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#sink();
  }

  #rise(place: number): void {
    const heap = this.#heap;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!before(heap[place] as VirtualTimer, heap[parent] as VirtualTimer)) return;
      this.#swap(place, parent);
      place = parent;
    }
  }

  #sink(): void {
    const heap = this.#heap;
    for (let place = 0; ;) {
      const left = 2 * place + 1;
      const right = left + 1;
      if (left >= heap.length) return;
      const least = right < heap.length && before(heap[right] as VirtualTimer, heap[left] as VirtualTimer) ? right : left;
      if (!before(heap[least] as VirtualTimer, heap[place] as VirtualTimer)) return;
      this.#swap(place, least);
      place = least;
    }
  }

  #swap(a: number, b: number): void {
    const kept = this.#heap[a] as VirtualTimer;
    this.#heap[a] = this.#heap[b] as VirtualTimer;
    this.#heap[b] = kept;
  }
}

function before(a: VirtualTimer, b: VirtualTimer): boolean {
  return a.due < b.due || (a.due === b.due && a.sequence < b.sequence);
}
