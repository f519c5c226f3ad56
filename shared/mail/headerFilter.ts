import addressparser from 'nodemailer/lib/addressparser';
import { decodeWords } from './encodedWord.ts';
import { boundedValue } from './envelope.ts';
import { type HeaderField, readHeaderBlock, unfoldedValue } from './header.ts';

/** Decides by the values of a header: all addresses, or the one subject. */
type Takes = (values: readonly string[]) => boolean;

export interface HeaderFilterRules {
  /** Given the addresses in From, bare: `ann@example.com`. */
  readonly from?: Takes;
  /** Given those in To, Cc, Delivered-To and X-Original-To. */
  readonly to?: Takes;
  /** Given the decoded subject, alone; the empty string where a mail has none. */
  readonly subject?: Takes;
  /** The same for the same patterns: what was looked at under other filters has to be looked at again. */
  readonly fingerprint: string;
}

const recipients = new Set(['to', 'cc', 'delivered-to', 'x-original-to']);
/** A list of more addresses is looked at up to here. */
const maxListLength = 256 * 1024;

/** A filter on whole headers (RFC 5322, RFC 2047) that takes what every one of its rules takes. */
export function createHeaderFilter({ from, to, subject, fingerprint }: HeaderFilterRules): {
  readonly fingerprint: string;
  takes(header: Buffer): boolean;
} {
  return {
    fingerprint,
    takes: (header) => {
      const end = header.indexOf('\n\r\n');
      const { fields } = readHeaderBlock(header.subarray(0, end === -1 ? header.length : end + 1), true);
      return (
        (from?.(addressesIn(fields, (key) => key === 'from')) ?? true) &&
        (to?.(addressesIn(fields, (key) => recipients.has(key))) ?? true) &&
        (subject?.([subjectOf(fields)]) ?? true)
      );
    },
  };
}

function subjectOf(fields: readonly HeaderField[]): string {
  const field = fields.find(({ key }) => key === 'subject');
  return field === undefined ? '' : decodeWords(boundedValue(field)).trim();
}

function addressesIn(fields: readonly HeaderField[], isOne: (key: string) => boolean): readonly string[] {
  return fields
    .filter(({ key }) => isOne(key))
    .map(({ key, line }) => unfoldedValue({ key, line: line.slice(0, maxListLength) }))
    .flatMap((list) => addressparser(list, { flatten: true }))
    .flatMap(({ address }) => (address ? [decodeWords(address)] : []));
}
