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
export function openJournal(options: JournalOptions): Journal {
  const isOff = options.mode === 'off' || !isName(options.customer) || !isName(options.connection);
  return isOff ? silent : new WritingJournal(options);
}

const silent: Journal = { addMail: () => undefined, end: async () => undefined };

class WritingJournal implements Journal {
  readonly #options: JournalOptions;
  #pending: { readonly day: string; readonly text: string }[] = [];
  #pendingBytes = 0;
  /** When the last group was begun, or the first line came. */
  #groupBeganMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #timerMs = 0;
  #writing: Promise<void> | undefined;
  /** `end` writes what there is; nobody else begins to. */
  #isEnding = false;
  #lostLines = 0;
  #failure: Failure | undefined;

  constructor(options: JournalOptions) {
    this.#options = options;
  }

  addMail(line: MailLine): void {
    this.#add(line.at, () => mailText(this.#options.mode, this.#options, this.#options.runId, line));
    this.#plan();
  }

  async end(run: RunLine | undefined): Promise<string | undefined> {
    if (run !== undefined) this.#add(run.at, () => runText(this.#options.runId, run));
    if (this.#writing !== undefined || this.#pending.length > 0) {
      const deadline = AbortSignal.timeout(endTimeoutMs);
      this.#isEnding = true;
      await this.#writing;
      await this.#write(deadline);
      this.#isEnding = false;
    }
    if (this.#lostLines === 0) return undefined;
    const lines = this.#lostLines === 1 ? 'line' : 'lines';
    const why = this.#failure?.message ?? 'They came faster than storage took them.';
    return `The journal misses ${this.#lostLines} ${lines} of this run. ${why}`;
  }

  #add(at: Date, render: () => string): void {
    try {
      const [day, text] = [journalDay(at), render()];
      const sizeBytes = Buffer.byteLength(text);
      if (heldBytes + sizeBytes > maxHeldBytes) {
        this.#lostLines += 1;
        return;
      }
      heldBytes += sizeBytes;
      this.#pendingBytes += sizeBytes;
      this.#pending.push({ day, text });
      this.#groupBeganMs ??= performance.now();
    } catch (error) {
      this.#lostLines += 1;
      this.#failure ??= toFailure(error, 'writing a line of the journal');
    }
  }

  /** Begins a write now, or sees to it that one is begun in time. */
  #plan(): void {
    if (this.#isEnding || this.#writing !== undefined || this.#pending.length === 0) return;
    const nowMs = performance.now();
    const isGroup = this.#pending.length >= groupMails;
    const waitMs = isGroup ? (this.#groupBeganMs ?? 0) + shortestWaitMs - nowMs : longestWaitMs;
    if (this.#pendingBytes >= groupBytes || waitMs <= 0) {
      this.#begin();
    } else if (this.#timer === undefined || this.#timerMs > nowMs + waitMs) {
      clearTimeout(this.#timer);
      this.#timerMs = nowMs + waitMs;
      this.#timer = setTimeout(() => this.#begin(), waitMs).unref();
    }
  }

  #begin(): void {
    this.#writing = this.#write(AbortSignal.timeout(writeTimeoutMs)).finally(() => {
      this.#writing = undefined;
      this.#plan();
    });
  }

  /** Writes all that is pending, day by day. Never rejects: what can't be written is lost and counted. */
  async #write(signal: AbortSignal): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const [lines, sizeBytes] = [this.#pending, this.#pendingBytes];
    if (lines.length === 0) return;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#groupBeganMs = performance.now();
    try {
      for (const [day, ofDay] of Map.groupBy(lines, (line) => line.day)) {
        const texts = ofDay.map(({ text }) => text);
        const failure = await append(this.#options.container, day, this.#options, texts, signal);
        if (failure === undefined) continue;
        this.#lostLines += ofDay.length;
        this.#failure ??= failure;
      }
    } finally {
      heldBytes -= sizeBytes;
    }
  }
}

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
