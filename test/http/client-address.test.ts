import { isIP, isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OptionsError } from '../../src/core/errors.ts';
import { show } from '../../src/core/options.ts';
import { clientIp, clientIpHops, compileTrust, ipKey } from '../../src/http/identity/client-address.ts';

const inside = compileTrust(['loopback', 'uniquelocal']);

describe('whom a header names', () => {
  test('the client is the first from the right that is no trusted proxy', () => {
    expect(clientIp('127.0.0.1', inside, '6.6.6.6, 203.0.113.9, 10.0.0.7, 192.168.1.1')).toBe('203.0.113.9');
    expect(clientIp('203.0.113.9', inside, '10.0.0.7')).toBe('203.0.113.9');
    expect(clientIp('127.0.0.1', inside, undefined)).toBe('127.0.0.1');
  });

  test('several lines are one header', () => {
    expect(clientIp('127.0.0.1', inside, ['6.6.6.6, 203.0.113.9', '', '10.0.0.7'])).toBe('203.0.113.9');
  });

  test('spaces, tabs and empty members are nothing', () => {
    expect(clientIp('127.0.0.1', inside, ' ,,\t203.0.113.9 \t, ,10.0.0.7,, ')).toBe('203.0.113.9');
    expect(clientIpHops('127.0.0.1', ' ,,\t203.0.113.9 \t, ,10.0.0.7,, ', 2)).toBe('203.0.113.9');
  });

  test('a proxy that is written with its port is the same proxy', () => {
    expect(clientIp('127.0.0.1', inside, '203.0.113.9:51234, 10.0.0.7:443, [fc00::1]:80')).toBe('203.0.113.9:51234');
  });

  test('an entry that begins before what is looked at is left out, not cut into another address', () => {
    const tail = `1.2.3.4${', 10.0.0.7'.repeat(5)}`;
    const [spoof] = ['x'.repeat(9000)];
    expect(clientIp('127.0.0.1', inside, `${spoof}${tail}`)).toBe('10.0.0.7');
    expect(clientIp('127.0.0.1', inside, `${spoof},${tail}`)).toBe('1.2.3.4');
  });

  test('of more than 64 members only the last 64 count', () => {
    const all = compileTrust('all');
    const members = Array.from({ length: 1000 }, (_, i) => `10.0.${Math.floor(i / 250)}.${i % 250}`);
    expect(clientIp('127.0.0.1', all, members.join(', '))).toBe(members.at(-64));
    expect(clientIp('127.0.0.1', all, members)).toBe(members.at(-64));
    expect(clientIpHops('127.0.0.1', members.join(), 900)).toBe(members.at(-64));
  });

  test('a socket without an address is no proxy that anybody trusts', () => {
    expect(clientIp(undefined, inside, '1.2.3.4')).toBe(undefined);
    expect(clientIpHops(undefined, '1.2.3.4', 1)).toBe('1.2.3.4');
    expect(ipKey(undefined)).toBe('unknown');
  });
});

describe('what is refused', () => {
  const refused: readonly unknown[] = [
    true,
    1,
    undefined,
    {},
    [7],
    ['all'],
    [undefined],
    ['__proto__'],
    ['1.2.3.4/8x'],
    ['1.2.3.4%eth0'],
    '10.0.0.0/8/8',
  ];
  test.each(refused.map((trust) => [show(trust), trust]))('as proxies to trust: %s', (_, trust) => {
    expect(() => compileTrust(trust as string)).toThrow(OptionsError);
  });

  test.each([-1, 0.5, Number.NaN, '1' as unknown as number])('as a number of hops: %s', (hops) => {
    expect(() => clientIpHops('1.2.3.4', '', hops)).toThrow(OptionsError);
  });

  test.each([0, 129, 5.5, Number.NaN, true as unknown as number])('as a subnet: %s', (subnet) => {
    expect(() => ipKey('::1', subnet)).toThrow(OptionsError);
  });
});

