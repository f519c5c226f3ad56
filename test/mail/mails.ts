import {
  attachedMail,
  attachmentOnly,
  dotLines,
  eightBitAttachment,
  emptyMail,
  encodedNames,
  hostileNames,
  largerAttachment,
  lfLineEnds,
  longLine,
  namelessAttachments,
  quotedPrintableAttachment,
  signedMail,
} from './attachmentMails.ts';
import { type Maker, type SampleMail, seededRandom } from './build.ts';
import {
  alternative,
  gbkBase64,
  htmlWithoutCharset,
  japanese,
  latin1QuotedPrintable,
  latin1Text,
  mixedPdf,
  nested,
  noMimeAtAll,
  plainText,
  relatedImage,
  utf8Base64,
  utf8QuotedPrintable,
  windows1251Text,
} from './textMails.ts';

export type { SampleAttachment, SampleMail } from './build.ts';

/**
 * Varied mails, the same ones for the same seed. They pass a mail server unchanged: CRLF, no NUL, and
 * where a mail has LF line ends nothing in it depends on them.
 */
export function sampleMails(count: number, seed: number): SampleMail[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, (_, index) => {
    const make = makers[index % makers.length] ?? plainText;
    return { ...make(random, index), name: `${index}-${make.name}` };
  });
}

const makers: readonly Maker[] = [
  plainText,
  mixedPdf,
  alternative,
  latin1Text,
  relatedImage,
  nested,
  attachedMail,
  namelessAttachments,
  encodedNames,
  utf8QuotedPrintable,
  gbkBase64,
  windows1251Text,
  japanese,
  htmlWithoutCharset,
  latin1QuotedPrintable,
  utf8Base64,
  hostileNames,
  emptyMail,
  attachmentOnly,
  lfLineEnds,
  dotLines,
  longLine,
  eightBitAttachment,
  quotedPrintableAttachment,
  largerAttachment,
  signedMail,
  noMimeAtAll,
];
