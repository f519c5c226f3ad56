import { createHash } from 'node:crypto';
import type { MailRef } from '../mailbox.ts';
import type { ListedMail } from './listing.ts';

/** A mail with its key; `unavailable` says what the server answered when a key was to be made from its content. */
export interface KeyedMail extends MailRef {
  readonly sizeBytes: number;
  readonly unavailable: string | undefined;
}

/** What is known of a mail without UIDL. */
export type Content =
  | { readonly sha256: string }
  | { readonly gone: true }
  | { readonly unavailable: string };

/**
 * Gives each mail its key: the UIDL, or the SHA-256 of its content and its number among equal ones. One whose
 * content the server withholds is keyed by its size, so that the same one is known again in the next session
 * and can be reported; those that are gone are left out.
 */
export function keyMails(
  mails: readonly ListedMail[],
  contents: ReadonlyMap<number, Content>,
): readonly KeyedMail[] {
  const counts = new Map<string, number>();
  const keyed: KeyedMail[] = [];
  for (const { id, sizeBytes, uidl } of mails) {
    if (uidl !== undefined) {
      keyed.push({ key: `pop3:${uidl}`, id, sizeBytes, unavailable: undefined });
      continue;
    }
    const content = contents.get(id);
    if (content === undefined || 'gone' in content) continue;
    const unavailable = 'unavailable' in content ? content.unavailable : undefined;
    const sha256 = 'sha256' in content ? content.sha256 : hexOf(`withheld ${sizeBytes}`);
    const number = (counts.get(sha256) ?? 0) + 1;
    counts.set(sha256, number);
    keyed.push({ key: `pop3-sha256:${sha256}:${number}`, id, sizeBytes, unavailable });
  }
  return keyed;
}

function hexOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
