/** The share of sorted values that are less than this one, 0 to 1; 0 of none. */
export function shareBelow(value: number, sorted: ArrayLike<number>): number {
  if (sorted.length === 0) return 0;
  let [from, to] = [0, sorted.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((sorted[middle] as number) < value) from = middle + 1;
    else to = middle;
  }
  return from / sorted.length;
}
