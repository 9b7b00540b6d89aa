import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { baggageValue, parseBaggage, writeBaggage } from '../../src/fields/baggage.ts';
import { hostile, often, tooLong } from './hostile.ts';

const plain = (key: string, value: string): object => ({ key, value, properties: [] });

describe('baggage', () => {
  test('has names and values, blanks around them or not', () => {
    const entries = [
      { key: 'SomeKey', value: 'SomeValue', properties: [{ key: 'SomeProp' }] },
      { key: 'Key2', value: 'Value2', properties: [{ key: 'ValueProp', value: 'PropVal' }] },
    ];
    expect(parseBaggage('SomeKey=SomeValue;SomeProp,Key2=Value2;ValueProp=PropVal')).toEqual(entries);
    expect(
      parseBaggage('SomeKey \t = \t SomeValue \t ; \t SomeProp \t , \t Key2 \t = \t Value2 \t ; \t ValueProp \t = \t PropVal'),
    ).toEqual(entries);
    expect(parseBaggage('a=')).toEqual([plain('a', '')]);
    expect(parseBaggage('a=1,a=2')).toEqual([plain('a', '1'), plain('a', '2')]);
    expect(parseBaggage('')).toEqual([]);
  });

  test('is decoded, and bytes that are no UTF-8 are replaced', () => {
    expect(parseBaggage('a=%C3%BC%20%e2%82%ac')).toEqual([plain('a', 'ü €')]);
    expect(parseBaggage('a=%ff%zz%4')).toEqual([plain('a', '\ufffd%zz%4')]);
    expect(parseBaggage('a=x%C3')).toEqual([plain('a', 'x\ufffd')]);
  });

  test.each(['a', '=1', ' =1', 'a b=1', 'a="1"', 'a=1 2', 'a=ü', 'ü=1', 'a\r\n=1', 'a\u00a0=1', 'a=\u00a01', 'a=\\', '{a}=1'])(
    'leaves out %j, which is malformed, and keeps the rest',
    (member) => {
      expect(parseBaggage(`x=1,${member},y=2`)).toEqual([plain('x', '1'), plain('y', '2')]);
      expect(parseBaggage(`x=1;${member === 'a' ? '=' : member}`)[0]?.key).toBe('x');
    },
  );

  test('is of 64 entries, each with 64 properties, and of 8 KiB', () => {
    expect(parseBaggage(Array.from({ length: 100 }, (_, i) => `k${i}=1`).join(','))).toHaveLength(64);
    expect(parseBaggage(`a=1${';p'.repeat(100)}`)[0]?.properties).toHaveLength(64);
    expect(parseBaggage(tooLong)).toEqual([]);
    expect(parseBaggage(`a=${'x'.repeat(8190)}`)).toHaveLength(1);
  });

  test('carries what a service looks for by its name', () => {
    expect(baggageValue('plan=gold,tenant=acme%20inc,tenant=other', 'tenant')).toBe('acme inc');
    expect(baggageValue('plan=gold', 'tenant')).toBeUndefined();
    expect(baggageValue('plan=gold', '__proto__')).toBeUndefined();
  });
});

describe('baggage is written', () => {
  test('with everything encoded that is not unreserved', () => {
    const value = '\t "\';=asdf!@#$%^&*()';
    expect(writeBaggage([{ key: 'SomeKey', value }])).toBe('SomeKey=%09%20%22%27%3B%3Dasdf%21%40%23%24%25%5E%26%2A%28%29');
    expect(writeBaggage([{ key: 'a', value: '1', properties: [{ key: 'p' }, { key: 'q', value: '\r\n' }] }])).toBe('a=1;p;q=%0D%0A');
    expect(writeBaggage([])).toBeUndefined();
  });

  test('without names that are none, and without what would make it longer than 8 KiB', () => {
    expect(writeBaggage([{ key: 'a\r\nb', value: '1' }, { key: '', value: '1' }])).toBeUndefined(); // prettier-ignore
    expect(writeBaggage([{ key: 'a', value: '1', properties: [{ key: 'b c' }] }])).toBe('a=1');
    const long = { key: 'a', value: 'x'.repeat(8190) };
    expect(writeBaggage([long])).toHaveLength(8192);
    expect(writeBaggage([{ key: 'a', value: 'x'.repeat(8191) }, { key: 'b', value: '2' }])).toBe('b=2'); // prettier-ignore
    expect(writeBaggage([long, { key: 'b', value: '2' }])).toHaveLength(8192);
    expect(writeBaggage(Array.from({ length: 64 }, (_, i) => ({ key: `key${i}`, value: 'value' })))?.split(',')).toHaveLength(64);
    expect(writeBaggage(Array.from({ length: 512 }, () => ({ key: '000', value: '0123456789a' })))).toHaveLength(8191);
  });

  test('so that it is read as it was', () => {
    const key = fc.stringMatching(/^[\w!#$%&'*+.^`|~-]{1,9}$/);
    const value = fc.string({ unit: 'grapheme', maxLength: 12 });
    const properties = fc.array(fc.oneof(fc.record({ key }), fc.record({ key, value })), { maxLength: 3 });
    fc.assert(
      fc.property(fc.array(fc.record({ key, value, properties }), { maxLength: 8 }), (entries) => {
        expect(parseBaggage(writeBaggage(entries) ?? '')).toEqual(entries);
      }),
      { numRuns: 500 },
    );
  });
});

test('whatever stands there, names are names, and what is read can be written again', () => {
  fc.assert(
    fc.property(hostile, (field) => {
      const entries = parseBaggage(field);
      expect(entries.length).toBeLessThanOrEqual(64);
      for (const { key } of entries) expect(key).toMatch(/^[\x21-\x7e]+$/);
      expect(writeBaggage(entries) ?? '').toMatch(/^[\x21-\x7e]*$/);
    }),
    often,
  );
});
