import { Base64Decoder } from './base64.ts';
import { byteOrderMarkLength, isBlank } from './bytes.ts';
import { type Entity, readEntity } from './entity.ts';
import { beginsAsHeader, type HeaderField, isContentField, mayBeText, readHeaderBlock } from './header.ts';
import { type Delimiter, OpenMultiparts } from './openMultiparts.ts';
import { Unsplittable } from './unsplittable.ts';

/** What the scanner finds, in the order of the mail. A `part` is a leaf; `body` bytes are still encoded. */
export type MimeEvent =
  | { readonly kind: 'multipart'; readonly entity: Entity }
  | { readonly kind: 'multipart-end' }
  | { readonly kind: 'part'; readonly entity: Entity }
  | { readonly kind: 'body'; readonly bytes: Buffer }
  | { readonly kind: 'part-end' }
  /** Nothing was found in a while: a place to do something else. */
  | { readonly kind: 'pause' };

const LF = 0x0a;
const CR = 0x0d;
const DASH = 0x2d;
const delimiterStart = Buffer.from('\n--');
const noBytes = Buffer.alloc(0);

/** 1 MiB of header, a line of it counting for at least 64 bytes, and 1,000 entities: as mailparser. */
const maxHeadBytes = 1024 * 1024;
const maxHeadLines = maxHeadBytes / 64;
const maxEntities = 1000;
/** So much of a mail that begins with an empty line is looked at for its header. */
const belowBytes = 2048;
const linesBetweenPauses = 512;
/** What a part that is not seen as one begins with: a field of its header, or a delimiter behind the CR of old systems. */
const hiddenPart = /[\r\n]content-(?:type|disposition|transfer-encoding)[ \t]*:|\r--\S/gi;
/** A delimiter that has lost the line end before it, and the header behind it. */
const gluedPart =
  /[^\s>-](?=(--\S{1,70})[ \t]{0,9}\r{0,3}\ncontent-(?:type|disposition|transfer-encoding)[ \t]?:)/gi;
const maxHiddenPart = 128;
const betweenBytes = 64 * 1024;
/** The header of an attached mail is looked at up to here. */
const maxAttachedHead = 64 * 1024;
const partOutside = 'a part in it stands outside of its multipart';

export interface ScanOptions {
  /** How many entities there were, counted on. */
  readonly count: { entities: number };
  /** What is read is the body of a multipart whose header was read. */
  readonly bodyOf?: Entity;
}

/**
 * Finds the leaves of a mail (RFC 2046) in blocks of any size, in time linear to its size and holding
 * no more than a header or a line. What can't be told, exceeds a limit or would lose content is refused as
 * `Unsplittable`. All limits are numbers of bytes and entities, so that a mail is split the same every time.
 */
export class MultipartScanner {
  /** The fields of the mail's own header, once it was read. */
  rootFields: readonly HeaderField[] = [];
  readonly #count: { entities: number };
  readonly #open = new OpenMultiparts();
  #buffer: Buffer = noBytes;
  /** All before this place is done with. */
  #at = 0;
  #state: 'start' | 'head' | 'leaf' | 'between' | 'encoded' = 'start';
  /** A delimiter may stand right at `#at`. */
  #atLineStart = true;
  /** The header that is read stands in an epilogue. */
  #isTentative = false;
  /** Text would be that of a part without a header in an epilogue. */
  #isTextHidden = false;
  /** Whether the leaf that is read is base64. */
  #inBase64 = false;
  /** The beginning of the leaf that is read, if it is a mail: it may have a delimiter of its own. */
  #attachedMail: string | undefined;
  #headScanned = 0;
  #headLines = 0;
  /** That of the header that is read, from its first line with two dashes on; empty where it has none. */
  #ownBoundary: string | undefined;
  /** The end of the text between parts that was passed over. */
  #between = '';
  /** A multipart that says that it is encoded as a whole, and may not be. */
  #undecided: Entity | undefined;
  #encoded: EncodedMultipart | undefined;

  constructor({ count, bodyOf }: ScanOptions) {
    this.#count = count;
    if (bodyOf) this.#openMultipart(bodyOf);
  }

