import type { Folder } from './folder.ts';
import { compactUids } from './sequenceSet.ts';

/** SILENT (RFC 3501, 6.4.6): no row for each mail in answer. imapflow hands it on to the STORE that deletes. */
const silently = { uid: true, silent: true } as const;

/** STORE and EXPUNGE: marks mails as read, or deletes and expunges them without touching anyone else's. */
export class SettleCommands {
  readonly #folder: Folder;
  /** Flagged \Deleted here and not seen expunged, on a server without UIDPLUS. */
  readonly #leftFlagged = new Set<number>();

  constructor(folder: Folder) {
    this.#folder = folder;
  }

  /** One STORE for all, or a few when the command line would get too long. */
  async markRead(uids: readonly number[]): Promise<void> {
    await this.#flag(uids, ['\\Seen']);
  }

  /** With UIDPLUS (RFC 4315) just these are expunged. Without, they are flagged, and read in case they stay. */
  async delete(uids: readonly number[]): Promise<void> {
    if (this.#folder.connection.client.capabilities.has('UIDPLUS')) {
      for (const set of compactUids(uids)) await this.#expunge(set);
      return;
    }
    await this.#flag(uids, ['\\Deleted', '\\Seen']);
    for (const uid of uids) this.#leftFlagged.add(uid);
    const flagged = await this.findDeleted();
    // A plain EXPUNGE takes every mail that is flagged, so it is sent only when all of those are ours.
    if (flagged.length === 0 || !flagged.every((uid) => this.#leftFlagged.has(uid))) return;
    // imapflow has no EXPUNGE by itself; flagging one of ours again changes nothing.
    await this.#expunge(`${flagged[0]}`);
    this.#leftFlagged.clear();
  }

  async #flag(uids: readonly number[], flags: string[]): Promise<void> {
    for (const set of compactUids(uids)) {
      await this.#folder.run('flagging mails', async (connection) => {
        const done = await connection.client.messageFlagsAdd(set, flags, silently);
        if (!done) throw connection.describeFalse('flagging mails');
      });
    }
  }

  async #expunge(set: string): Promise<void> {
    await this.#folder.run('deleting mails', async (connection) => {
      const done = await connection.client.messageDelete(set, silently);
      if (!done) throw connection.describeFalse('deleting mails');
    });
  }

  /** The UIDs of all mails that are flagged \Deleted, by whomever. */
  async findDeleted(): Promise<readonly number[]> {
    return this.#folder.run('looking for deleted mails', async (connection) => {
      const found = await connection.client.search({ deleted: true }, { uid: true });
      if (!Array.isArray(found)) throw connection.describeFalse('looking for deleted mails');
      return found;
    });
  }
}
