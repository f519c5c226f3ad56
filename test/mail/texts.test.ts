import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findCharset } from '../../shared/mail/charset.ts';
import { decodeBytes } from '../../shared/mail/charsetDecoder.ts';
import type { SplitRules } from '../../shared/mail/mail.ts';
import { body, head, htmlBody, multipart, part, seen, shown, split } from './support.ts';

const plain = (text: string) => part('text/plain; charset=utf-8', text);
const html = (text: string) => part('text/html; charset=utf-8', text);
const parts = async (mail: string, rules: Partial<SplitRules> = {}) =>
  shown(await split(Buffer.from(`${head}${mail}`, 'utf8'), rules));

describe('which text is the body', () => {
  for (const [name, nothing] of [
    ['a no-break space', '\u00a0\r\n'],
    ['a byte order mark', '\ufeff'],
    ['zero-width characters', '\u200b\u200c\u2060 \r\n'],
  ] as const)
    test(`a plain form of ${name} is none`, async () => {
      assert.deepEqual(await parts(multipart('alternative', plain(nothing), html('<p>x'))), [
        htmlBody('<p>x'),
      ]);
    });

  for (const nothing of [
    '',
    '<html><body><p>&nbsp;&#160;<br></p></body></html>',
    '<style>p{}</style><!-- x --><title>x</title>',
  ])
    test(`an HTML form that shows nothing is none: ${nothing}`, async () => {
      const mail = multipart('alternative', plain('text'), html(nothing));
      assert.deepEqual(await parts(mail, { bodyFormat: 'html' }), [body('text')]);
    });

  test('an HTML form of a picture alone shows something', async () => {
    const mail = multipart('alternative', plain(' '), html('<img src="http://x/y.png">'));
    assert.deepEqual(await parts(mail), [htmlBody('<img src="http://x/y.png">')]);
  });

  test('of several forms of one type the last is taken, texts in a row stay joined', async () => {
    const two = multipart('alternative', plain('one'), html('<p>simple'), html('<p>rich'));
    assert.deepEqual(await parts(two, { bodyFormat: 'html' }), [htmlBody('<p>rich')]);
    const apple = multipart(
      'alternative',
      plain('one'),
      multipart('mixed', html('<p>a'), part('application/pdf', 'PDF'), html('<p>b')),
    );
    assert.deepEqual(await parts(apple, { bodyFormat: 'html' }), [
      htmlBody('<p>a<br/>\n<p>b'),
      'attachment application/pdf attachment-2.pdf "PDF"',
    ]);
    assert.deepEqual((await parts(apple))[0], body('one'));
  });

  test('a text behind an alternative is no form of it, whether that is closed or not', async () => {
    const forms = multipart('alternative', plain('text'), html('<p>text'));
    for (const inner of [forms, forms.replace(/--b\d+--\r\n$/, '')])
      assert.deepEqual(await parts(multipart('mixed', inner, plain('footer'))), [body('text\nfooter')]);
  });

  test('a form with other texts beside it is not the whole of one', async () => {
    const mail = multipart(
      'alternative',
      plain('all of it'),
      multipart('mixed', part('text/enriched', '<b>all'), plain('footer')),
    );
    assert.deepEqual(await parts(mail), [
      body('all of it'),
      'attachment text/enriched attachment-2.txt "<b>all"',
    ]);
  });

  test('a text with a name is an attachment wherever it stands, byte for byte', async () => {
    const named = part(
      'text/html; charset=utf-8; name=r.html',
      '<p>r\r\n',
      'Content-Disposition: inline; filename=r.html\r\n',
    );
    const attachment = `attachment text/html; charset=utf-8 r.html ${JSON.stringify('<p>r\r\n')}`;
    assert.deepEqual(await parts(multipart('mixed', plain('x'), named)), [body('x'), attachment]);
    assert.deepEqual(await parts(multipart('mixed', named, plain('x'))), [body('x'), attachment]);
    assert.deepEqual(
      await parts(multipart('alternative', plain('x'), multipart('mixed', html('<p>x'), named))),
      [body('x'), attachment],
    );
    assert.deepEqual(await parts(named), [attachment]);
    assert.deepEqual(await parts(named, { sendAttachments: false }), [htmlBody('<p>r\n')]);
    assert.deepEqual(await parts(multipart('mixed', named, plain('x')), { sendAttachments: false }), [
      body('x'),
    ]);
  });

  test('an unnamed text that says attachment is the body where attachments are not sent', async () => {
    const mail = part('text/plain', 'x', 'Content-Disposition: attachment\r\n');
    assert.deepEqual(await parts(mail), ['attachment text/plain attachment-1.txt "x"']);
    assert.deepEqual(await parts(mail, { sendAttachments: false }), [body('x')]);
  });

  test('without plain and html the first text of another kind is the body, calendars and the like never', async () => {
    assert.deepEqual(await parts(part('text/markdown; charset=iso-8859-1', '# x\r\n')), [
      'body text/markdown; charset=utf-8 body.txt "# x\\n"',
    ]);
    assert.deepEqual(await parts(multipart('mixed', part('text/markdown', '# x'), plain('y'))), [
      body('y'),
      'attachment text/markdown attachment-2.md "# x"',
    ]);
    for (const type of ['calendar', 'csv', 'xml', 'vcard', 'directory'])
      assert.match((await parts(part(`text/${type}`, 'x')))[0] ?? '', /^attachment/);
  });

  test('HTML behind plain texts is an attachment, plain text behind HTML is joined', async () => {
    const pdf = part('application/pdf', 'PDF');
    assert.deepEqual(await parts(multipart('mixed', plain('a'), html('<p>b'), pdf, plain('c'))), [
      body('a\nc'),
      'attachment text/html; charset=utf-8 attachment-2.html "<p>b"',
      'attachment application/pdf attachment-3.pdf "PDF"',
    ]);
    assert.deepEqual(await parts(multipart('mixed', html('<p>b'), plain('a&b'))), [
      htmlBody('<p>b<br/>\n<pre style="white-space: pre-wrap">a&amp;b</pre>'),
    ]);
    assert.deepEqual(await parts(multipart('mixed', plain('a&b'), html('<p>b')), { bodyFormat: 'html' }), [
      htmlBody('<pre style="white-space: pre-wrap">a&amp;b</pre><br/>\n<p>b'),
    ]);
  });
});

