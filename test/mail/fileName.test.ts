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
          'CON',
          ':',
          '／',
          '\u200b',
          '．',
        ),
      )
      .map((p) => p.join('')),
  );

  test('are safe whatever the mail says', () => {
    fc.assert(
      fc.property(anyName, (name) => {
        const safe = safeFileName(name, 'fallback.bin');
        assert.ok(safe.length > 0 && safe.length <= 255);
        assert.doesNotMatch(safe, /[\\/:\p{Cc}\u2028\u2029\u202e\u200b]/u);
        assert.doesNotMatch(safe.normalize('NFKC'), /[\\/]|^\.\.?$/u);
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
    assert.equal(safeFileName('Rechnung 5/2024.pdf', 'f'), 'Rechnung 5_2024.pdf');
    for (const path of [
      'C:\\TEMP\\scan.pdf',
      'C:scan.pdf',
      '\\\\server\\x\\scan.pdf',
      '/tmp/scan.pdf',
      './a/scan.pdf',
      'a\\scan.pdf',
    ])
      assert.equal(safeFileName(path, 'f'), 'scan.pdf', path);
    for (const nothing of [undefined, '', ' ', '.', '..', '../..', '/', '\0', '\u200b', '．．'])
      assert.equal(safeFileName(nothing, 'f'), 'f');
    assert.equal(safeFileName(`${'x'.repeat(300)}.pdf`, 'f'), `${'x'.repeat(251)}.pdf`);
    assert.equal(safeFileName(`${'x'.repeat(254)}😀`, 'f'), 'x'.repeat(254));
  });

  test('are none that Windows refuses or takes for something else', () => {
    const names: [string, string][] = [
      ['CON', '_CON'],
      ['nul.pdf', '_nul.pdf'],
      ['Lpt1.a.txt', '_Lpt1.a.txt'],
      ['com¹.txt', '_com¹.txt'],
      ['console.txt', 'console.txt'],
      ['report.pdf...', 'report.pdf'],
      ['report.pdf. .', 'report.pdf'],
      ['a.txt:ads', 'a.txt_ads'],
      ['what?.pdf', 'what_.pdf'],
      ['gpj.\u202efdp.exe', 'gpj.fdp.exe'],
      ['in\u200bvoice.pdf', 'invoice.pdf'],
      ['a／b＼c：d.pdf', 'a_b_c_d.pdf'],
      ['℀.pdf', '_.pdf'],
    ];
    for (const [name, safe] of names) assert.equal(safeFileName(name, 'f'), safe);
  });

  test('fall back to the part number and the type', () => {
    assert.equal(fallbackFileName(2, 'application/pdf'), 'attachment-2.pdf');
    assert.equal(fallbackFileName(3, 'text/plain; charset=utf-8'), 'attachment-3.txt');
    assert.equal(fallbackFileName(3, 'message/rfc822'), 'attachment-3.eml');
    assert.equal(fallbackFileName(4, 'x/unknown'), 'attachment-4.bin');
    const extensions = {
      'image/jpg': 'jpg',
      'message/global': 'u8msg',
      'message/global-delivery-status': 'u8dsn',
      'message/feedback-report': 'txt',
      'audio/amr': 'amr',
      'text/directory': 'vcf',
      'text/x-amp-html': 'html',
      'text/x-whatever': 'txt',
    };
    for (const [type, extension] of Object.entries(extensions))
      assert.equal(fallbackFileName(5, type), `attachment-5.${extension}`);
    assert.equal(fallbackFileName(4, '__proto__'), 'attachment-4.bin');
    assert.equal(fallbackFileName(4, 'constructor'), 'attachment-4.bin');
  });
});
