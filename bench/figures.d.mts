export function median(values: readonly number[]): number;
export function ratio(a: readonly number[], b: readonly number[]): number;
export function show(value: number): string;
