/** Results as tables, for the terminal and for the page. */

import { median, ratio, show } from './figures.mjs';

/** A Markdown table; all columns but the first are aligned right. */
function table(head, rows) {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i].length), 4));
  const line = (cells) => `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' | ')} |`;
  const rule = `| ${widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}

export function timedTable({ throughput, contestants }, figures) {
  const [first] = contestants;
  const rows = contestants.map(({ name }) => {
    const samples = figures.get(name);
    const times = name === first.name ? '1' : show(ratio(samples, figures.get(first.name)));
    const middle = median(samples);
    const cells = [name, show(middle), show(Math.min(...samples)), times];
    if (throughput) cells.splice(1, 0, show(1e9 / middle));
    return cells;
  });
  return table(['', ...(throughput ? ['calls/s'] : []), 'median, ns a call', 'least', 'times ours'], rows);
}

export function measuredTable({ columns, contestants }, figures) {
  const [first] = contestants;
  const compared = columns.find((column) => column.ratio);
  const rows = contestants.map(({ name }) => {
    const own = figures.get(name);
    const cells = columns.map(({ key }) => show(median(own[key])));
    if (compared === undefined) return [name, ...cells];
    const times = name === first.name ? '1' : show(ratio(own[compared.key], figures.get(first.name)[compared.key]));
    return [name, ...cells, times];
  });
  return table(['', ...columns.map(({ title }) => title), ...(compared === undefined ? [] : ['times ours'])], rows);
}

export function targetTable(judged) {
  const rows = judged.map(({ claim, want, measured, met }) => [claim, want, show(measured), met ? 'met' : 'missed']);
  return table(['target', 'wanted', 'measured', ''], rows);
}

/** Why targets were missed, as a list. */
export function reasons(judged) {
  return judged
    .filter(({ met, why }) => !met && why !== undefined)
    .map(({ claim, why }) => `- **${claim}**: ${why}`)
    .join('\n');
}

/**
 * Says so if promises were slower in the process of the comparison than in one where nothing has run yet: then somebody has turned on hooks that
 * all contestants paid for, and ratios are closer to 1 than they would be alone.
 */
export function hooksCaution(results) {
  const alone = results.get('neighbours')?.get('breakwater six policies')?.before;
  const together = results.get('three-gates')?.get('bare await');
  if (alone === undefined || together === undefined) return '';
  const slower = median(together) / median(alone);
  if (slower < 1.8) return '';
  return `In this run a bare await took ${show(slower)} times what it takes in a fresh process: one of the libraries has turned on promise hooks.`;
}

/** The page with these sections in the place of those of the same titles, or at its end, each with what it was measured on. */
export function withSections(text, sections, host) {
  const on = `Measured on ${host.date}: ${host.processor}, Node ${host.node}, load average ${host.load.toFixed(1)}.`;
  const [head, ...rest] = text.trimEnd().split(/^## /m);
  const own = new Map(sections.map((section) => [section.title, `${section.title}\n\n${section.text}\n\n${on}\n\n`]));
  const kept = rest.map((section) => {
    const title = section.slice(0, section.indexOf('\n'));
    const made = own.get(title);
    own.delete(title);
    return made ?? `${section.trimEnd()}\n\n`;
  });
  return [head, ...kept, ...own.values()].join('## ');
}

/** The whole page. */
export function page(host, plan, sections, judged, caution) {
  const missed = reasons(judged);
  return `# Benchmarks

Written by \`npm run bench\` on ${host.date}; run it again to get the figures of your machine. Only ratios carry over from one machine to another.

- Machine: ${host.processor}, ${host.memory}, ${host.system}; load average at the start ${host.load.toFixed(1)}
- Node ${host.node} (V8 ${host.v8})
- breakwater ${host.own}; ${host.peers.join(', ')}

All libraries run in one process with like options, and nothing fails, expires or is refused unless the case says so. Everything is warmed up first; then
follow ${plan.rounds} rounds with one sample of about ${plan.sample} ms of every contestant, next to each other. Shown are the median and the least of the rounds,
and the median of the ratios round by round ("times ours": above 1 the other is slower, or holds more). Every sample checks that the work ran and answered as often
as it was called, or that every call was refused and the work never ran.

${caution === '' ? '' : `**${caution}**\n\n`}## Targets

${targetTable(judged)}
${missed === '' ? '' : `\nWhere a target is missed, the measured reason:\n\n${missed}\n`}
${sections.map(({ title, text }) => `## ${title}\n\n${text}`).join('\n\n')}
`;
}
