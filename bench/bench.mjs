/** The benchmark as a whole: runs cases, makes tables of them, judges the targets. */

import { measuredCases, timedCases } from './cases.mjs';
import { measuredPlans, runMeasured } from './measured.mjs';
import { measuredTable, timedTable } from './report.mjs';
import { judge } from './targets.mjs';
import { plans, runTimed } from './timed.mjs';

/**
 * Runs the cases that `chosen` picks.
 *
 * @returns the figures by case and contestant, a titled table per case, and the targets judged by them
 */
export async function runCases(chosen, size, say = () => undefined, all = { timed: timedCases, measured: measuredCases }) {
  const timed = all.timed.filter(chosen);
  const measured = all.measured.filter(chosen);
  const timedFigures = await runFields(timed, plans[size], say);
  const measuredFigures = await runMeasured(measured, measuredPlans[size], say);
  const results = new Map([...timed.map(({ id }, i) => [id, timedFigures[i]]), ...measured.map(({ id }, i) => [id, measuredFigures[i]])]);
  const sections = [
    ...timed.map((each, i) => ({ title: each.title, text: timedTable(each, timedFigures[i]) })),
    ...measured.map((each, i) => ({
      title: each.title,
      text: [...(each.about ?? []), measuredTable(each, measuredFigures[i])].join('\n\n'),
    })),
  ];
  const judged = judge(results, (id, name, key) => {
    const figures = results.get(id).get(name);
    return key === undefined ? figures : figures[key];
  });
  return { results, sections, judged };
}

/** Runs each field by itself, the cases without one first: what nobody uses together does not slow each other down. */
async function runFields(cases, plan, say) {
  const figures = new Map();
  for (const field of new Set(cases.map((each) => each.field))) {
    const own = cases.filter((each) => each.field === field);
    const measured = await runTimed(own, plan, say);
    for (const [i, each] of own.entries()) figures.set(each, measured[i]);
  }
  return cases.map((each) => figures.get(each));
}
