/** A call admitted by a circuit. The epoch tells in which state it began. */
export class Pass {
  readonly epoch: number;
  readonly at: number;
  /** Whatever its owner wants to remember. */
  subject: unknown = undefined;

  constructor(epoch: number, at: number) {
    this.epoch = epoch;
    this.at = at;
  }
}
