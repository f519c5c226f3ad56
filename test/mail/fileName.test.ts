import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { fallbackFileName, safeFileName } from '../../shared/mail/fileName.ts';

describe('file names', () => {
  const anyName = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 600 }),
    fc
      .array(
        fc.constantFrom(
          '..',
          '/',
          '\\',
          '.',
          '\0',
          '\r\n',
          'a',
          ' ',
          '😀',
          '\ud800',
          '\u202e',
          'x'.repeat(200),
          '.pdf',
        ),
      )
      .map((p) => p.join('')),
  );

  test('are safe whatever the mail says', () => {
    fc.assert(
      fc.property(anyName, (name) => {
        const safe = safeFileName(name, 'fallback.bin');
        assert.ok(safe.length > 0 && safe.length <= 255);
        assert.doesNotMatch(safe, /[\\/\p{Cc}\u2028\u2029\u202e]/u);
        assert.ok(safe.isWellFormed());
        assert.ok(safe !== '.' && safe !== '..' && safe === safe.trim());
        assert.equal(safeFileName(safe, 'x'), safe);
      }),
      { numRuns: 3000 },
    );
  });

  test('keep what is good in them', () => {
    assert.equal(safeFileName('Łódź – Größe (1).pdf', 'x'), 'Łódź – Größe (1).pdf');
    assert.equal(safeFileName('../../x', 'f'), 'x');
    assert.equal(safeFileName('C:\\Temp\\a.txt', 'f'), 'a.txt');
    assert.equal(safeFileName('a\0b\r\n.txt', 'f'), 'ab.txt');
    for (const nothing of [undefined, '', ' ', '.', '..', 'a/..', 'a/', '\0'])
      assert.equal(safeFileName(nothing, 'f'), 'f');
    assert.equal(safeFileName(`${'x'.repeat(300)}.pdf`, 'f'), `${'x'.repeat(251)}.pdf`);
    assert.equal(safeFileName(`${'x'.repeat(254)}😀`, 'f'), 'x'.repeat(254));
  });

  test('fall back to the part number and the type', () => {
    assert.equal(fallbackFileName(2, 'application/pdf'), 'attachment-2.pdf');
    assert.equal(fallbackFileName(3, 'text/plain; charset=utf-8'), 'attachment-3.txt');
    assert.equal(fallbackFileName(3, 'message/rfc822'), 'attachment-3.eml');
    assert.equal(fallbackFileName(4, 'x/unknown'), 'attachment-4.bin');
    assert.equal(fallbackFileName(4, '__proto__'), 'attachment-4.bin');
    assert.equal(fallbackFileName(4, 'constructor'), 'attachment-4.bin');
  });
});