describe('a text', () => {
  const textOf = async (type: string, bytes: Buffer, more = '') => {
    const mail = await split(
      Buffer.concat([Buffer.from(`${head}Content-Type: ${type}\r\n${more}\r\n`), bytes]),
    );
    return { text: seen(mail)[0]?.bytes.toString(), warning: mail.warning, kind: seen(mail)[0]?.kind };
  };
  const inBase64 = 'Content-Transfer-Encoding: base64\r\n';
  const encodedText = (type: string, bytes: Buffer) =>
    textOf(type, Buffer.from(bytes.toString('base64')), inBase64);

  for (const name of 'us-ascii ANSI_X3.4-1968 csASCII cp367 IBM367 ISO646-US ISO_646.irv:1991 us iso-ir-6'.split(
    ' ',
  ))
    test(`in ${name} is read as undeclared text is`, async () => {
      const read = async (bytes: Buffer) => (await textOf(`text/plain; charset=${name}`, bytes)).text;
      assert.equal(await read(Buffer.from('Grüße: 3 €')), 'Grüße: 3 €');
      assert.equal(await read(Buffer.from('Gr\xfc\xdfe', 'latin1')), 'Grüße');
    });

  test('in shifts of ISO-2022-JP is that where no charset is declared, and only where it is whole', async () => {
    const escapes = '\x1b$@$3\x1b$B$s\x1b(Ja\r\n\x1b$B$K$A\x1b(B';
    const declared = ['text/plain', 'text/plain; charset=us-ascii', 'text/html'];
    for (const type of declared)
      assert.equal((await textOf(type, Buffer.from(escapes))).text, 'こんa\nにち', type);
    for (const other of [
      '\x1b[31mred\x1b[0m',
      '\x1b$B$3$s',
      '\x1b$B$3$\x1b(B',
      '\x1b$B$3\x1b(B\x1b[0m',
      'é\x1b$B$3\x1b(B',
    ])
      assert.equal((await textOf('text/plain', Buffer.from(other))).text, other);
  });

  test('is decoded by every name of its charset', () => {
    const kinds: [string[], string, string][] = [
      [['iso-2022-jp', 'csISO2022JP', 'cp50221', 'ISO-2022-JP-1'], '1b2442243324731b2842', 'こん'],
      [['iso-2022-jp-1'], '1b24284430211b2842', '丂'],
      [['iso-2022-jp', 'cp50221'], '1b2849311b2842', 'ｱ'],
      [['iso-2022-kr', 'csISO2022KR'], '1b2429430e4751315b0f', '한글'],
      [['hz-gb-2312', 'hz'], '7e7b44633a437e7d', '你好'],
      [['uhc', 'ks_c_5601-1987', 'windows-949'], 'c7d1b1db', '한글'],
      [['johab', 'cp1361'], 'd065', '한'],
      [['csISO88598I', 'iso-8859-8-i', 'logical'], 'f9ec', 'של'],
      [['unicode', 'utf-16', 'ucs-2'], 'fffe4f60597d', '恏絙'],
      [['utf-7', 'unicode-1-1-utf-7'], '472b4150772d', 'Gü'],
      [['windows-1251', 'cp1251', 'win-1251', 'charset=windows-1251'], 'cff0', 'Пр'],
      [['microsoft-cp1251', 'ms1251', 'ms-1251', 'ansi-1251'], 'cff0', 'Пр'],
      [['8859-2', '8859_2', 'iso-latin-2', 'isolatin2'], 'a3', 'Ł'],
      [['8859-1', 'iso-8859-1', 'iso-latin-1'], '80', '€'],
      [['oem-850', 'dos-850', 'windows-850'], '84', 'ä'],
      [['dos-862', 'cp862', 'ibm862'], '80', 'א'],
      [['SJIS-win'], '82a0', 'あ'],
      [['eucJP-win', 'eucJP-open'], 'a4a2', 'あ'],
      [['shift_jis', 'x-sjis', 'cp932', 'ms_kanji'], '82a0', 'あ'],
      [['gb2312', 'gbk', 'cp936', 'gb18030', 'euc-cn'], 'c4e39439da33', '你💩'],
      [['iso-8859-15', 'latin-9', 'Latin9', 'l9', 'csISO885915'], 'a4', '€'],
      [['iso-8859-16', 'latin10', 'ISO_8859-16:2001'], 'ba', 'ș'],
      [['ISO_8859-2:1987', 'iso-8859-2', 'x-iso-8859-2', 'latin2'], 'a3', 'Ł'],
      [['ISO_8859-7:1987', 'greek'], 'e1', 'α'],
      [['csKOI8U', 'koi8-u'], 'a4', 'є'],
      [['cswindows1251', 'x-cp1251'], 'cff0', 'Пр'],
      [['Extended_UNIX_Code_Packed_Format_for_Japanese', 'euc-jp', 'ujis'], 'a4a2', 'あ'],
      [['gb18030-2000', 'csGB18030', 'x-gb2312'], 'c4e3', '你'],
      [['IBM00858', 'cp858'], 'd5', '€'],
      [['macintosh', 'x-mac-roman', 'cp10000'], '8a', 'ä'],
      [['x-mac-cyrillic', 'cp10007'], '8a', 'К'],
      [['x-mac-ce', 'cp10029'], '8e', 'é'],
      [['x-mac-greek', 'cp10006'], 'e1', 'α'],
      [['x-mac-turkish', 'cp10081'], 'dd', 'ı'],
      [['big5', 'Big5-ETen'], 'a7da', '我'],
      [['cp1125', 'cp866u', 'ruscii'], 'f9', 'ї'],
      [['RK1048', 'KZ-1048', 'csKZ1048', 'STRK1048-2002'], 'aa', 'Ғ'],
      [['PT154', 'PTCP154', 'csPTCP154', 'CP154', 'Cyrillic-Asian'], '80', 'Җ'],
      [['utf-16le', 'cp1200'], '4104', 'с'],
      [['utf-16be', 'cp1201'], '0441', 'с'],
      [['euc-jp', 'cp20932'], 'a4a2', 'あ'],
      [['gb2312', 'cp20936'], 'c4e3', '你'],
      [['euc-kr', 'cp20949'], 'b0a1', '가'],
    ];
    for (const [names, hex, text] of kinds)
      for (const name of names) assert.equal(decodeBytes(Buffer.from(hex, 'hex'), name), text, name);
  });

  test('is decoded by every label of the Encoding Standard that iconv has a table for', () => {
    for (const label of 'ibm866 latin2 csisolatin3 iso-8859-6-e visual dos-874 cp1250 x-cp1258 x-gbk big5-hkscs cn-big5 x-euc-jp ksc5601 korean koi8_u sun_eu_greek ecma-118 l9 tis-620'.split(
      ' ',
    ))
      assert.notEqual(findCharset(label), 'undeclared', label);
    for (const none of ['base64', 'hex', 'x-klingon', 'ms', '__proto__', 'constructor', ''])
      assert.equal(findCharset(none), 'undeclared');
  });

  test('in windows-1252 loses no byte: what has no letter is as the Encoding Standard has it', async () => {
    for (const type of ['text/plain', 'text/plain; charset=iso-8859-1'])
      assert.equal(
        (await textOf(type, Buffer.from('\x80\x81 \x8d\x8f\x90\x9d', 'latin1'))).text,
        '€\x81 \x8d\x8f\x90\x9d',
      );
  });

  test('that is declared UTF-8 and isn’t is read as undeclared text, with a warning', async () => {
    const { text, warning } = await textOf('text/plain; charset=utf-8', Buffer.from('Gr\xfc\xdfe', 'latin1'));
    assert.equal(text, 'Grüße');
    assert.match(warning ?? '', /charset/);
  });

  test('that is UTF-8 and can’t be in the charset that it declares is UTF-8, with a warning', async () => {
    for (const charset of ['gb2312', 'big5', 'euc-kr', 'shift_jis', 'windows-1252', 'iso-2022-jp']) {
      const read = await textOf(`text/plain; charset=${charset}`, Buffer.from('你好，Ángela 😀 あ'));
      assert.equal(read.text, '你好，Ángela 😀 あ', charset);
      assert.match(read.warning ?? '', /charset/);
    }
    const { text } = await textOf('text/plain; charset=gbk', Buffer.from('c1aacda8', 'hex'));
    assert.equal(text, '联通');
  });

  test('that begins with a byte order mark is what that says', async () => {
    const wide = Buffer.from('\ufeffGrüße\r\nan alle', 'utf16le');
    for (const bytes of [wide, Buffer.from(wide).swap16(), Buffer.from('\ufeffGrüße\r\nan alle')])
      for (const type of ['text/plain', 'text/html; charset=utf-8', 'text/plain; charset=iso-8859-1']) {
        assert.equal((await encodedText(type, bytes)).text, 'Grüße\nan alle', type);
      }
    const letters = Buffer.from('\xff\xfe', 'latin1');
    assert.equal((await textOf('text/plain; charset=iso-8859-1', letters)).text, 'ÿþ');
  });

  test('that is UTF-8 but for a broken character stays UTF-8', async () => {
    const bytes = Buffer.concat([
      Buffer.from('Grüße aus Köln, schöne Tage in Düsseldorf, für später äöü'),
      Buffer.of(0xc3),
    ]);
    assert.match((await textOf('text/plain; charset=utf-8', bytes)).text ?? '', /^Grüße aus Köln.*\ufffd$/);
  });

  test('has LF line ends whatever was encoded, and no byte order mark', async () => {
    const anyEnds = await encodedText('text/plain; charset=utf-8', Buffer.from('\ufeffa\rb\r\nc\n'));
    assert.equal(anyEnds.text, 'a\nb\nc\n');
    const wide = await textOf('text/plain; charset=utf-16', Buffer.from('\ufeffa\r\nb', 'utf16le'));
    assert.equal(wide.text, 'a\nb');
  });

  for (const text of [
    'Order 4711: ten.',
    'R3LDvMOfZQ==\r\nfooter of a list',
    `${'QUJD'.repeat(19)}\r\nfooter of a list`,
    ...'OK Yes Danke Rechnung Order4711 STOP 4711 Unsubscribe confirmed'.split(' '),
  ])
    test(`that is declared base64 and is none, or a word, goes raw: ${JSON.stringify(text)}`, async () => {
      for (const charset of ['', '; charset=utf-8', '; charset=iso-8859-1'])
        assert.equal(
          (await textOf(`text/plain${charset}`, Buffer.from(`${text}\r\n`), inBase64)).kind,
          'raw',
        );
    });

  test('that is none goes raw, since decoding it would change its bytes', async () => {
    const picture = Buffer.from(`\x89PNG\r\n\x1a\n\0\0\0\rIHDR${'\xfe\xff\x80'.repeat(200)}`, 'latin1');
    for (const type of ['image', 'text/plain', 'text/html; charset=utf-8', 'text/markdown'])
      assert.equal((await encodedText(type, picture)).kind, 'raw', type);
    assert.equal((await encodedText('image; name=a.png', picture)).kind, 'attachment');
    const wide = Buffer.from('Grüße an alle, '.repeat(20), 'utf16le');
    assert.equal((await encodedText('text/plain; charset=utf-16le', wide)).kind, 'body');
  });

  test('that is short and in base64 is read as any other', async () => {
    const kinds: [string, Buffer, string][] = [
      ['', Buffer.from('OK'), 'OK'],
      ['', Buffer.from('Ja!'), 'Ja!'],
      ['; charset=utf-8', Buffer.from('äöü'), 'äöü'],
      ['; charset=iso-8859-1', Buffer.from('Gr\xfc\xdfe, A.', 'latin1'), 'Grüße, A.'],
      ['', Buffer.from('Gr\xfc\xdfe, A.', 'latin1'), 'Grüße, A.'],
      ['; charset=koi8-r', Buffer.from('d0d2c9d7c5d4', 'hex'), 'привет'],
      ['; charset=utf-16', Buffer.from('\ufeffab', 'utf16le'), 'ab'],
    ];
    for (const [charset, bytes, text] of kinds)
      assert.equal((await encodedText(`text/plain${charset}`, bytes)).text, text);
    const unpadded = await textOf('text/plain', Buffer.from('R3LDvMOfZSBhdXMgS8O2bG4'), inBase64);
    assert.equal(unpadded.text, 'Grüße aus Köln');
  });

  for (const [what, charset, bytes] of [
    ['a shift to ASCII', 'iso-2022-jp', Buffer.from('\x1b$B$3$s(BOrder 4711, \x1b$B$3$s\x1b(B', 'latin1')],
    ['half a character', 'utf-16be', Buffer.from('Order 4711', 'utf16le').subarray(1)],
    [
      'the delimiter behind it',
      'utf-16le',
      Buffer.concat([Buffer.from('One', 'utf16le'), Buffer.from('\r\n\r\nOrder 4711')]),
    ],
  ] as const)
    test(`that has lost some, so that other text in it can’t be read, goes raw: ${what}`, async () =>
      assert.equal((await textOf(`text/plain; charset=${charset}`, bytes)).kind, 'raw'));

  test('is cut in no character however long it is', async () => {
    for (const [charset, bytes, text] of [
      ['utf-8', Buffer.from('ä€'.repeat(60_000)), 'ä€'.repeat(60_000)],
      ['gb18030', Buffer.from('c4e3203c'.repeat(60_000), 'hex'), '你 <'.repeat(60_000)],
      ['iso-2022-jp', Buffer.from('1b244224330a24731b2842'.repeat(20_000), 'hex'), 'こ\nん'.repeat(20_000)],
      ['iso-2022-jp', Buffer.from('1b2442243324731b284278'.repeat(20_000), 'hex'), 'こんx'.repeat(20_000)],
      ['hz', Buffer.from('~{!#!$~}x'.repeat(20_000)), '。·x'.repeat(20_000)],
      ['utf-16be', Buffer.from('😀'.repeat(60_000), 'utf16le').swap16(), '😀'.repeat(60_000)],
      ['utf-7', Buffer.from('+2D3eAA- '.repeat(30_000)), '😀 '.repeat(30_000)],
    ] as const)
      assert.ok((await textOf(`text/plain; charset=${charset}`, bytes)).text === text, charset);
  });
});

