import type { ContainerClient } from '@azure/storage-blob';
import { type ConnectionKey, nameOf } from '../connection/connectionStore.ts';
import { Failure, toFailure } from '../failure/failure.ts';
import type { JournalMode } from '../settings/settings.ts';
import { statusOf, storageFailure } from '../storage/storageFailure.ts';
import { unlessAborted } from '../wait/deadline.ts';
import { forEachOf } from '../wait/parallel.ts';
import { appendLines, isName, journalDay } from './files.ts';
import { type LaterLine, laterText, type MailLine, mailText, type RunLine, runText } from './lines.ts';

/** What one run tells the journal: container `email-journal`, a file a day and connection. */
export interface Journal {
  /** A mail that left the unread ones. Never waits, never throws. */
  addMail(line: MailLine): void;
  /**
   * Writes what is left, with the run's line where it moved mail or failed. Resolves to a sentence where
   * something could not be written, within fifteen seconds; never rejects. Without lines it asks nothing of
   * storage.
   */
  end(run: RunLine | undefined): Promise<string | undefined>;
}

export interface JournalOptions extends ConnectionKey {
  /** Opened at the first write. */
  readonly container: () => Promise<ContainerClient>;
  readonly mode: JournalMode;
  readonly runId: string;
}

/** A later outcome, with what tells the file of the mail's own line. */
export interface LaterOutcome extends ConnectionKey, LaterLine {
  /** `at` of the mail's own line: the `storedAt` of its record. */
  readonly mailAt: Date;
}

/** A group has at least this many mails, or is as old as `longestWaitMs`. */
const groupMails = 500;
/** Between the groups of a run. */
const shortestWaitMs = 1_000;
const longestWaitMs = 30_000;
/** A group that is so large is written at once; it fits one append. */
const groupBytes = 3 * 1_024 * 1_024;
/** What the journals of all runs of this process hold at a time; lines beyond it are left out. */
const maxHeldBytes = 16 * 1_024 * 1_024;
const writeTimeoutMs = 10_000;
const endTimeoutMs = 15_000;
/** Files that later outcomes are written to at a time. */
const filesAtOnce = 4;

let heldBytes = 0;

/** Opens the journal of one run. Nothing is sent before there is something to write. */
export function openJournal({ container, mode, runId, ...owner }: JournalOptions): Journal {
  if (mode === 'off' || !isName(owner.customer) || !isName(owner.connection)) return silent;
  let pending: { readonly day: string; readonly text: string }[] = [];
  let pendingBytes = 0;
  /** When the last group was begun, or the first line came. */
  let groupBeganMs: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  let timerMs = 0;
  let writing: Promise<void> | undefined;
  /** `end` writes what there is; nobody else begins to. */
  let isEnding = false;
  let lostLines = 0;
  let failure: Failure | undefined;

  const add = (at: Date, render: () => string): void => {
    try {
      const [day, text] = [journalDay(at), render()];
      const sizeBytes = Buffer.byteLength(text);
      if (heldBytes + sizeBytes > maxHeldBytes) {
        lostLines += 1;
        return;
      }
      heldBytes += sizeBytes;
      pendingBytes += sizeBytes;
      pending.push({ day, text });
      groupBeganMs ??= performance.now();
    } catch (error) {
      lostLines += 1;
      failure ??= toFailure(error, 'writing a line of the journal');
    }
  };
  /** Begins a write now, or sees to it that one is begun in time. */
  const plan = (): void => {
    if (isEnding || writing !== undefined || pending.length === 0) return;
    const nowMs = performance.now();
    const isGroup = pending.length >= groupMails;
    const waitMs = isGroup ? (groupBeganMs ?? 0) + shortestWaitMs - nowMs : longestWaitMs;
    if (pendingBytes >= groupBytes || waitMs <= 0) {
      begin();
    } else if (timer === undefined || timerMs > nowMs + waitMs) {
      clearTimeout(timer);
      timerMs = nowMs + waitMs;
      timer = setTimeout(begin, waitMs).unref();
    }
  };
  const begin = (): void => {
    writing = write(AbortSignal.timeout(writeTimeoutMs)).finally(() => {
      writing = undefined;
      plan();
    });
  };
  /** Writes all that is pending, day by day. Never rejects: what can't be written is lost and counted. */
  const write = async (signal: AbortSignal): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    const [lines, sizeBytes] = [pending, pendingBytes];
    if (lines.length === 0) return;
    pending = [];
    pendingBytes = 0;
    groupBeganMs = performance.now();
    try {
      for (const [day, ofDay] of Map.groupBy(lines, (line) => line.day)) {
        const texts = ofDay.map(({ text }) => text);
        const failed = await append(container, day, owner, texts, signal);
        if (failed === undefined) continue;
        lostLines += ofDay.length;
        failure ??= failed;
      }
    } finally {
      heldBytes -= sizeBytes;
    }
  };

  return {
    addMail(line) {
      add(line.at, () => mailText(mode, owner, runId, line));
      plan();
    },
    async end(run) {
      if (run !== undefined) add(run.at, () => runText(runId, run));
      if (writing !== undefined || pending.length > 0) {
        const deadline = AbortSignal.timeout(endTimeoutMs);
        isEnding = true;
        await writing;
        await write(deadline);
        isEnding = false;
      }
      if (lostLines === 0) return undefined;
      const lines = lostLines === 1 ? 'line' : 'lines';
      const why = failure?.message ?? 'They came faster than storage took them.';
      return `The journal misses ${lostLines} ${lines} of this run. ${why}`;
    },
  };
}

const silent: Journal = { addMail: () => undefined, end: async () => undefined };

/**
 * Writes what became later of mails whose lines say `undelivered`, each into the file of its mail's line: for
 * the retry, and for a person who gives one up. Resolves to a sentence where some could not be written, within
 * fifteen seconds; never rejects. With `off` it does nothing.
 */
export async function addLaterOutcomes(
  { container, mode }: Pick<JournalOptions, 'container' | 'mode'>,
  outcomes: readonly LaterOutcome[],
): Promise<string | undefined> {
  if (mode === 'off') return undefined;
  const signal = AbortSignal.timeout(endTimeoutMs);
  const named = outcomes.filter(({ customer, connection }) => isName(customer) && isName(connection));
  const files = Map.groupBy(named, (each) => `${journalDay(each.mailAt)}/${nameOf(each)}`);
  let lostLines = 0;
  let first: Failure | undefined;
  await forEachOf(files, filesAtOnce, async ([, outcomes]) => {
    const [any] = outcomes;
    if (any === undefined) return;
    const day = journalDay(any.mailAt);
    const failure = await append(container, day, any, outcomes.map(laterText), signal);
    if (failure === undefined) return;
    lostLines += outcomes.length;
    first ??= failure;
  });
  const mails = lostLines === 1 ? 'mail' : 'mails';
  return first && `The journal misses what became of ${lostLines} undelivered ${mails}. ${first.message}`;
}

/** Appends; gives why it could not be done. */
async function append(
  container: JournalOptions['container'],
  day: string,
  owner: ConnectionKey,
  lines: readonly string[],
  signal: AbortSignal,
): Promise<Failure | undefined> {
  const doing = `writing the journal of connection ${nameOf(owner)}`;
  try {
    const appending = container().then((client) => appendLines(client, day, owner, lines, signal));
    // Not all of it heeds the signal.
    await unlessAborted(appending, signal, () => signal.reason);
    return undefined;
  } catch (error) {
    if (!signal.aborted || statusOf(error) !== undefined) return storageFailure(error, doing);
    return new Failure('storage', `The storage account did not answer in time while ${doing}.`);
  }
}
