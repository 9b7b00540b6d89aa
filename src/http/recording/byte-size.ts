/** Amounts of memory, as users write them. */

import { type Field, field } from '../../core/options.ts';

/** Bytes, or a number with its unit; a `kb` is 1024 bytes. */
export type ByteSize = number | `${number}${'kb' | 'mb' | 'gb'}`;

const form = /^(\d+(?:\.\d+)?)(kb|mb|gb)$/;
const units: Readonly<Record<string, number>> = { kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 };

/** An amount of memory, read as bytes. */
export function byteSize(): Field<number> {
  return field("bytes: a whole number of at least 1, or a number with its unit such as '64kb' or '10mb'", (value) => {
    const parts = typeof value === 'string' && value.length < 32 ? form.exec(value) : null;
    const bytes = parts === null ? value : Math.floor(Number(parts[1]) * (units[parts[2] as string] as number));
    return Number.isSafeInteger(bytes) && (bytes as number) >= 1 ? (bytes as number) : undefined;
  });
}
