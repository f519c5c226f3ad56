import * as attachmentMails from './attachmentMails.ts';
import { type Maker, type SampleMail, seededRandom } from './build.ts';
import * as textMails from './textMails.ts';

export type { SampleAttachment, SampleMail } from './build.ts';

/**
 * Varied mails, the same ones for the same seed. They pass a mail server unchanged: CRLF, no NUL, and
 * where a mail has LF line ends nothing in it depends on them.
 */
export function sampleMails(count: number, seed: number): SampleMail[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, (_, index) => {
    const make = makers[index % makers.length] ?? textMails.plainText;
    return { ...make(random, index), name: `${index}-${make.name}` };
  });
}

const makers: readonly Maker[] = [...Object.values(textMails), ...Object.values(attachmentMails)];
