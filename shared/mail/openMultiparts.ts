import type { Entity } from './entity.ts';
import { Unsplittable } from './unsplittable.ts';

/** A multipart that is open at this place of the mail. */
interface Level {
  readonly boundary: string | undefined;
  readonly digest: boolean;
  hasParts: boolean;
  /** Whether only white space stood in it outside its parts. */
  blank: boolean;
  /** A close delimiter with text right behind it was seen, and no other delimiter since. */
  glued: boolean;
}

export interface Delimiter {
  /** How many multiparts are around the one that it is of. */
  readonly level: number;
  readonly closes: boolean;
}

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;
/** What a delimiter line may hold besides the boundary: dashes, RFC 2046 white space, the line end. */
const maxDelimiterExtra = 1004;
/** Of so many inner multiparts a delimiter with text behind it is looked for. */
const maxGluedLevels = 8;

/** The multiparts that are open, one in the other, and which lines are delimiters of theirs (RFC 2046, 5.1.1). */
export class OpenMultiparts {
  /** Behind the close delimiter of the innermost one. */
  inEpilogue = false;
  /** No longer line is a delimiter; zero where there is no boundary. */
  maxDelimiterBytes = 0;
  readonly #levels: Level[] = [];
  /** The levels that have it, the innermost first. */
  #boundaries = new Map<string, number[]>();

  get innermost(): Level | undefined {
    return this.#levels.at(-1);
  }

  open({ boundary, mediaType }: Entity): void {
    const digest = mediaType === 'multipart/digest';
    this.#levels.push({ boundary, digest, hasParts: false, blank: true, glued: false });
    this.#noteBoundaries();
  }

  /** Closes all that are in so many others, and gives their number. Throws where one of them hides something. */
  closeFrom(level: number): number {
    const closed = this.#levels.splice(level).reverse();
    for (const { glued, hasParts, blank } of closed) {
      if (glued) throw new Unsplittable('text stands right behind a close delimiter in it');
      if (!hasParts && !blank) throw new Unsplittable('a multipart in it shows no parts');
    }
    if (closed.length > 0) this.#noteBoundaries();
    return closed.length;
  }

  /** Takes note that a delimiter was passed; gives what it is of. */
  pass({ level: index }: Delimiter): Level | undefined {
    const level = this.#levels[index];
    if (level) level.glued = false;
    return level;
  }

  /** Whether a line is a delimiter, with any number of CR before the LF, and no line end needed at the very end. */
  match(buffer: Buffer, start: number, next: number): Delimiter | undefined {
    if (next - start > this.maxDelimiterBytes) return undefined;
    let end = next;
    if (buffer[end - 1] === LF) end--;
    while (end > start && buffer[end - 1] === CR) end--;
    while (end > start && (buffer[end - 1] === SPACE || buffer[end - 1] === TAB)) end--;
    const whole = buffer.toString('latin1', Math.min(start + 2, end), end);
    const opened = this.#levelOf(whole);
    const closed = whole.endsWith('--')
      ? this.#levelOf(whole.slice(0, -2).replace(/(?<![ \t])[ \t]+$/, ''))
      : undefined;
    if (opened === undefined && closed === undefined) return undefined;
    return opened !== undefined && opened >= (closed ?? -1)
      ? { level: opened, closes: false }
      : { level: closed ?? 0, closes: true };
  }

  /** Of two multiparts with the same boundary the inner one is meant, until it is closed. */
  #levelOf(boundary: string): number | undefined {
    const indexes = this.#boundaries.get(boundary);
    const isClosed = this.inEpilogue && indexes?.[0] === this.#levels.length - 1;
    return (isClosed ? indexes?.[1] : undefined) ?? indexes?.[0];
  }

  /**
   * RFC 2046, 5.1.1 lets a boundary be compared as a prefix, and lists append footers to a mail whose last line
   * has no end. In base64 a close delimiter with text behind it can be nothing else. In a text, whether it is one
   * shows at the end of the mail only: when no other delimiter of the same multipart has come.
   */
  matchGlued(buffer: Buffer, start: number, next: number, inBase64: boolean): Delimiter | undefined {
    const lowest = Math.max(0, this.#levels.length - maxGluedLevels);
    for (let index = this.#levels.length - 1; index >= lowest; index--) {
      const level = this.#levels[index];
      if (!level?.boundary || level.glued) continue;
      const delimiter = `--${level.boundary}--`;
      const end = start + delimiter.length;
      if (end >= next || buffer.toString('latin1', start, end) !== delimiter) continue;
      if (this.inEpilogue && index === this.#levels.length - 1) return undefined;
      level.glued = !inBase64;
      return inBase64 ? { level: index, closes: true } : undefined;
    }
    return undefined;
  }

  /** Whether a line begins with the delimiter of one of them and goes on. */
  beginsAsDelimiter(buffer: Buffer, start: number, next: number): boolean {
    const line = buffer.toString('latin1', start + 2, Math.min(next, start + this.maxDelimiterBytes));
    return this.#levels
      .slice(-maxGluedLevels)
      .some(({ boundary }) => boundary !== undefined && line.startsWith(boundary));
  }

  #noteBoundaries(): void {
    this.#boundaries = new Map();
    for (const [index, { boundary }] of [...this.#levels.entries()].reverse()) {
      // RFC 2045, 5.1: these are no quotes, but there are senders that take them for some.
      for (const each of new Set([boundary, boundary?.replace(/^'(.+)'$/, '$1')])) {
        if (each === undefined) continue;
        const indexes = this.#boundaries.get(each) ?? [];
        indexes.push(index);
        this.#boundaries.set(each, indexes);
      }
    }
    const lengths = [...this.#boundaries.keys()].map((boundary) => boundary.length + maxDelimiterExtra);
    this.maxDelimiterBytes = Math.max(0, ...lengths);
  }
}
