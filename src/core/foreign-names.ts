/** What options are called elsewhere, and here: for hints, where somebody writes what they are used to. Names with the unit or the count where those differ. */
const here: Readonly<Record<string, readonly [name: string, but?: string]>> = {
  // p-retry, cockatiel, axios-retry
  retries: ['maxAttempts', 'which counts the first call, too'],
  maxRetries: ['maxAttempts', 'which counts the first call, too'],
  minTimeout: ['backoff', 'as { delay }'],
  maxTimeout: ['backoff', 'as { maxDelay }'],
  maxRetryTime: ['maxDuration'],
  shouldRetry: ['when'],
  // opossum, cockatiel
  errorThresholdPercentage: ['failureRate', 'a share from 0 to 1'],
  threshold: ['failureRate', 'a share from 0 to 1'],
  resetTimeout: ['openFor'],
  halfOpenAfter: ['openFor'],
  rollingCountTimeout: ['window'],
  volumeThreshold: ['minCalls'],
  minimumNumberOfCalls: ['minCalls'],
  errorFilter: ['isFailure', 'which says true of failures'],
  capacity: ['maxConcurrent'],
  // p-timeout
  milliseconds: ['after'],
  ms: ['after'],
  timeout: ['after'],
  // bottleneck, p-limit, p-queue
  highWater: ['maxQueue'],
  concurrency: ['maxConcurrent'],
  // express-rate-limit, rate-limiter-flexible
  windowMs: ['window'],
  points: ['limit'],
  duration: ['window'],
};

/** What an option of another library is called here, among these names; nothing if it has no like. */
export function nameHere(name: string, names: readonly string[]): string | undefined {
  const [ours, but] = Object.hasOwn(here, name) ? (here[name] ?? []) : [];
  if (ours === undefined || !names.includes(ours)) return undefined;
  return but === undefined ? ours : `${ours}, ${but}`;
}
