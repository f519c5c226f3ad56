import { type Entity, readEntity } from './entity.ts';
import { type HeaderField, parseHeaderBlock } from './headers.ts';
import { Unsplittable, Unusual } from './refusal.ts';

/** What the scanner finds, in the order of the mail. A `part` is a leaf; `body` bytes are still encoded. */
export type ScanEvent =
  | { readonly kind: 'part'; readonly entity: Entity; readonly alternative?: number }
  | { readonly kind: 'body'; readonly bytes: Buffer }
  | { readonly kind: 'part-end' };

/** A multipart that is open at this place of the mail. */
interface Level {
  readonly boundary: string | undefined;
  /** The outermost multipart/alternative that this is or stands in, by number. */
  readonly alternative: number | undefined;
  hasParts: boolean;
  /** Whether only white space stood in it outside its parts. */
  blank: boolean;
}

interface Delimiter {
  readonly level: number;
  readonly closes: boolean;
}

const LF = 0x0a;
const CR = 0x0d;
const DASH = 0x2d;
const delimiterStart = Buffer.from('\n--');
const noBytes = Buffer.alloc(0);

/** As mailparser: 1 MiB of header, a line of it counting for at least 64 bytes, and 1,000 entities. */
const maxHeadBytes = 1024 * 1024;
const maxHeadLines = maxHeadBytes / 64;
const maxEntities = 1000;
/** A sane mail takes a few. */
const maxScanMs = 10_000;
/** What a delimiter line may hold besides the boundary: dashes, RFC 2046 white space, the line end. */
const maxDelimiterExtra = 1004;

/**
 * Finds the leaves of a mail (RFC 2046) in blocks of any size, in time linear to its size and holding
 * no more than a header or a line. It follows mailparser's splitter; what it would rather not decide
 * alone it refuses as `Unusual`, and what exceeds a limit or would lose content as `Unsplittable`.
 */
export class MimeScanner {
  /** The fields of the mail's own header, once it was read. */
  rootFields: readonly HeaderField[] = [];
  #buffer: Buffer = noBytes;
  /** All before this place is done with. */
  #at = 0;
  #state: 'head' | 'leaf' | 'between' = 'head';
  /** A delimiter may stand right at `#at`. */
  #atLineStart = true;
  #inEpilogue = false;
  #headScanned = 0;
  #headLines = 0;
  #entities = 0;
  #alternatives = 0;
  readonly #levels: Level[] = [];
  #boundaries = new Set<string>();
  #maxBoundaryBytes = 0;
  #events: ScanEvent[] = [];
  #spentMs = 0;
  #runStartedAt = 0;

  push(block: Buffer): ScanEvent[] {
    const rest = this.#buffer.length - this.#at;
    this.#buffer = rest > 0 ? Buffer.concat([this.#buffer.subarray(this.#at), block]) : block;
    this.#at = 0;
    return this.#run(false);
  }

  end(): ScanEvent[] {
    const events = this.#run(true);
    this.#endLeaf();
    this.#closeLevelsFrom(0);
    return events;
  }

  #run(final: boolean): ScanEvent[] {
    this.#events = [];
    this.#runStartedAt = performance.now() - this.#spentMs;
    while (this.#state === 'head' ? this.#scanHead(final) : this.#scanBody(final));
    this.#spentMs = performance.now() - this.#runStartedAt;
    return this.#events;
  }