describe('flowed text', () => {
  const flowed = async (text: string, delSp = '') =>
    seen(
      await split(
        `${head}Content-Type: text/plain; format=flowed${delSp}\r\n\r\n${text.replaceAll('\n', '\r\n')}`,
      ),
    )[0]?.bytes.toString();

  test('is joined by RFC 3676', async () => {
    assert.equal(await flowed('one \ntwo\nthree\n'), 'one two\nthree\n');
    assert.equal(await flowed('one \n\nthree\n'), 'one \n\nthree\n');
    assert.equal(await flowed('one \n-- \nAnna\n'), 'one \n-- \nAnna\n');
    assert.equal(await flowed('> a \n> b\n>> c \n> d\nx \n'), '> a b\n>> c \n> d\nx \n');
    assert.equal(await flowed(' >x\n From y\n'), '>x\nFrom y\n');
    assert.equal(await flowed('ab \ncd \nef', '; delsp=yes'), 'abcdef');
    assert.equal(await flowed('no end '), 'no end ');
  });

  test('is joined the same across the pieces in which it is decoded', async () => {
    const text = `${'word '.repeat(10)}\n`.repeat(10_000);
    assert.equal(await flowed(`${text}end\n`), `${'word '.repeat(100_000)}end\n`);
  });
});

test('HTML in which a meta tag can be read is in no charset of wide characters, whatever the tag says', async () => {
  for (const name of ['unicode', 'ucs-2', 'utf-16', 'utf-7']) {
    const text = `<meta charset="${name}">Gr\xfcn +AGE- x`;
    const mail = Buffer.from(`${head}Content-Type: text/html\r\n\r\n${text}`, 'latin1');
    assert.deepEqual(shown(await split(mail)), [htmlBody(text)]);
  }
});

test('a text without a zero is in no charset of wide characters, although it declares one', async () => {
  for (const charset of ['utf-16', 'unicode', 'utf-32']) {
    const mail = await split(`${head}${part(`text/plain; charset=${charset}`, 'Grüße, all of you!')}`);
    assert.deepEqual(shown(mail), [body('Grüße, all of you!')]);
    assert.match(mail.warning ?? '', /charset/);
  }
  const wide = Buffer.from('你好', 'utf16le').swap16().toString('base64');
  const inBase64 = 'Content-Transfer-Encoding: base64\r\n';
  assert.deepEqual(await parts(part('text/plain; charset=utf-16be', wide, inBase64)), [body('你好')]);
});
