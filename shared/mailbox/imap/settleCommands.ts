import type { SearchObject } from 'imapflow';
import type { Folder } from './folder.ts';
import type { ImapConnection } from './imapConnection.ts';
import { compactUids } from './sequenceSet.ts';

/** SILENT (RFC 3501, 6.4.6): no row for each mail in answer. imapflow hands it on to the STORE that deletes. */
const silently = { uid: true, silent: true } as const;

/** STORE and EXPUNGE: marks mails as read, or deletes and expunges them without touching anyone else's. */
export class SettleCommands {
  readonly #folder: Folder;
  /** Flagged \Deleted here and not seen expunged, on a server without UIDPLUS. */
  readonly #leftFlagged = new Set<number>();
  readonly #foundDeleted = new Set<number>();

  constructor(folder: Folder) {
    this.#folder = folder;
  }

  /** One STORE for all, or a few when the command line would get too long. */
  async markRead(uids: readonly number[]): Promise<void> {
    await this.#flag(uids, ['\\Seen']);
  }

  /**
   * With UIDPLUS (RFC 4315) just these are expunged. Without, they are flagged, and read in case they stay; gives
   * those that do, since others are flagged that are not ours.
   */
  async delete(uids: readonly number[]): Promise<readonly number[]> {
    if (this.#folder.connection.client.capabilities.has('UIDPLUS')) {
      for (const set of compactUids(uids)) await this.#expunge(set);
      return [];
    }
    await this.#flag(uids, ['\\Deleted', '\\Seen']);
    for (const uid of uids) this.#leftFlagged.add(uid);
    const flagged = await this.findDeleted();
    // A plain EXPUNGE takes every mail that is flagged, so it is sent only when all of those are ours.
    if (flagged.length === 0) return [];
    if (!flagged.every((uid) => this.#leftFlagged.has(uid)))
      return uids.filter((uid) => flagged.includes(uid));
    // imapflow has no EXPUNGE by itself; flagging one of ours again changes nothing.
    await this.#expunge(`${flagged[0]}`);
    this.#leftFlagged.clear();
    return [];
  }

  /**
   * Marks mails as read and moves them: MOVE (RFC 6851), else COPY, then delete and expunge just them (UIDPLUS). The
   * folder is made where it is missing. Mails that are flagged \Deleted already were copied, and are only expunged.
   */
  async move(uids: readonly number[], folder: string): Promise<void> {
    await this.#flag(uids, ['\\Seen']);
    const hasMove = this.#folder.connection.client.capabilities.has('MOVE');
    const copied = hasMove ? [] : uids.filter((uid) => this.#foundDeleted.has(uid));
    for (const set of compactUids(uids.filter((uid) => !copied.includes(uid)))) {
      await this.#folder.run(`moving mails to folder "${folder}"`, (connection) =>
        moveOrCopy(connection, set, folder, hasMove ? 'messageMove' : 'messageCopy'),
      );
    }
    if (!hasMove) for (const set of compactUids(uids)) await this.#expunge(set);
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
    const found = await this.#find({ deleted: true });
    for (const uid of found) this.#foundDeleted.add(uid);
    return found;
  }

  /** The UIDs of all mails that are \Seen or flagged \Deleted. */
  async findReadOrDeleted(): Promise<readonly number[]> {
    const found = new Set([...(await this.findDeleted()), ...(await this.#find({ seen: true }))]);
    return [...found].sort((one, other) => one - other);
  }

  #find(query: SearchObject): Promise<readonly number[]> {
    const doing = 'looking for mails';
    return this.#folder.run(doing, (connection) => connection.search(query, doing));
  }
}

/** Moves or copies to a folder by its name as people see it; where that is refused, finds out how the server has it. */
async function moveOrCopy(
  connection: ImapConnection,
  set: string,
  folder: string,
  command: 'messageMove' | 'messageCopy',
): Promise<void> {
  const { client } = connection;
  const doing = `moving mails to folder "${folder}"`;
  if (await client[command](set, folder, { uid: true })) return;
  const name = await connection.serversName(folder);
  // One that is there already is no failure; that it can't be made is said by the next try.
  await client.mailboxCreate(name).catch(() => undefined);
  connection.forgetRefusal();
  if (await client[command](set, name, { uid: true })) return;
  throw connection.describeFalse(doing);
}