  *push(block: Buffer): Generator<MimeEvent> {
    const rest = this.#buffer.length - this.#at;
    this.#buffer = rest > 0 ? Buffer.concat([this.#buffer.subarray(this.#at), block]) : block;
    this.#at = 0;
    yield* this.#run(false);
  }

  *end(): Generator<MimeEvent> {
    yield* this.#run(true);
    yield* this.#endLeaf();
    yield* this.#closeFrom(0);
  }

  *#run(final: boolean): Generator<MimeEvent> {
    if (this.#state === 'start') {
      if (this.#buffer.length < 3 && !final) return;
      this.#at = byteOrderMarkLength(this.#buffer);
      this.#state = 'head';
    }
    for (let steps = 1; ; steps++) {
      if (steps % linesBetweenPauses === 0) yield { kind: 'pause' };
      const goesOn = this.#state === 'head' ? yield* this.#scanHead(final) : yield* this.#scanBody(final);
      if (!goesOn) return;
    }
  }

  /** Reads a header up to its empty line or what else ends it; false when more bytes are needed. */
  *#scanHead(final: boolean): Generator<MimeEvent, boolean> {
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
      if (lf >= 0 && isCarriageReturns(buffer, line, lf)) {
        if (lf - line > 1) throw new Unsplittable('its lines end in CR CR LF');
        if (line === this.#at && this.#count.entities === 0) {
          const below = buffer.subarray(next, next + belowBytes);
          if (below.length < belowBytes && !final) return false;
          if (beginsAsHeader(below)) throw new Unsplittable('its header stands below an empty line');
        }
        yield* this.#beginEntity(line, next);
        return true;
      }
      const isDelimiter = buffer[line] === DASH && buffer[line + 1] === DASH && this.#endsHead(line, next);
      if (isDelimiter || lf < 0) {
        const end = isDelimiter ? line : next;
        if (end === this.#at) this.#leaveHead(end);
        else yield* this.#beginEntity(end, end);
        return true;
      }
      this.#headLines++;
      line = next;
    }
  }

  /** A delimiter right below a header: of a multipart that is open, or of the one whose header this is. */
  #endsHead(line: number, next: number): boolean {
    if (this.#open.match(this.#buffer, line, next)) return true;
    if (this.#ownBoundary === undefined) {
      const reading = readHeaderBlock(this.#buffer.subarray(this.#at, line), this.#count.entities === 0);
      const fields = reading.kind === 'unclear' ? [] : reading.fields;
      this.#ownBoundary = readEntity(fields, 'multipart').boundary ?? '';
    }
    const text = this.#buffer.toString('latin1', line + 2, Math.min(next, line + 1024)).trimEnd();
    return this.#ownBoundary !== '' && [text, text.replace(/--$/, '')].includes(this.#ownBoundary);
  }

  #leaveHead(at: number): void {
    this.#headScanned = 0;
    this.#headLines = 0;
    this.#ownBoundary = undefined;
    this.#open.inEpilogue = this.#isTentative;
    this.#isTentative = false;
    this.#atLineStart = true;
    this.#state = 'between';
    this.#at = at;
    this.#between = '\n';
  }

  /** Begins the entity whose header stands from `#at` to `headEnd`, and whose body should begin at `bodyAt`. */
  *#beginEntity(headEnd: number, bodyAt: number): Generator<MimeEvent> {
    const headAt = this.#at;
    const block = this.#buffer.subarray(headAt, headEnd);
    const root = this.#count.entities === 0;
    const parent = this.#open.innermost;
    const inDigest = parent?.digest === true;
    const reading = readHeaderBlock(block, root, bodyAt > headEnd);
    const tentative = this.#isTentative && !inDigest;
    if (tentative && isBlank(block)) {
      this.#leaveHead(headEnd);
      this.#isTextHidden = true;
      return;
    }
    if (tentative && !reading.fields.some(isContentField)) throw new Unsplittable(partOutside);
    if (reading.kind === 'unclear' || (!root && !inDigest && mayBeText(reading.fields)))
      throw new Unsplittable('it can’t be told where a header in it ends and its text begins');
    this.#leaveHead(reading.kind === 'body-inside' ? headAt + reading.bodyAt : bodyAt);
    this.#open.inEpilogue = false;
    if (++this.#count.entities > maxEntities) throw new Unsplittable('it has more than 1,000 parts');
    const { fields } = reading;
    if (root) {
      this.rootFields = fields;
      if (!fields.some((field) => field.key) && !isBlank(block)) throw new Unsplittable('it has no header');
    }
    if (parent) parent.hasParts = true;
    if (inDigest && fields.some((field) => field.key) && !fields.some(isContentField)) {
      // The header is that of the mail in the digest: the empty line before it is missing.
      this.#at = headAt;
      yield* this.#beginLeaf(readEntity([], 'digest'));
      return;
    }
    const entity = readEntity(fields, root ? 'mail' : inDigest ? 'digest' : 'multipart');
    if (!entity.multipart) {
      if (reading.kind === 'body-inside' && !['identity', 'quoted-printable'].includes(entity.encoding))
        throw new Unsplittable('a header in it has no end, and its body is encoded');
      yield* this.#beginLeaf(entity);
      return;
    }
    yield { kind: 'multipart', entity };
    if (entity.encoding === 'base64' && entity.boundary !== undefined) {
      this.#undecided = entity;
      return;
    }
    this.#openMultipart(entity);
  }

  *#beginLeaf(entity: Entity): Generator<MimeEvent> {
    yield { kind: 'part', entity };
    this.#inBase64 = entity.encoding === 'base64';
    this.#attachedMail = /^message\/(?:rfc822|global|news)$/.test(entity.mediaType) ? '' : undefined;
    this.#state = 'leaf';
  }

  #openMultipart(entity: Entity): void {
    this.#open.open(entity);
    this.#state = 'between';
  }

  /** Goes to the next delimiter; false when there is none in what has come so far. */
  *#scanBody(final: boolean): Generator<MimeEvent, boolean> {
    const buffer = this.#buffer;
    if (this.#undecided !== undefined && !this.#decide(this.#undecided, final)) return false;
    const { maxDelimiterBytes } = this.#open;
    if (maxDelimiterBytes === 0) return yield* this.#giveUpTo(buffer.length);
    let from = this.#at;
    for (let lines = 1; ; lines++) {
      const bound = this.#nextCandidate(from, final);
      if (bound === undefined) return yield* this.#giveUpTo(final ? buffer.length : this.#held());
      const { start, bodyEnd } = bound;
      if (start < 0) return false;
      const lf = buffer.indexOf(LF, start);
      const next = lf < 0 ? buffer.length : lf + 1;
      if (lf < 0 && !final && buffer.length - start <= maxDelimiterBytes) {
        if (this.#atLineStart) return false;
        return yield* this.#giveUpTo(bodyEnd);
      }
      const delimiter =
        this.#open.match(buffer, start, next) ?? this.#open.matchGlued(buffer, start, next, this.#inBase64);
      if (delimiter) {
        yield* this.#giveUpTo(bodyEnd);
        this.#at = next;
        yield* this.#enter(delimiter);
        return true;
      }
      if (this.#state === 'between' && this.#open.beginsAsDelimiter(buffer, start, next))
        throw new Unsplittable(partOutside);
      this.#atLineStart = false;
      from = lf < 0 ? buffer.length : lf;
      if (lines % linesBetweenPauses === 0) yield { kind: 'pause' };
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

  *#giveUpTo(end: number): Generator<MimeEvent, false> {
    const bytes = this.#buffer.subarray(this.#at, end);
    this.#at = end;
    if (bytes.length === 0) return false;
    if (this.#state === 'leaf') {
      if (!this.#inBase64 && this.#open.innermost) this.#passBetween(bytes);
      if (this.#attachedMail !== undefined && this.#attachedMail.length < maxAttachedHead)
        this.#attachedMail += bytes.toString('latin1', 0, maxAttachedHead - this.#attachedMail.length);
      yield { kind: 'body', bytes };
    } else if (this.#encoded !== undefined) yield* this.#encoded.push(bytes);
    else if (this.#state === 'between') this.#passBetween(bytes);
    return false;
  }

  /** What stands before, in and behind the parts of a multipart must hide no part. */
  #passBetween(bytes: Buffer): void {
    if (this.#isTextHidden && !isBlank(bytes)) throw new Unsplittable(partOutside);
    const level = this.#open.innermost;
    if (level?.blank && !level.hasParts) level.blank = isBlank(bytes);
    for (let at = 0; at < bytes.length; at += betweenBytes) {
      const text = this.#between + bytes.toString('latin1', at, at + betweenBytes);
      for (const [, glued] of text.matchAll(this.#state === 'leaf' ? gluedPart : hiddenPart))
        if (glued === undefined || this.#open.match(Buffer.from(glued, 'latin1'), 0, glued.length))
          throw new Unsplittable(partOutside);
      this.#between = text.slice(-maxHiddenPart);
    }
  }

  /** A multipart that is declared base64 seldom is: its first line shows it. False when more bytes are needed. */
  #decide(multipart: Entity, final: boolean): boolean {
    const text = this.#buffer.toString('latin1', this.#at, this.#at + 200);
    const line =
      /^\s*(\S[^\r\n]*)\r*\n/.exec(text)?.[1] ?? (final || text.length === 200 ? text.trim() : undefined);
    if (line === undefined) return false;
    this.#undecided = undefined;
    if (/^[A-Za-z0-9+/]{4,}={0,2}$/.test(line.trimEnd())) {
      this.#encoded = new EncodedMultipart(multipart, this.#count);
      this.#state = 'encoded';
    } else {
      this.#openMultipart(multipart);
    }
    return true;
  }

  *#enter(delimiter: Delimiter): Generator<MimeEvent> {
    const { level, closes } = delimiter;
    const passed = this.#open.pass(delimiter);
    const isInnermost = passed === this.#open.innermost;
    const behindClose = this.#open.inEpilogue && isInnermost;
    if (this.#state === 'leaf' && this.#attachedMail !== undefined && passed?.boundary !== undefined)
      refuseSameBoundary(this.#attachedMail, passed.boundary);
    this.#atLineStart = true;
    this.#isTextHidden = false;
    this.#between = '\n';
    if (closes && isInnermost && this.#state === 'between') {
      this.#open.inEpilogue = true;
      return;
    }
    yield* this.#endLeaf();
    yield* this.#closeFrom(level + 1);
    this.#state = closes ? 'between' : 'head';
    this.#open.inEpilogue = closes;
    this.#isTentative = behindClose && !closes;
  }

  *#endLeaf(): Generator<MimeEvent> {
    if (this.#state === 'leaf') yield { kind: 'part-end' };
    yield* this.#encoded?.end() ?? [];
    this.#encoded = undefined;
    this.#state = 'between';
  }

  *#closeFrom(level: number): Generator<MimeEvent> {
    for (let left = this.#open.closeFrom(level); left > 0; left--) yield { kind: 'multipart-end' };
  }
}

/** A multipart that is encoded in base64 as a whole: what that decodes to is scanned for its parts. */
class EncodedMultipart {
  readonly #decoder = new Base64Decoder();
  readonly #scanner: MultipartScanner;

  constructor(multipart: Entity, count: { entities: number }) {
    this.#scanner = new MultipartScanner({ bodyOf: multipart, count });
  }

  push(bytes: Buffer): Generator<MimeEvent> {
    return this.#scanner.push(this.#decoder.decode(bytes));
  }

  *end(): Generator<MimeEvent> {
    yield* this.#scanner.push(this.#decoder.end());
    yield* this.#scanner.end();
    if (this.#decoder.hasTrailer)
      throw new Unsplittable('text stands behind the end of a multipart that is encoded');
  }
}

/** A delimiter behind the header of an attached mail that has the same boundary may be that mail's own. */
function refuseSameBoundary(attachedMail: string, boundary: string): void {
  const [header = ''] = attachedMail.split(/\n\r?\n/, 1);
  for (const [, quoted, bare] of header.matchAll(/boundary\s*=\s*(?:"([^"]*)"|([^\s;"]+))/gi))
    if ((quoted ?? bare ?? '').trimEnd() === boundary)
      throw new Unsplittable('a mail that is attached to it has the same delimiters');
}

function isCarriageReturns(buffer: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (buffer[at] !== CR) return false;
  return true;
}
