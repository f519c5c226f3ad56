import { rmSync } from 'node:fs';
import { chown, link, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { forEachOf } from '../../shared/wait/parallel.ts';
import { onExit } from '../testbed/child.ts';
import { crlfSizeBytes } from '../testbed/seed.ts';
import type { BenchMail, ExpectedPart } from './benchMails.ts';

/** A mail that lies ready on disk. */
export interface StoredMail {
  readonly file: string;
  readonly sizeBytes: number;
  readonly messageId: string;
  readonly parts: readonly ExpectedPart[];
}

/** Mails made once and linked into mailboxes as often as they are needed. */
export interface Stock {
  readonly mails: readonly StoredMail[];
  remove(): Promise<void>;
}

const atOnce = 32;
let sequence = 0;

/** Writes the mails `make(0)` to `make(count - 1)` to a folder of its own, which goes when this process exits. */
export async function makeStock(count: number, make: (index: number) => BenchMail): Promise<Stock> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-mails-'));
  const forget = onExit(() => rmSync(folder, { recursive: true, force: true }));
  const mails: StoredMail[] = [];
  await forEachOf(Array(count).keys(), atOnce, async (index) => {
    const { source, messageId, parts } = make(index);
    const file = join(folder, String(index));
    await writeFile(file, source);
    await giveToMailOwner(file);
    mails[index] = { file, sizeBytes: crlfSizeBytes(source), messageId, parts };
  });
  return {
    mails,
    async remove() {
      await rm(folder, { recursive: true, force: true });
      forget();
    },
  };
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

/** The user that the test server serves mail as. */
async function giveToMailOwner(file: string): Promise<void> {
  if (userInfo().uid === 0) await chown(file, 65_534, 65_534);
}
