import { chown, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { forEachOf } from '../../shared/wait/parallel.ts';

/** A mail as it lies in a Maildir. */
export interface MaildirMail {
  readonly file: string;
  readonly seen: boolean;
  /** Flagged \Deleted and not yet expunged. */
  readonly deleted: boolean;
}

const writesAtOnce = 32;
let sequence = 0;

/**
 * Puts mails into a Maildir as unread, byte for byte, in this order: a server numbers them so. Makes the
 * Maildir when it is missing. Everything made belongs to whoever owns the folder it is made in.
 */
export async function seedMaildir(dir: string, mails: readonly Buffer[]): Promise<void> {
  const owner = await ownerOf(dir);
  const give = async (path: string) => {
    if (process.getuid?.() === 0) await chown(path, owner.uid, owner.gid);
  };
  for (const folder of ['', 'cur', 'new', 'tmp']) {
    if ((await mkdir(join(dir, folder), { recursive: true })) !== undefined) await give(join(dir, folder));
  }
  const seconds = Math.floor(Date.now() / 1000);
  const first = sequence;
  sequence += mails.length;
  await forEachOf(mails.entries(), writesAtOnce, async ([index, mail]) => {
    const number = String(first + index).padStart(9, '0');
    const name = `${seconds}.M${number}P${process.pid}.testbed,S=${mail.length},W=${crlfSizeBytes(mail)}`;
    // Through tmp/: a server that looks into new/ during the write would serve half a mail.
    const temporary = join(dir, 'tmp', name);
    await writeFile(temporary, mail);
    await give(temporary);
    await rename(temporary, join(dir, 'new', name));
  });
}

/** What is in the Maildir, in the order it was seeded. */
export async function listMaildir(dir: string): Promise<MaildirMail[]> {
  const mails: MaildirMail[] = [];
  for (const folder of ['new', 'cur']) {
    for (const name of await entries(join(dir, folder))) {
      const flags = /:2,([A-Za-z]*)$/.exec(name)?.[1] ?? '';
      mails.push({ file: join(dir, folder, name), seen: flags.includes('S'), deleted: flags.includes('T') });
    }
  }
  return mails.sort((a, b) => (basename(a.file) < basename(b.file) ? -1 : 1));
}

/** The bytes of every mail in the Maildir, in the order they were seeded. */
export async function readMaildir(dir: string): Promise<Buffer[]> {
  return Promise.all((await listMaildir(dir)).map((mail) => readFile(mail.file)));
}

/** Takes every mail out of the Maildir, as another mail program would. The server's indexes stay. */
export async function clearMaildir(dir: string): Promise<void> {
  await Promise.all((await listMaildir(dir)).map((mail) => rm(mail.file, { force: true })));
}

/** The mail's size with every line end as CRLF, which is what a server reports and sends. */
export function crlfSizeBytes(mail: Buffer): number {
  let size = mail.length;
  for (let at = mail.indexOf(10); at !== -1; at = mail.indexOf(10, at + 1)) {
    if (at === 0 || mail[at - 1] !== 13) size += 1;
  }
  return size;
}

async function ownerOf(dir: string): Promise<{ uid: number; gid: number }> {
  try {
    return await stat(dir);
  } catch {
    return ownerOf(dirname(dir));
  }
}

async function entries(dir: string): Promise<string[]> {
  try {
    return (await readdir(dir)).filter((name) => !name.startsWith('.'));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
