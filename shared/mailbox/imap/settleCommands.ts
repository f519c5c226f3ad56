import type { Folder } from './folder.ts';
import type { ImapConnection } from './imapConnection.ts';
import { runCommand } from './imapflowInside.ts';
import { compactUids } from './sequenceSet.ts';

/** SILENT (RFC 3501, 6.4.6): no row for each mail in answer. */
const silently = { uid: true, silent: true } as const;

/** STORE and EXPUNGE: marks mails as read, or deletes and expunges them without touching anyone else's. */
export class SettleCommands {
  readonly #folder: Folder;
  /** Flagged \Deleted here, on a server without UIDPLUS. */
  readonly #leftFlagged = new Set<number>();
  #hasFlagged = false;
  readonly #foundDeleted = new Set<number>();

  constructor(folder: Folder) {
    this.#folder = folder;
  }

  /** One STORE for all, or a few when the command line would get too long. */
  async mark(uids: readonly number[], as: 'read' | 'unread'): Promise<void> {
    const store = as === 'read' ? 'messageFlagsAdd' : 'messageFlagsRemove';
    await this.#inSets(uids, 'flagging mails', ({ client }, set) => client[store](set, ['\\Seen'], silently));
  }

  /** Expunges just these (UIDPLUS, RFC 4315), else flags them; gives those that stay, others being flagged too. */
  async delete(uids: readonly number[]): Promise<readonly number[]> {
    await this.#inSets(uids, 'deleting mails', (connection, set) => this.#remove(connection, set));
    return await this.#expungeFlagged(uids);
  }

  /**
   * Marks mails as read and moves them: MOVE (RFC 6851), else COPY and, in the same turn, so that a run that breaks off
   * copies few of them twice, as `delete` does; gives those that stay. The folder is made where it is missing. Mails
   * that are flagged \Deleted already were copied, and are only deleted.
   */
  async move(uids: readonly number[], folder: string): Promise<readonly number[]> {
    await this.mark(uids, 'read');
    for (const wasCopied of [false, true]) {
      const alike = uids.filter((uid) => this.#foundDeleted.has(uid) === wasCopied);
      const moveSet = async (connection: ImapConnection, set: string) => {
        if (connection.client.capabilities.has('MOVE'))
          return moveOrCopy(connection, set, folder, 'messageMove');
        const isCopied = wasCopied || (await moveOrCopy(connection, set, folder, 'messageCopy'));
        return isCopied && this.#remove(connection, set);
      };
      await this.#inSets(alike, `moving mails to folder "${folder}"`, moveSet, this.#folder.openMs);
    }
    return await this.#expungeFlagged(uids);
  }

  /** Read as well: a server that keeps what it was told to expunge, as Gmail in All Mail, must not list it again. */
  async #remove({ client }: ImapConnection, set: string): Promise<boolean> {
    const isFlagged = await client.messageFlagsAdd(set, ['\\Deleted', '\\Seen'], silently);
    if (!client.capabilities.has('UIDPLUS')) this.#hasFlagged = true;
    else if (isFlagged) await runCommand(client, 'UID EXPUNGE', [{ type: 'SEQUENCE', value: set }]);
    return isFlagged;
  }

  /** In one turn: between the look for others and the EXPUNGE no other command comes, nor another connection. */
  async #expungeFlagged(uids: readonly number[]): Promise<readonly number[]> {
    if (!this.#hasFlagged) return [];
    for (const uid of uids) this.#leftFlagged.add(uid);
    const doing = 'deleting mails';
    const expunge = async (connection: ImapConnection): Promise<readonly number[]> => {
      const flagged = await connection.search({ deleted: true }, doing);
      const stay = new Set(flagged);
      // A plain EXPUNGE takes every mail that is flagged, so it is sent only when all of those are ours.
      if (!flagged.every((uid) => this.#leftFlagged.has(uid))) return uids.filter((uid) => stay.has(uid));
      if (flagged.length > 0) await runCommand(connection.client, 'EXPUNGE', []);
      return [];
    };
    return await this.#folder.run(doing, expunge, this.#folder.openMs);
  }

  /** The UIDs of all mails that are \Seen or flagged \Deleted, by whomever. */
  async findReadOrDeleted(): Promise<readonly number[]> {
    const deleted = await this.#folder.search({ deleted: true }, 'looking for mails');
    for (const uid of deleted) this.#foundDeleted.add(uid);
    const read = await this.#folder.search({ seen: true }, 'looking for mails');
    return [...new Set([...deleted, ...read])].sort((one, other) => one - other);
  }

  /**
   * Gives `command` its turn for each sequence set of these; it resolves to whether it went well. What the server can
   * do is to be looked up in that turn: one before may have connected anew, to another backend.
   */
  async #inSets(
    uids: readonly number[],
    doing: string,
    command: (connection: ImapConnection, set: string) => Promise<object | boolean | undefined>,
    timeoutMs?: number,
  ): Promise<void> {
    for (const set of compactUids(uids)) {
      const run = (connection: ImapConnection) => connection.require(doing, () => command(connection, set));
      await this.#folder.run(doing, run, timeoutMs);
    }
  }
}

/** Moves or copies to a folder by its name as people see it; where that is refused, finds out how the server has it. */
async function moveOrCopy(
  connection: ImapConnection,
  set: string,
  folder: string,
  command: 'messageMove' | 'messageCopy',
): Promise<object | undefined> {
  const { client } = connection;
  const done = await connection.attempt(() => client[command](set, folder, { uid: true }));
  if (done !== undefined) return done;
  const name = await connection.serversName(folder);
  // One that is there already is no failure; that it can't be made is said by the next try.
  await client.mailboxCreate(name).catch(() => undefined);
  return await connection.attempt(() => client[command](set, name, { uid: true }));
}
