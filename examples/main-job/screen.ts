/** What the scenario looks like in a terminal. */

import { styleText } from 'node:util';
import { promisedLoad, promisedWithin } from './gateways.ts';
import { type PhaseResult, type Progress, type Side, phases } from './scenario.ts';

type Style = Parameters<typeof styleText>[0];

/** Builds the texts; plain without colours. */
export class Screen {
  readonly #coloured: boolean;

  constructor(coloured: boolean) {
    this.#coloured = coloured;
  }

  /** One line for each second, for logs and pipes. */
  line({ at, phase, bare, guarded }: Progress): string {
    const name = phases[phase]?.name ?? 'stragglers';
    return `${seconds(at).padStart(6)}  ${name.padEnd(10)}  ${brief(bare, phase)}  |  ${brief(guarded, phase)}`;
  }

  /** The whole table, to be drawn over the last one. */
  table({ at, total, phase, bare, guarded }: Progress): string {
    const done = Math.min(1, at / total);
    const bar = '█'.repeat(Math.round(done * 32)).padEnd(32, '░');
    const now = phases[phase]?.name ?? 'waiting for the last answers';
    return [
      `${bar}  ${seconds(Math.min(at, total))} of ${seconds(total)}  ${this.#style('bold', now)}`,
      '',
      this.rows(bare, guarded, phase),
      '',
      `users waiting now       bare ${String(bare.waiting).padStart(5)}     guarded ${String(guarded.waiting).padStart(5)}`,
      `at the service now      bare ${String(bare.load).padStart(5)}     guarded ${String(guarded.load).padStart(5)}`,
      '',
    ].join('\n');
  }

  /** Phases as rows, the gateways side by side. `current` is marked; rows after it are empty. */
  rows(bare: Side, guarded: Side, current: number = phases.length): string {
    const head = `${'answered'.padStart(8)}${'p50'.padStart(7)}${'p99'.padStart(7)}${'peak'.padStart(5)}`;
    const lines = [
      `${' '.repeat(13)}${this.#style('bold', 'bare gateway'.padEnd(28))}${this.#style('bold', 'guarded gateway')}`,
      this.#style('dim', `${'phase'.padEnd(12)}${head}  ${head}${'stale'.padStart(6)}${'503'.padStart(5)}`),
    ];
    phases.forEach(({ name }, i) => {
      const [left, right] = [bare.phases[i], guarded.phases[i]];
      if (left === undefined || right === undefined) return;
      const begun = i <= current;
      const label = `${i === current ? '>' : ' '} ${name}`.padEnd(12);
      const lesser = begun
        ? `${whole(right.endings.degraded / right.sent).padStart(6)}${whole(right.endings.refused / right.sent).padStart(5)}`
        : '';
      lines.push(`${label}${begun ? this.#cells(left) : ''}  ${begun ? this.#cells(right) : ''}${lesser}`.trimEnd());
    });
    return lines.join('\n');
  }

  /** Both gateways over the whole run, and whether the promise was kept. */
  summary(bare: Side, guarded: Side): string {
    const row = (what: string, of: (side: Side) => string): string =>
      `${what.padEnd(34)}${of(bare).padStart(12)}${of(guarded).padStart(12)}`;
    const promise = (side: Side): boolean => side.p99 <= promisedWithin;
    const bounded = (side: Side): boolean => Math.max(...side.phases.map(({ peak }) => peak)) <= promisedLoad;
    const verdict = (kept: boolean): string => (kept ? 'kept' : 'broken');
    return [
      this.rows(bare, guarded),
      '',
      this.#style('dim', `${''.padEnd(34)}${'bare'.padStart(12)}${'guarded'.padStart(12)}`),
      row('users with an answer', (side) => percent(mean(side, 'answered'))),
      row(`  within ${time(promisedWithin)}`, (side) => percent(mean(side, 'prompt'))),
      row('  with what was known last', (side) => share(total(side, 'degraded'), sent(side))),
      row('told to come back later (503)', (side) => share(total(side, 'refused'), sent(side))),
      row('with an error, or gave up', (side) => share(total(side, 'failed') + total(side, 'timed out'), sent(side))),
      row('what 99 of 100 waited at the most', ({ p99 }) => time(p99)),
      row('most requests at the service', (side) => String(Math.max(...side.phases.map(({ peak }) => peak)))),
      row('back to normal after recovery', ({ recovery }) =>
        recovery === Infinity ? 'never' : recovery === 0 ? 'at once' : time(recovery),
      ),
      '',
      row(`promise: 99 of 100 within ${time(promisedWithin)}`, (side) => verdict(promise(side))),
      row(`promise: at most ${promisedLoad} at the service`, (side) => verdict(bounded(side))),
    ].join('\n');
  }

  #cells({ answered, p50, p99, peak }: PhaseResult): string {
    const text = `${whole(answered).padStart(8)}${time(p50).padStart(7)}${time(p99).padStart(7)}${count(peak).padStart(5)}`;
    if (Number.isNaN(answered)) return text;
    return this.#style(answered >= 0.99 && p99 <= promisedWithin ? 'green' : answered >= 0.9 ? 'yellow' : 'red', text);
  }

  #style(style: Style, text: string): string {
    return this.#coloured ? styleText(style, text) : text;
  }
}

function brief(side: Side, phase: number): string {
  const { answered, endings, sent: ended, p99 } = side.phases[Math.min(phase, phases.length - 1)] as PhaseResult;
  const degraded = side.name === 'guarded' && endings.degraded > 0 ? ` (${share(endings.degraded, ended)} degraded)` : '';
  return `${side.name}: ${percent(answered)} answered${degraded}, p99 ${time(p99)}, ${side.waiting} waiting, ${side.load} at the service`;
}

function sent(side: Side): number {
  return side.phases.reduce((sum, phase) => sum + phase.sent, 0);
}

function total(side: Side, ending: keyof PhaseResult['endings']): number {
  return side.phases.reduce((sum, phase) => sum + phase.endings[ending], 0);
}

function mean(side: Side, share: 'answered' | 'prompt'): number {
  return side.phases.reduce((sum, phase) => sum + phase[share] * phase.sent, 0) / sent(side);
}

function share(part: number, whole: number): string {
  return percent(whole === 0 ? NaN : part / whole);
}

function percent(value: number): string {
  return Number.isNaN(value) ? '-' : `${(value * 100).toFixed(1)} %`;
}

/** Rounded down: only all is 100 %. */
function whole(value: number): string {
  return Number.isNaN(value) ? '-' : `${Math.floor(value * 100)} %`;
}

function count(value: number): string {
  return Number.isNaN(value) ? '-' : String(value);
}

function time(ms: number): string {
  if (Number.isNaN(ms)) return '-';
  return ms < 1000 ? `${Math.round(ms)} ms` : seconds(ms);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
