import type { ContainerClient } from '@azure/storage-blob';
import { keyPattern } from '../connection/columns.ts';
import type { ConnectionKey } from '../connection/connectionStore.ts';
import { codeOf } from '../storage/storageFailure.ts';

/** What storage takes in one append to an append blob. */
const maxAppendBytes = 4 * 1_024 * 1_024;
/** A day's files of one connection; each takes 50,000 appends. */
const maxFiles = 100;

/** The day, in UTC, in whose folder a line of that time stands. */
export function journalDay(at: Date): string {
  return at.toISOString().slice(0, 10);
}

/**
 * The name of a day's file, from number 1. No connection's name holds a `~`, so the numbered files of one are
 * never those of another.
 */
export function fileName(day: string, { customer, connection }: ConnectionKey, number: number): string {
  return `${day}/${customer}/${connection}${number === 1 ? '' : `~${number}`}.jsonl`;
}

export interface JournalFile extends ConnectionKey {
  readonly day: string;
  readonly number: number;
}

/** What a blob's name says; undefined for one that is no file of the journal. */
export function parseFileName(name: string): JournalFile | undefined {
  const [day = '', customer = '', file = '', ...more] = name.split('/');
  const parts = /^([^~]+?)(?:~(\d{1,9}))?\.jsonl$/.exec(file);
  const connection = parts?.[1] ?? '';
  if (more.length > 0 || !/^\d{4}-\d\d-\d\d$/.test(day) || !isName(customer) || !isName(connection)) {
    return undefined;
  }
  return { day, customer, connection, number: Number(parts?.[2] ?? 1) };
}

/** Whether a connection of that name can be polled, and so have a journal. */
export function isName(key: string): boolean {
  return keyPattern.test(key);
}

/**
 * Appends whole lines to the owner's file of a day, in one request where the file is there and has room:
 * what is missing (container, file) is made and the append repeated. An append is atomic, so that several
 * writers never mix within a line; one whose answer was lost may have been written twice.
 */
export async function appendLines(
  container: ContainerClient,
  day: string,
  owner: ConnectionKey,
  lines: readonly string[],
  abortSignal: AbortSignal,
): Promise<void> {
  let number = 1;
  for (const block of blocksOf(lines)) {
    number = await appendBlock(container, (at) => fileName(day, owner, at), number, block, abortSignal);
  }
}

/** Gives the number of the file that took it. */
async function appendBlock(
  container: ContainerClient,
  nameOf: (number: number) => string,
  first: number,
  block: Buffer,
  abortSignal: AbortSignal,
): Promise<number> {
  for (let number = first, made = 0; ; ) {
    const blob = container.getAppendBlobClient(nameOf(number));
    try {
      await blob.appendBlock(block, block.length, { abortSignal });
      return number;
    } catch (error) {
      const code = codeOf(error);
      if (code === 'BlockCountExceedsLimit' && number < maxFiles) {
        number += 1;
        continue;
      }
      // The second time, somebody removes what was just made.
      if ((code !== 'BlobNotFound' && code !== 'ContainerNotFound') || made >= 2) throw error;
      made += 1;
      if (code === 'ContainerNotFound') await container.createIfNotExists({ abortSignal });
      await blob.createIfNotExists({
        abortSignal,
        blobHTTPHeaders: { blobContentType: 'application/jsonl' },
      });
    }
  }
}

/** Cuts between lines, so that each block fits one append. */
function* blocksOf(lines: readonly string[]): Generator<Buffer> {
  let block: string[] = [];
  let sizeBytes = 0;
  for (const line of lines) {
    const lineBytes = Buffer.byteLength(line);
    if (sizeBytes + lineBytes > maxAppendBytes && block.length > 0) {
      yield Buffer.from(block.join(''));
      block = [];
      sizeBytes = 0;
    }
    block.push(line);
    sizeBytes += lineBytes;
  }
  if (block.length > 0) yield Buffer.from(block.join(''));
}
