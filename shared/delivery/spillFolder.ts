import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../failure/failure.ts';

const readPieceBytes = 256 * 1_024;

/** A folder of temporary files for one mail, readable by this user only. Errors are `Failure('storage')`. */
export class SpillFolder {
  readonly #path: string;
  #made: Promise<unknown> | undefined;

  /** Nothing is made until a file is. */
  constructor(path: string) {
    this.#path = path;
  }

  async create(): Promise<SpillFile> {
    const path = join(this.#path, randomUUID());
    return await writing(this.#path, async () => {
      this.#made ??= mkdir(this.#path, { recursive: true, mode: 0o700 });
      await this.#made;
      return new SpillFile(path, await open(path, 'wx', 0o600));
    });
  }

  /** Removes the folder with all its files. Never rejects. */
  async remove(): Promise<void> {
    if (this.#made !== undefined)
      await rm(this.#path, { recursive: true, force: true }).catch(() => undefined);
  }
}

export class SpillFile {
  readonly path: string;
  readonly #handle: FileHandle;

  constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  async write(piece: Buffer): Promise<void> {
    await writing(this.path, () => this.#handle.appendFile(piece));
  }

  async close(): Promise<void> {
    await writing(this.path, () => this.#handle.close());
  }

  /** Closed or not. Never rejects. */
  async remove(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
    await rm(this.path, { force: true }).catch(() => undefined);
  }
}

/** A file's bytes, piece by piece. */
export async function* readPieces(path: string): AsyncGenerator<Buffer> {
  try {
    for await (const piece of createReadStream(path, { highWaterMark: readPieceBytes })) yield piece;
  } catch (error) {
    throw storageFailure('read', path, error);
  }
}

/** A file's bytes at once. */
export async function readWhole(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw storageFailure('read', path, error);
  }
}

async function writing<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storageFailure('written', path, error);
  }
}

function storageFailure(done: 'read' | 'written', path: string, error: unknown): Failure {
  if (error instanceof Failure) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  return new Failure(
    'storage',
    `The temporary file ${path} could not be ${done} (${code}). Check the disk space of the app's temporary folder.`,
    error,
  );
}