describe('what clients are counted by', () => {
  test.each([
    ['203.0.113.9', '203.0.113.9'],
    ['203.0.113.9:1234', '203.0.113.9'],
    ['::FFFF:203.0.113.9', '203.0.113.9'],
    ['[::ffff:cb00:7109]:443', '203.0.113.9'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::/56'],
    ['[2001:db8::1]', '2001:db8::/56'],
    ['[2001:db8::1]:65535', '2001:db8::/56'],
    ['fe80::1%eth0', 'fe80::/56'],
    ['[fe80::1%25eth0]:80', 'fe80::/56'],
  ])('%s counts as %s', (ip, key) => {
    expect(ipKey(ip)).toBe(key);
  });

  test('without a subnet the whole address counts, in its one right spelling', () => {
    expect(ipKey('2001:DB8:0:0:1::1', false)).toBe('2001:db8::1:0:0:1');
    expect(ipKey('::ffff:1.2.3.4', false)).toBe('1.2.3.4');
  });

  test.each([
    '',
    'localhost',
    'unknown',
    '1.2.3',
    '01.2.3.4',
    '1.2.3.256',
    '1.2.3.4:',
    '1.2.3.4:port',
    '1.2.3.4:123456',
    '1.2.3.4%eth0',
    '1.2.3.4%a:b',
    '[1.2.3.4]',
    '[::1',
    '[::1]x',
    '[]',
    '::1%',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7:8:9',
    '12345::',
    '1'.repeat(1e5),
    '1.2.3.4\0',
  ])('all that is no address counts as one: %j', (ip) => {
    expect(ipKey(ip)).toBe('unknown');
  });

  test('networks are cut at any bit', () => {
    const all = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff';
    expect(ipKey(all, 1)).toBe('8000::/1');
    expect(ipKey(all, 17)).toBe('ffff:8000::/17');
    expect(ipKey(all, 127)).toBe('ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127');
  });
});

const group = fc.integer({ min: 0, max: 0xffff }).map((n) => n.toString(16));
const v4 = fc.ipV4();
const v6 = fc.ipV6();
/** Near misses: what addresses are made of, in any order. */
const nearly = fc
  .array(fc.oneof(group, fc.constantFrom(':', '::', '.', '0', '255', '1.2.3.4', ':0:', '/', '[', ']', '00', ' ')), { maxLength: 12 })
  .map((parts) => parts.join(''));

describe('properties', () => {
  test('what is read as an address is what Node takes for one', () => {
    fc.assert(
      fc.property(fc.oneof(v4, v6, nearly), (text) => {
        const known = text.startsWith('[') || /^[\d.]+:\d/.test(text) ? undefined : isIP(text) !== 0;
        if (known !== undefined) expect(ipKey(text) !== 'unknown').toBe(known);
      }),
      { numRuns: 3000 },
    );
  });

  test('an address of IPv6 is written as browsers write it', () => {
    fc.assert(
      fc.property(v6, (text) => {
        const key = ipKey(text, false);
        if (isIPv4(key)) expect(text).toContain('.');
        else expect(`[${key}]`).toBe(new URL(`http://[${text}]`).hostname);
      }),
      { numRuns: 2000 },
    );
  });

  test('whatever the client puts in front makes no difference', () => {
    const honest = '203.0.113.9, 10.0.0.7, fc00::1';
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ maxLength: 300 }), v4, v6, nearly, fc.constantFrom('127.0.0.1', '10.0.0.1,', 'x'.repeat(9000))),
        (prefix) => {
          expect(clientIp('127.0.0.1', inside, `${prefix}, ${honest}`)).toBe('203.0.113.9');
          expect(clientIp('127.0.0.1', inside, [prefix, honest])).toBe('203.0.113.9');
          expect(clientIpHops('127.0.0.1', `${prefix}, ${honest}`, 3)).toBe('203.0.113.9');
        },
      ),
    );
  });

  test('a client has one key however its address is written', () => {
    fc.assert(
      fc.property(v4, fc.integer({ min: 0, max: 65535 }), (ip, port) => {
        const hex = ip.split('.').map((octet) => Number(octet).toString(16).padStart(2, '0'));
        const mapped = `::ffff:${hex[0]}${hex[1]}:${hex[2]}${hex[3]}`;
        expect(isIPv6(mapped)).toBe(true);
        for (const written of [ip, `${ip}:${port}`, `::ffff:${ip}`, `::FFFF:${ip}`, mapped, `[${mapped}]:${port}`, `0:0:0:0:0:ffff:${ip}`])
          expect(ipKey(written)).toBe(ip);
      }),
    );
  });

  test('a network has whom proxy and mask say, whichever way the mask is written', () => {
    fc.assert(
      fc.property(v4, fc.integer({ min: 1, max: 32 }), v4, (network, bits, ip) => {
        const value = (text: string): number => text.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
        const size = 2 ** (32 - bits);
        const known = Math.floor(value(network) / size) === Math.floor(value(ip) / size);
        const mask = 2 ** 32 - size;
        const quad = [24, 16, 8, 0].map((shift) => Math.floor(mask / 2 ** shift) % 256).join('.');
        for (const trust of [`${network}/${bits}`, `${network}/${quad}`, `::ffff:${network}/${96 + bits}`])
          for (const written of [ip, `::ffff:${ip}`]) expect(compileTrust([trust])(written), `${trust} ${written}`).toBe(known);
      }),
    );
  });
});

test('10 000 hostile headers: nothing throws, nothing grows, and time goes with the cap and not with the header', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    nearly,
    fc.array(fc.oneof(v4, v6, nearly), { maxLength: 100 }).map((members) => members.join(',')),
    fc.constantFrom(',', ' ', ':', '.', '%', '[', '::', '1.', ', ', '127.0.0.1,', '\u0000').map((piece) => piece.repeat(20_000)),
  );
  const all = compileTrust('all');
  fc.assert(
    fc.property(
      fc.oneof({ weight: 5, arbitrary: hostile }, { weight: 1, arbitrary: fc.array(hostile, { maxLength: 5 }) }),
      hostile,
      (header, socket) => {
        for (const ip of [clientIp(socket, inside, header), clientIp('127.0.0.1', all, header), clientIpHops('::1', header, 1000)]) {
          expect((ip ?? '').length).toBeLessThanOrEqual(Math.max(8192, socket.length));
          expect(ipKey(ip).length).toBeLessThanOrEqual(43);
        }
      },
    ),
    { numRuns: 10_000 },
  );
  // A million characters cost no more than what may be looked at: so it does not matter how many more they are.
  const looked = (header: string): number => {
    const text = Object.assign(Object.create(null) as object, { length: header.length, reads: 0 });
    const counting = new Proxy(text, {
      get: (target, name) => {
        if (name === 'charCodeAt')
          return (i: number) => {
            target.reads++;
            return header.charCodeAt(i);
          };
        return name === 'slice' ? header.slice.bind(header) : (Reflect.get(target, name) as unknown);
      },
    });
    clientIp('127.0.0.1', all, [counting as unknown as string]);
    return text.reads;
  };
  for (const piece of [',', ' ', 'x', '1.2.3.4,', ', ']) expect(looked(piece.repeat(1_000_000))).toBeLessThan(40_000);
});
