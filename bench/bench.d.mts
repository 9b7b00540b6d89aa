/** Types of what the tests use. */

export interface Case {
  readonly id: string;
  readonly title: string;
  readonly contestants: readonly { readonly name: string }[];
}

export interface Section {
  readonly title: string;
  readonly text: string;
}

export interface Judgement {
  readonly claim: string;
  readonly want: string;
  readonly measured: number;
  readonly met: boolean;
  readonly why: string | undefined;
}

/** Samples of a timed case, or the figures of a measured one by their key. */
export type Figures = ReadonlyMap<string, readonly number[] | Readonly<Record<string, readonly number[]>>>;

export function runCases(
  chosen: (each: Case) => boolean,
  size: 'full' | 'quick' | 'tiny',
  say?: (text: string) => void,
  all?: { readonly timed: readonly Case[]; readonly measured: readonly Case[] },
): Promise<{
  readonly results: ReadonlyMap<string, Figures>;
  readonly sections: readonly Section[];
  readonly judged: readonly Judgement[];
}>;
