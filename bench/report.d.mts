import type { Section } from './bench.mjs';

export function withSections(
  text: string,
  sections: readonly Section[],
  host: { readonly date: string; readonly processor: string; readonly node: string; readonly load: number },
): string;
