import { expect, test } from 'vitest';
import { withSections } from '../../bench/report.mjs';

const host = { date: '2026-01-02', processor: 'A processor', node: 'v20.0.0', load: 1.5 };
const on = 'Measured on 2026-01-02: A processor, Node v20.0.0, load average 1.5.';
const page = '# Benchmarks\n\nHow.\n\n## One\n\n| 1 |\n\n## Other\n\n| 2 |\n';

test('what is measured by itself takes the place of the section of that title, and says on what; the others stay', () => {
  const made = withSections(page, [{ title: 'One', text: '| 3 |' }], host);
  expect(made.trim()).toBe(`# Benchmarks\n\nHow.\n\n## One\n\n| 3 |\n\n${on}\n\n## Other\n\n| 2 |`);
});

test('what the page does not have yet comes at its end, and a second time in its own place', () => {
  const made = withSections(page, [{ title: 'New', text: '| 3 |' }], host);
  expect(made).toContain(`## Other\n\n| 2 |\n\n## New\n\n| 3 |\n\n${on}\n`);
  const again = withSections(made, [{ title: 'New', text: '| 4 |' }], host);
  expect(again).toBe(made.replace('| 3 |', '| 4 |'));
});
