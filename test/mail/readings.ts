/** How others read a mail: what they find is what we must not lose. */
import libqp from 'libqp';
import { simpleParser } from 'mailparser';
import PostalMime from 'postal-mime';

export interface Reading {
  readonly texts: readonly string[];
  readonly attachments: readonly { readonly name: string | undefined; readonly bytes: Buffer }[];
}

export async function readByMailparser(mail: Buffer): Promise<Reading> {
  const parsed = await simpleParser(mail, {
    ignoreEmbedded: true,
    keepDeliveryStatus: true,
    keepCidLinks: true,
    skipHtmlToText: true,
    skipTextToHtml: true,
    skipTextLinks: true,
  });
  return {
    texts: [parsed.text ?? '', parsed.html || ''],
    attachments: parsed.attachments.map(({ filename, content }) => ({ name: filename, bytes: content })),
  };
}

export async function readByPostalMime(mail: Buffer): Promise<Reading> {
  const parsed = await PostalMime.parse(mail, { forceRfc822Attachments: true });
  return {
    texts: [parsed.text ?? '', parsed.html ?? ''],
    attachments: parsed.attachments.map(({ filename, content }) => ({
      name: filename ?? undefined,
      bytes: typeof content === 'string' ? Buffer.from(content) : Buffer.from(new Uint8Array(content)),
    })),
  };
}

/** RFC 2046 to the letter and nothing more: no damage is mended. */
export function readPlainly(mail: Buffer): Reading {
  const attachments: { name: string | undefined; bytes: Buffer }[] = [];
  const texts: string[] = [];
  const read = (entity: string, depth: number): void => {
    const separator = /(?:^|\r?\n)\r?\n/.exec(entity);
    const header = entity.slice(0, separator?.index ?? entity.length).replace(/\r?\n[ \t]+|\r(?!\n)/g, ' ');
    const body = separator ? entity.slice(separator.index + separator[0].length) : '';
    const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, 'im').exec(header)?.[1] ?? '';
    const type = field('Content-Type') || 'text/plain';
    const boundary = /boundary="?([^";\r\n]+)"?/i.exec(type)?.[1]?.trimEnd();
    if (/^multipart\//i.test(type) && boundary && depth < 20) {
      const delimiter = `--${boundary}`.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      const closed = body.split(new RegExp(`(?:^|\\r?\\n)${delimiter}--[ \\t]*(?:\\r?\\n|$)`))[0] ?? '';
      const parts = `\n${closed}`.split(new RegExp(`\\r?\\n${delimiter}[ \\t]*(?=\\r?\\n)`)).slice(1);
      for (const part of parts) read(part.replace(/^\r?\n/, ''), depth + 1);
      return;
    }
    const encoding = field('Content-Transfer-Encoding').trim().toLowerCase();
    const bytes =
      encoding === 'base64'
        ? Buffer.from(body, 'base64')
        : encoding === 'quoted-printable'
          ? libqp.decode(body)
          : Buffer.from(body, 'latin1');
    if (/^text\/(?:plain|html)/i.test(type)) texts.push(bytes.toString('utf8'));
    else attachments.push({ name: undefined, bytes });
  };
  read(mail.toString('latin1'), 0);
  return { texts, attachments };
}

export const readings: Readonly<Record<string, (mail: Buffer) => Promise<Reading> | Reading>> = {
  mailparser: readByMailparser,
  'postal-mime': readByPostalMime,
  'RFC 2046': readPlainly,
};
