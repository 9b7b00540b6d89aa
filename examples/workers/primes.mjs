/** What runs in the threads of a worker pool: counts the primes below a number, by a sieve. */
export default function primes({ below }) {
  const composite = new Uint8Array(below);
  let found = 0;
  for (let n = 2; n < below; n++) {
    if (composite[n] === 1) continue;
    found++;
    for (let multiple = n * n; multiple < below; multiple += n) composite[multiple] = 1;
  }
  return found;
}
