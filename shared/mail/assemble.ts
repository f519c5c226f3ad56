import { makeBody } from './body.ts';
import { fallbackFileName, safeFileName } from './fileName.ts';
import type { Attachment, MailContents } from './leafCollector.ts';
import type { Content, ContentStore, Part, SplitRules } from './mail.ts';

export const rawContentType = 'message/rfc822';
export const rawFileName = 'mail.eml';

/** Names and numbers the parts in sending order: the body, then the attachments as they stand in the mail. */
export async function assembleParts(
  contents: MailContents,
  raw: Content | undefined,
  rules: SplitRules,
  store: ContentStore,
): Promise<Part[]> {
  const { texts } = contents;
  const attachments: Attachment[] = [...contents.attachments];
  const parts: Part[] = [];
  if (raw) {
    parts.push({ kind: 'body', contentType: rawContentType, fileName: rawFileName, content: raw });
  } else if (rules.sendBody && rules.bodyFormat !== 'eml') {
    const body = makeBody(texts, rules.bodyFormat);
    if (body || contents.attachmentCount === 0) {
      parts.push(bodyPart(body?.subtype ?? 'plain', await store.put(Buffer.from(body?.text ?? ''))));
    }
    if (rules.sendAttachments) {
      for (const { order, contentType, fileName, bytes } of body?.leftOut ?? []) {
        attachments.push({ order, contentType, fileName, content: await store.put(bytes()) });
      }
      attachments.sort((one, other) => one.order - other.order);
    }
  }
  for (const { contentType, fileName, content } of attachments) {
    const name = safeFileName(fileName, fallbackFileName(parts.length + 1, contentType));
    parts.push({ kind: 'attachment', contentType, fileName: name, content });
  }
  return parts;
}

function bodyPart(subtype: 'plain' | 'html', content: Content): Part {
  const html = subtype === 'html';
  return {
    kind: 'body',
    contentType: html ? 'text/html; charset=utf-8' : 'text/plain; charset=utf-8',
    fileName: html ? 'body.html' : 'body.txt',
    content,
  };
}
