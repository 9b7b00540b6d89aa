/** A vector file, as far as the adapters need its shape. */
export interface VectorFile<Input = never> {
  readonly id: string;
  readonly cases: readonly { readonly name: string; readonly in: Input; readonly config?: unknown; readonly steps?: readonly unknown[] }[];
}

export interface Replayed {
  readonly cases: number;
  readonly failedCases: number;
  readonly checks: number;
  readonly skipped: readonly string[];
  readonly failures: readonly string[];
}

export function replay(
  file: object,
  adapter: {
    readonly make?: (config: never, testCase: never) => object | Promise<object>;
    readonly fn?: (input: never, testCase: never) => object | Promise<object>;
  },
  options?: { readonly has?: (flag: string) => boolean; readonly limitMs?: number },
): Promise<Replayed>;
