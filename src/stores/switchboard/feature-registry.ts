import { type OptionProblem, OptionsError } from '../../core/errors.ts';
import { show } from '../../core/options.ts';
import { type FeatureKind, FeatureSwitch } from './feature-switch.ts';
import { wrong } from './order-book.ts';

/** The features that a switchboard knows, in a bounded number. */
export class FeatureRegistry {
  readonly #board: string;
  readonly #max: number;
  readonly #switches = new Map<string, FeatureSwitch>();

  constructor(board: string, max: number) {
    this.#board = board;
    this.#max = max;
  }

  /** All of them, by name. */
  all(): readonly FeatureSwitch[] {
    return [...this.#switches.values()].sort((a, b) => (a.feature < b.feature ? -1 : 1));
  }

  get(name: string): FeatureSwitch | undefined {
    return this.#switches.get(name);
  }

  /** The switch of a feature, made if it is not there. @throws OptionsError if it is there and of another kind, or there are too many */
  register(feature: string, kind: FeatureKind, levels: readonly string[], wall: number): FeatureSwitch {
    const known = this.#switches.get(feature);
    if (known !== undefined) {
      if (known.kind === kind && known.levels.join('\0') === levels.join('\0')) return known;
      const expected = `a ${known.kind} feature with levels ${known.levels.join(', ')}, as ${this.#board} knows ${feature}`;
      throw wrong('degrade.levels', expected, `a ${kind} feature with levels ${levels.join(', ')}`);
    }
    this.checkRoom('degrade.feature', this.#switches, feature);
    const made = new FeatureSwitch(feature, kind, levels, wall);
    this.#switches.set(feature, made);
    return made;
  }

  /** @throws OptionsError if there is no such feature */
  find(what: string, name: string): FeatureSwitch {
    const feature = this.#switches.get(name);
    if (feature !== undefined) return feature;
    throw wrong(`${what}.feature`, `a feature that ${this.#board} knows`, show(name));
  }

  /** Levels as numbers. @throws OptionsError that tells all that is wrong */
  depths(what: string, levels: Iterable<readonly [string, string]>): ReadonlyMap<string, number> {
    const problems: OptionProblem[] = [];
    const read = new Map<string, number>();
    for (const [name, level] of levels) {
      const feature = this.#switches.get(name);
      const depth = feature?.levels.indexOf(level) ?? -1;
      read.set(name, depth);
      if (feature === undefined)
        problems.push({ path: `${what}.feature`, expected: `a feature that ${this.#board} knows`, got: show(name) });
      else if (depth < 0)
        problems.push({ path: `${what}.level`, expected: `a level of ${name}: ${feature.levels.join(', ')}`, got: show(level) });
    }
    const [problem, ...more] = problems;
    if (problem !== undefined) throw new OptionsError([problem, ...more]);
    return read;
  }

  /** @throws OptionsError if no more may be kept */
  checkRoom(path: string, kept: ReadonlyMap<string, unknown>, got: string): void {
    if (kept.size >= this.#max) throw wrong(path, `at most ${this.#max} on ${this.#board}`, `${show(got)} as well`);
  }
}
