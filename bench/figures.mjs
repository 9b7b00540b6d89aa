/** Medians and ratios. */

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * How many times `a` is `b`: the median of the ratios round by round. Both samples of a round were taken within milliseconds of each
 * other, so that a machine that is slower for a while is slower for both.
 */
export function ratio(a, b) {
  return median(a.map((value, round) => value / b[round]));
}

/** Three significant digits, with thin groups of thousands. */
export function show(value) {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return value.toFixed(digits).replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, ' ');
}
