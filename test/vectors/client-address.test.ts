import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { clientIp, clientIpHops, compileTrust, ipKey } from '../../src/http/identity/client-address.ts';
import { type VectorFile, replay } from './replay.mjs';

/** Fields of the inputs that these cases use. */
interface Input {
  readonly fn: string;
  readonly socket: string;
  readonly xff?: string;
  readonly trust: 'all' | readonly string[];
  readonly hops: number;
  readonly ip: string;
  readonly ipv6Subnet?: number;
}

const adapter = {
  fn(i: Input): object {
    switch (i.fn) {
      case 'clientIp':
        return { ip: clientIp(i.socket, compileTrust(i.trust), i.xff) };
      case 'compileTrust':
        return { trusts: compileTrust(i.trust) };
      case 'ipKey':
        return { key: ipKey(i.ip, i.ipv6Subnet) };
      case 'clientIpHops':
        return { ip: clientIpHops(i.socket, i.xff, i.hops) };
      default:
        throw new Error(`no such function: ${i.fn}`);
    }
  },
};

test('24-client-address: every case of the sample holds', async () => {
  const file = JSON.parse(readFileSync(new URL('24-client-address.json', import.meta.url), 'utf8')) as VectorFile<Input>;
  const result = await replay(file, adapter);
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(file.cases.length);
  expect(result.checks).toBeGreaterThan(30);
});
