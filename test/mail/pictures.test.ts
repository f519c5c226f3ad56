import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findShownIds } from '../../shared/mail/html.ts';
import { uuencode } from './encode.ts';
import { head, multipart, part, seen, split, turnsDuring } from './support.ts';

const picture = part('image/png; name=a.png', 'PNG', 'Content-ID: <a@x>\r\n');
const html = (text: string) => part('text/html; charset=utf-8', text);

/** What is sent beside the body. */
async function attachments(...parts: string[]): Promise<string[]> {
  const sent = seen(await split(`${head}${multipart('related', ...parts)}`));
  return sent.filter(({ kind }) => kind === 'attachment').map(({ fileName }) => fileName);
}

describe('a picture is left out', () => {
  for (const text of [
    '<img src="cid:a@x">',
    "<IMG alt='a > b' SRC='CID:a@x'>",
    '<img src=cid:a@x>',
    '<img src="cid:a%40x">',
    '<img src="cid:a&#64;x">',
    '<body background="cid:a@x">',
    '<div style="background-image:url(&quot;cid:a@x&quot;)">y</div>',
    "<style>body { background: url('cid:a@x') }</style>",
    '<!--[if gte vml 1]><v:fill src="cid:a@x"/><![endif]-->',
  ])
    test(`when the HTML shows it: ${text}`, async () => {
      assert.deepEqual(await attachments(html(text), picture), []);
      assert.deepEqual(await attachments(picture, html(text)), [], 'also before the HTML');
    });

  test('when the HTML is in UTF-16', async () => {
    const text = Buffer.from('\ufeff<img src="cid:a@x">', 'utf16le').toString('base64');
    const wide = part('text/html; charset=utf-16', text, 'Content-Transfer-Encoding: base64\r\n');
    assert.deepEqual(await attachments(wide, picture), []);
  });

  test('once: a second one of the same id is shown nowhere', async () => {
    assert.deepEqual(
      await attachments(html('<img src="cid:a@x">'), picture, picture.replace('a.png', 'b.png')),
      ['b.png'],
    );
  });

  test('also where it is declared as octets, by its name', async () => {
    assert.deepEqual(
      await attachments(
        html('<img src="cid:a@x">'),
        picture.replace('image/png', 'application/octet-stream'),
      ),
      [],
    );
    const uuencoded = 'Content-ID: <a@x>\r\nContent-Transfer-Encoding: x-uuencode\r\n';
    assert.deepEqual(
      await attachments(
        html('<img src="cid:a@x">'),
        part('application/octet-stream', uuencode(Buffer.from('PNG'), 'a.png'), uuencoded),
      ),
      [],
    );
  });
});

describe('nothing is left out', () => {
  for (const text of [
    '<a href="cid:a@x">see</a>',
    '<object data="cid:a@x"></object>',
    '<p>cid:a@x</p>',
    '<img alt="cid:a@x" src="http://x/y.png">',
    '<!-- <img src="cid:a@x"> -->',
    '<script>var x = "<img src=cid:a@x>"</script>',
  ])
    test(`that is only linked to or spoken of: ${text}`, async () => {
      assert.deepEqual(await attachments(html(text), picture), ['a.png']);
    });

  test('that is no picture', async () => {
    const pdf = picture.replace('image/png; name=a.png', 'application/pdf; name=a.pdf');
    assert.deepEqual(await attachments(html('<img src="cid:a@x">'), pdf, picture), ['a.pdf']);
  });
});

test('the tags of an HTML text are read the same however it is cut', async () => {
  const text = `<p title="1 > 2">&nbsp;</p><!-- x --><img src="cid:a@x" alt='"'><style>b{c:url(cid:d@e)}</style>${'<i>'.repeat(50)}`;
  assert.deepEqual([...(await findShownIds(text))], ['a@x', 'd@e']);
});

test('a tag with a large data URL hides no other', async () => {
  const text = `<img src="data:image/png;base64,${'A'.repeat(300_000)}"><img src="cid:a@x">`;
  const pieces = [0, 1, 2, 3, 4].map((n) => text.slice(n * 65_536, (n + 1) * 65_536));
  assert.deepEqual([...(await findShownIds(pieces))], ['a@x']);
});

test('many HTML texts are looked at in short turns, as one long one is', async () => {
  const text = '<img src="cid:b@x">'.repeat(1_000);
  const turns = await turnsDuring(async () => {
    for (let texts = 0; texts < 200; texts++) await findShownIds([text]);
  });
  assert.ok(turns > 2, `${turns} turns`);
});