  /** Reads a header up to its empty line; false when more bytes are needed. */
  #scanHead(final: boolean): boolean {
    const buffer = this.#buffer;
    let line = this.#at + this.#headScanned;
    for (;;) {
      const lf = buffer.indexOf(LF, line);
      const next = lf < 0 ? buffer.length : lf + 1;
      if (next - this.#at > maxHeadBytes || this.#headLines > maxHeadLines) {
        throw new Unsplittable('a header in it is larger than 1 MiB');
      }
      if (lf < 0 && !final) {
        this.#headScanned = line - this.#at;
        return false;
      }
      if (lf === line || (lf === line + 1 && buffer[line] === CR)) {
        this.#beginEntity(buffer.subarray(this.#at, line), true);
        this.#at = next;
        return true;
      }
      if (buffer[line] === DASH && buffer[line + 1] === DASH && this.#matchDelimiter(line, next)) {
        throw new Unusual('a delimiter within a header');
      }
      if (lf < 0) {
        this.#beginEntity(buffer.subarray(this.#at), false);
        this.#at = next;
        return true;
      }
      this.#headLines++;
      line = next;
    }
  }

  #beginEntity(block: Buffer, terminated: boolean): void {
    this.#headScanned = 0;
    this.#headLines = 0;
    if (++this.#entities > maxEntities) throw new Unsplittable('it has more than 1,000 parts');
    if (performance.now() - this.#runStartedAt > maxScanMs)
      throw new Unsplittable('it takes too long to read');
    const fields = parseHeaderBlock(block);
    const root = this.#entities === 1;
    if (root) this.rootFields = fields;
    const readable = root
      ? fields.some((field) => field.key)
      : terminated || fields.every((field) => field.key);
    if (!readable && !isBlank(block)) throw new Unsplittable('a header in it is not one');
    const entity = readEntity(fields, root);
    const parent = this.#levels.at(-1);
    if (parent) parent.hasParts = true;
    this.#atLineStart = true;
    this.#inEpilogue = false;
    if (entity.multipart) {
      const outer = parent?.alternative;
      const alternative =
        outer ?? (entity.mediaType === 'multipart/alternative' ? ++this.#alternatives : undefined);
      this.#levels.push({ boundary: entity.boundary, alternative, hasParts: false, blank: true });
      this.#noteBoundaries();
      this.#state = 'between';
      return;
    }
    if (entity.boundary !== undefined) throw new Unusual('a boundary on a part that is no multipart');
    this.#events.push({
      kind: 'part',
      entity,
      ...(parent?.alternative !== undefined && { alternative: parent.alternative }),
    });
    this.#state = 'leaf';
  }

  #checkTime(): void {
    if (performance.now() - this.#runStartedAt > maxScanMs)
      throw new Unsplittable('it takes too long to read');
  }

  /** Goes to the next delimiter; false when there is none in what has come so far. */
  #scanBody(final: boolean): boolean {
    const buffer = this.#buffer;
    if (this.#boundaries.size === 0) return this.#giveUpTo(buffer.length);
    let from = this.#at;
    for (;;) {
      const bound = this.#nextCandidate(from, final);
      if (bound === undefined) return this.#giveUpTo(final ? buffer.length : this.#held());
      const { start, bodyEnd } = bound;
      if (start < 0) return false;
      const lf = buffer.indexOf(LF, start);
      const next = lf < 0 ? buffer.length : lf + 1;
      if (lf < 0 && !final && buffer.length - start <= this.#maxBoundaryBytes + maxDelimiterExtra) {
        if (this.#atLineStart) return false;
        return this.#giveUpTo(bodyEnd);
      }
      const delimiter = this.#matchDelimiter(start, next);
      if (delimiter) {
        this.#giveUpTo(bodyEnd);
        this.#at = next;
        this.#enter(delimiter);
        return true;
      }
      this.#checkTime();
      this.#atLineStart = false;
      from = lf < 0 ? buffer.length : lf;
    }
  }

  /** Where the next line with two dashes starts, and where the body before it ends; -1: wait for more. */
  #nextCandidate(from: number, final: boolean): { start: number; bodyEnd: number } | undefined {
    const buffer = this.#buffer;
    if (this.#atLineStart) {
      const start = this.#at;
      if (buffer.length - start < 2 && !final) return { start: -1, bodyEnd: start };
      if (buffer[start] === DASH && buffer[start + 1] === DASH) return { start, bodyEnd: start };
      this.#atLineStart = false;
    }
    const at = buffer.indexOf(delimiterStart, from);
    if (at < 0) return undefined;
    return { start: at + 1, bodyEnd: at > this.#at && buffer[at - 1] === CR ? at - 1 : at };
  }

  /** The place from which a line end at the end of the block, and a dash after it, must be held back. */
  #held(): number {
    const buffer = this.#buffer;
    let end = buffer.length;
    if (end - this.#at >= 2 && buffer[end - 1] === DASH && buffer[end - 2] === LF) end--;
    if (end > this.#at && buffer[end - 1] === LF) end--;
    if (end > this.#at && buffer[end - 1] === CR && end >= buffer.length - 2) end--;
    return end;
  }

  #giveUpTo(end: number): false {
    const bytes = this.#buffer.subarray(this.#at, end);
    this.#at = end;
    if (bytes.length === 0) return false;
    if (this.#state === 'leaf') {
      this.#events.push({ kind: 'body', bytes });
    } else {
      const level = this.#levels.at(-1);
      if (level?.blank && !level.hasParts) level.blank = isBlank(bytes);
    }
    return false;
  }

  /** RFC 2046, 5.1.1, with any number of CR before the LF, and no line end needed to close at the end. */
  #matchDelimiter(start: number, next: number): Delimiter | undefined {
    const buffer = this.#buffer;
    if (next - start > this.#maxBoundaryBytes + maxDelimiterExtra) return undefined;
    let end = next;
    if (buffer[end - 1] === LF) end--;
    while (end > start && buffer[end - 1] === CR) end--;
    const hasLineEnd = end < next;
    while (end > start && (buffer[end - 1] === 0x20 || buffer[end - 1] === 0x09)) end--;
    const whole = buffer.toString('latin1', Math.min(start + 2, end), end);
    const opens = hasLineEnd && this.#boundaries.has(whole);
    const closing = whole.endsWith('--') ? whole.slice(0, -2) : undefined;
    const closes = closing !== undefined && this.#boundaries.has(closing);
    if (!opens && !closes) return undefined;
    for (let level = this.#levels.length - 1; level >= 0; level--) {
      if (this.#inEpilogue && level === this.#levels.length - 1) continue;
      const boundary = this.#levels[level]?.boundary;
      if (closes && boundary === closing) return { level, closes: true };
      if (opens && boundary === whole) return { level, closes: false };
    }
    return undefined;
  }

  #enter({ level, closes }: Delimiter): void {
    const own = this.#state === 'between' && level === this.#levels.length - 1;
    this.#atLineStart = true;
    if (own && closes) return;
    this.#endLeaf();
    this.#closeLevelsFrom(level + 1);
    this.#state = closes ? 'between' : 'head';
    this.#inEpilogue = closes;
  }

  #endLeaf(): void {
    if (this.#state === 'leaf') this.#events.push({ kind: 'part-end' });
    this.#state = 'between';
  }

  #closeLevelsFrom(level: number): void {
    if (this.#levels.length <= level) return;
    for (const closed of this.#levels.splice(level)) {
      if (!closed.hasParts && !closed.blank) throw new Unsplittable('a multipart in it shows no parts');
    }
    this.#noteBoundaries();
  }

  #noteBoundaries(): void {
    this.#boundaries = new Set(this.#levels.flatMap((level) => level.boundary ?? []));
    this.#maxBoundaryBytes = Math.max(0, ...[...this.#boundaries].map((boundary) => boundary.length));
  }
}

/** Whether there is nothing but white space and control characters. */
export function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte <= 0x20);
}
