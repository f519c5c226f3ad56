import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../failure/failure.ts';

const readPieceBytes = 256 * 1_024;
const processFolder = /^process-(\d+)-/;
/** Tells this process from an earlier one of the same id: in a container the ids begin anew. */
const thisProcess = randomUUID();

/**
 * Gives this process's folder for temporary files below `parent`; not made before it is needed. Folders of processes
 * that no longer run are removed with what a crash has left in them. Never rejects.
 */
export async function openTemporaryFolder(parent: string): Promise<string> {
  const names = await readdir(parent).catch(() => []);
  for (const name of names) {
    const pid = Number(processFolder.exec(name)?.[1]);
    if (!Number.isSafeInteger(pid)) continue;
    if (pid === process.pid ? name.includes(thisProcess) : isRunning(pid)) continue;
    await rm(join(parent, name), { recursive: true, force: true }).catch(() => undefined);
  }
  return join(parent, `process-${process.pid}-${thisProcess}`);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is another user's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** A folder of temporary files for one mail, readable by this user only. */
export class SpillFolder {
  readonly #path: string;
  #made: Promise<unknown> | undefined;

  /** Nothing is made until a file is. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Rejects as the file system does. */
  async create(): Promise<SpillFile> {
    const path = join(this.#path, randomUUID());
    this.#made ??= mkdir(this.#path, { recursive: true, mode: 0o700 });
    await this.#made;
    return new SpillFile(path, await open(path, 'wx', 0o600));
  }

  /** Removes the folder with all its files. Never rejects. */
  async remove(): Promise<void> {
    if (this.#made === undefined) return;
    await rm(this.#path, { recursive: true, force: true }).catch(() => undefined);
  }
}

export class SpillFile {
  readonly path: string;
  readonly #handle: FileHandle;
  #writtenBytes = 0;

  constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /** False where there is no room: the file then holds what was written before. */
  async write(piece: Buffer): Promise<boolean> {
    try {
      await this.#handle.appendFile(piece);
    } catch {
      return false;
    }
    this.#writtenBytes += piece.length;
    return true;
  }

  async close(): Promise<void> {
    await this.#handle.close().catch(unreadable(this.path));
  }

  /** What was written, piece by piece. */
  async *readBack(): AsyncIterable<Buffer> {
    if (this.#writtenBytes > 0) yield* readPieces(this.path, this.#writtenBytes);
  }

  /** Closed or not. Never rejects. */
  async remove(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
    await rm(this.path, { force: true }).catch(() => undefined);
  }
}

/** A file's bytes, or the first `limitBytes` of them, piece by piece. Rejects with a `Failure('storage')`. */
export async function* readPieces(path: string, limitBytes?: number): AsyncGenerator<Buffer> {
  const end = limitBytes === undefined ? {} : { end: limitBytes - 1 };
  try {
    for await (const piece of createReadStream(path, { highWaterMark: readPieceBytes, ...end })) yield piece;
  } catch (error) {
    unreadable(path)(error);
  }
}

/** A file's bytes at once. Rejects with a `Failure('storage')`. */
export async function readWhole(path: string): Promise<Buffer> {
  return await readFile(path).catch(unreadable(path));
}

/** For `catch`. */
function unreadable(path: string): (error: unknown) => never {
  return (error) => {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    const sentence = `The temporary file ${path} could not be read back (${code}). Check the disk of the app's temporary folder.`;
    throw new Failure('storage', sentence, error);
  };
}
