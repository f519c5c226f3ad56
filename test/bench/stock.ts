import { chown, link, mkdir, rename, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { forEachOf } from '../../shared/wait/parallel.ts';
import { crlfSizeBytes } from '../testbed/seed.ts';
import type { BenchMail, ExpectedPart } from './benchMails.ts';
import { withTemporaryFolder } from './temporaryFolder.ts';

/** A mail that lies ready on disk. */
export interface StoredMail {
  readonly file: string;
  readonly sizeBytes: number;
  readonly messageId: string;
  readonly parts: readonly ExpectedPart[];
}

const atOnce = 32;
let sequence = 0;

/** The mails `make(0)` to `make(count - 1)`, on disk for the time of `use`. */
export async function withStock<T>(
  count: number,
  make: (index: number) => BenchMail,
  use: (mails: readonly StoredMail[]) => Promise<T>,
): Promise<T> {
  return withTemporaryFolder('bench-mails-', async (folder) => {
    const mails: StoredMail[] = [];
    await forEachOf(Array(count).keys(), atOnce, async (index) => {
      const { source, messageId, parts } = make(index);
      const file = join(folder, String(index));
      await writeFile(file, source);
      // The user that the test server serves mail as.
      if (userInfo().uid === 0) await chown(file, 65_534, 65_534);
      mails[index] = { file, sizeBytes: crlfSizeBytes(source), messageId, parts };
    });
    return await use(mails);
  });
}

/** Puts mails into a Maildir as new ones, in this order, as links to the stock's files. */
export async function linkIntoMaildir(maildir: string, mails: readonly StoredMail[]): Promise<void> {
  await mkdir(join(maildir, 'new'), { recursive: true });
  const seconds = Math.floor(Date.now() / 1000);
  const first = sequence;
  sequence += mails.length;
  await forEachOf(mails.entries(), atOnce, async ([index, mail]) => {
    const number = String(first + index).padStart(9, '0');
    const name = `${seconds}.M${number}P${process.pid}.bench,S=${mail.sizeBytes},W=${mail.sizeBytes}`;
    await link(mail.file, join(maildir, 'tmp', name));
    await rename(join(maildir, 'tmp', name), join(maildir, 'new', name));
  });
}
