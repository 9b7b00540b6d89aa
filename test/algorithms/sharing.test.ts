import { expect, test } from 'vitest';
import { Sharing } from '../../src/algorithms/sharing.ts';

test('equal objects that come one after another are one, others are not', () => {
  const sharing = new Sharing<{ readonly rate: number; readonly name: string | undefined }>();
  const first = sharing.share({ rate: 1, name: undefined });
  expect(sharing.share({ rate: 1, name: undefined })).toBe(first);
  expect(sharing.share({ rate: 1, name: 'a' })).not.toBe(first);
  expect(sharing.share({ rate: 2, name: 'a' })).toEqual({ rate: 2, name: 'a' });
});
