import { type SampleMail, seededRandom } from './build.ts';
import * as makers from './makers.ts';

export type { SampleMail } from './build.ts';

/**
 * Varied mails, the same ones for the same seed. They pass a mail server unchanged: CRLF, no NUL, and
 * where a mail has LF line ends nothing in it depends on them.
 */
export function sampleMails(count: number, seed: number): SampleMail[] {
  const random = seededRandom(seed);
  const all = Object.values(makers);
  return Array.from({ length: count }, (_, index) => {
    const make = all[index % all.length] ?? makers.plainText;
    return { ...make(random, index), name: `${index}-${make.name}` };
  });
}
