import type { IncomingMessage } from 'node:http';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { OptionsError } from 'breakwater';
import { clientKey } from '../../src/http/identity/client-key.ts';

const request = (remoteAddress: string | undefined, forwarded?: string | string[]) =>
  ({ socket: { remoteAddress }, headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded } }) as never;

describe('what a client is counted by', () => {
  test('is the address that connects, whatever the client says of itself', () => {
    expect(clientKey()(request('203.0.113.9', '6.6.6.6'))).toBe('203.0.113.9');
    expect(clientKey()(request('::ffff:203.0.113.9'))).toBe('203.0.113.9');
  });

  test('is what trusted proxies saw, by their number or by their addresses', () => {
    expect(clientKey({ trustProxy: 1 })(request('10.0.0.7', '6.6.6.6, 203.0.113.9'))).toBe('203.0.113.9');
    expect(clientKey({ trustProxy: 'uniquelocal' })(request('10.0.0.7', '6.6.6.6, 203.0.113.9, 10.1.1.1'))).toBe('203.0.113.9');
    expect(clientKey({ trustProxy: ['192.0.2.0/24'] })(request('10.0.0.7', '203.0.113.9'))).toBe('10.0.0.7');
  });

  test('is one key for a network of IPv6', () => {
    const key = clientKey();
    expect(key(request('2001:db8:0:100::1'))).toBe(key(request('2001:db8:0:1ff:dead:beef::')));
    expect(key(request('2001:db8:0:100::1'))).not.toBe(key(request('2001:db8:0:200::1')));
    expect(clientKey({ ipv6Subnet: 128 })(request('2001:db8::1'))).not.toBe(clientKey({ ipv6Subnet: 128 })(request('2001:db8::2')));
  });

  test('is the same for all whose address cannot be told', () => {
    expect(new Set([undefined, '', 'unix', '999.1.1.1'].map((address) => clientKey()(request(address))))).toEqual(new Set(['unknown']));
  });

  test.each([
    { trustProxy: true },
    { trustProxy: -1 },
    { trustProxy: 1.5 },
    { trustProxy: ['10.0.0.0/33'] },
    { ipv6Subnet: 129 },
    { ipv6Subnet: 0 },
  ])('refuses %j', (options) => {
    expect(() => clientKey(options as never)).toThrow(OptionsError);
  });

  test('takes the requests of Node', () => {
    const key: (req: IncomingMessage) => string = clientKey();
    expectTypeOf(key).returns.toEqualTypeOf<string>();
  });
});
