import { hash } from 'node:crypto';

/**
 * Which mail this is, for all that is remembered of it: its delivery record, its mark in the undelivered store,
 * its `messageId`s and `interchangeId`. It hangs on the mailbox, the number that the server gives the mail there,
 * and the mail's own fields, so that neither a connection that is pointed at another mailbox nor a server that
 * gives a number again makes one mail count as another.
 */
export interface MailIdentity {
  /** Of its UID or UIDL, which tells before the fetch that a mail may be known. */
  readonly keyHash: string;
  /** Hex SHA-256 over mailbox, key and fingerprint. */
  readonly id: string;
}

/** `fingerprint` is that of the mail's own header fields. */
export function identifyMail(mailboxId: string, key: string, fingerprint: string): MailIdentity {
  // JSON keeps the fields apart whatever characters they hold.
  const id = hash('sha256', JSON.stringify([mailboxId, key, fingerprint]), 'hex');
  return { keyHash: shortHash(key), id };
}

/** As what a mail is recorded of which nothing was sent. */
export function leftOutOf({ keyHash, id }: MailIdentity): MailIdentity {
  return { keyHash, id: hash('sha256', `left out ${id}`, 'hex') };
}

/** 128 bits of the SHA-256, in hex: for keys and mailboxes, which may be long and hold any character. */
export function shortHash(text: string): string {
  return hash('sha256', text, 'hex').slice(0, 32);
}
