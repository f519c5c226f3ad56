import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Patterns, parsePatterns } from '../../shared/connection/patterns.ts';

function patterns(text: string): Patterns {
  const parsed = parsePatterns(text);
  assert.ok(parsed !== undefined, text);
  return parsed;
}
const whole = (text: string, ...values: string[]) => patterns(text).takesWhole(values);
const part = (text: string, value: string) => patterns(text).takesPart([value]);

test('addresses match whole, with wildcards, and case does not count', () => {
  assert.equal(whole('ann@example.com', 'Ann@EXAMPLE.com'), true);
  assert.equal(whole('ann@example.com', 'joann@example.com'), false);
  assert.equal(whole('ann@example.com', 'ann@example.com.evil.example'), false);
  assert.equal(whole('ΑΣ*', 'ΑΣΦΑΛΕΙΑ', 'x'), true);
  assert.equal(part('ΑΣ', 'η ασφάλεια'), true);
  assert.equal(whole('*@example.com', 'ann@example.com'), true);
  assert.equal(whole('*@example.com', '@example.com'), true);
  assert.equal(whole('*@example.com', 'ann@sub.example.com'), false);
  assert.equal(whole('*.com', 'ann@example.com'), true);
  assert.equal(whole('ann*', 'ann@example.com'), true);
  assert.equal(whole('*'.repeat(4096), 'x'), true);
  assert.equal(whole('ann.+*[x]^$@example.com', 'ann.+1[x]^$@example.com'), true);
});

test('case does not count in Turkish either, where i and ı have capitals of their own', () => {
  assert.equal(part('sipariş', 'SİPARİŞ 17'), true);
  assert.equal(part('SİPARİŞ', 'Yeni sipariş'), true);
  assert.equal(part('ısparta', 'ISPARTA'), true);
  assert.equal(whole('?stanbul', 'İSTANBUL'), true);
});

test('? is one character, also one that JavaScript writes as two', () => {
  assert.equal(whole('*-??.pdf', 'x-😀1.pdf'), true);
  assert.equal(part('r?chnung', 'Ihre Rächnung 7'), true);
});

test('accents count as people see them, however they are composed', () => {
  assert.equal(whole('rechnung märz.pdf', 'Rechnung MA\u0308RZ.pdf'), true);
  assert.equal(whole('M?rz', 'Ma\u0308rz'), true);
});

test('a subject matches anywhere', () => {
  assert.equal(part('order', 'Your Order 17'), true);
  assert.equal(part('order*paid', 'order 17 was PAID today'), true);
  assert.equal(part('order*paid', 'paid order'), false);
  assert.equal(part('*order', 'order 17'), true);
  assert.equal(part('!order', 'Your order'), false);
  assert.equal(part('!order', ''), true);
  assert.equal(part('order', ''), false);
});

test('one including pattern is enough, one excluding is too much, and of neither kind there need be any', () => {
  assert.equal(whole('*.pdf, *.xml, !logo*', 'a.XML'), true);
  assert.equal(whole('*.pdf, *.xml, !logo*', 'Logo.pdf'), false);
  assert.equal(whole('*.pdf, *.xml, !logo*', 'a.txt'), false);
  assert.equal(whole('!logo*', 'a.txt'), true);
  assert.equal(whole(' ! logo* ,, *.png', 'logo.png'), false);
});

test('of several addresses one must be included and none excluded', () => {
  const to = 'orders@example.com, !*@spam.example';
  assert.equal(whole(to, 'ann@other.example', 'orders@example.com'), true);
  assert.equal(whole(to, 'ann@other.example'), false);
  assert.equal(whole(to, 'orders@example.com', 'x@spam.example'), false);
  assert.equal(whole(to), false);
  assert.equal(whole('!*@spam.example'), true);
});

test('what holds no pattern is refused', () => {
  for (const text of ['', ' , ,', '!', 'a, !', '! ', 'a'.repeat(4097)]) {
    assert.equal(parsePatterns(text), undefined, text);
  }
});

test('every pattern says what the same regular expression says', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'ä', '😀'), maxLength: 12 });
  const pattern = fc.string({
    unit: fc.constantFrom('a', 'b', 'ä', '😀', '*', '?'),
    minLength: 1,
    maxLength: 8,
  });
  fc.assert(
    fc.property(pattern, text, (glob, value) => {
      const expression = glob.replaceAll('*', '[^]*').replaceAll('?', '[^]');
      assert.equal(whole(glob, value), new RegExp(`^${expression}$`, 'u').test(value));
      assert.equal(part(glob, value), new RegExp(expression, 'u').test(value));
    }),
    { numRuns: 2_000 },
  );
});

test('hostile text against a hostile pattern does not take for ever', () => {
  const text = 'a'.repeat(60_000);
  const startedAt = process.cpuUsage();
  assert.equal(whole(`*${'a'.repeat(2_000)}b*`, text), false);
  assert.equal(part(`${'a?'.repeat(2_000)}b`, text), false);
  assert.equal(whole(`*${'a?'.repeat(2_000)}b*`, text), false);
  assert.equal(whole(`${'*a'.repeat(2_000)}*b*`, text), false);
  assert.equal(part('b', `a${'\u0301\u0316'.repeat(100_000)}`), false);
  assert.ok(process.cpuUsage(startedAt).user < 3_000_000);
});
