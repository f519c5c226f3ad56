import { unescapeHex } from './bytes.ts';
import { decodeBytes } from './charsetDecoder.ts';

/** A header field as it stands in the mail; `line` holds one character a byte, folds included. */
export interface HeaderField {
  /** Lower case; empty for a line that is no header field. */
  readonly key: string;
  readonly line: string;
}

/** Fields that a header has: behind a line that is none, one that was there before is that of another mail. */
const knownOnce =
  /^(?:from|sender|reply-to|to|cc|bcc|subject|date|message-id|in-reply-to|references|mime-version|return-path|content-[a-z0-9-]+)$/;
const knownOften =
  /^(?:received(?:-spf)?|x-[!-9;-~]+|dkim-[a-z-]+|domainkey-[a-z-]+|arc-[a-z-]+|authentication-results|list-[a-z-]+|resent-[a-z-]+|delivered-to|envelope-to|errors-to|thread-[a-z]+|user-agent|organi[sz]ation|importance|priority|precedence|sensitivity|auto-submitted|feedback-id|disposition-notification-[a-z]+|status|lines|comments|keywords|mailing-list|original-[a-z-]+|accept-language|old-[a-z-]+)$/;
/** Of these, what a line of text begins with too. */
const likeText =
  /^(?:from|sender|reply-to|to|cc|bcc|subject|date|importance|priority|precedence|sensitivity|status|lines|comments|keywords|organi[sz]ation)$/;
/** Of what RFC 5322, 3.6.8 allows what is used: EDIFACT, JSON, HTML and the address of a page are no fields. */
const fieldName = /^(?:x-[!-9;-~]+|[\w./-]+)[ \t]*:(?!\/\/)/i;
/** What is written in these goes over no further lines that should begin with white space and don't. */
const freeText = /^(?:subject|comments|keywords|organi[sz]ation)$/;
/** What stands above the header of mails that were exported, and is no part of it. */
const topLine = /^(?:>?From |POST |Microsoft Mail Internet Headers)/i;
/** Further lines of a field that should begin with white space and don't. */
const parameterLine =
  /^(?:boundary|charset|(?:file)?name|format|delsp|type|protocol|micalg|report-type|smime-type|size)[*\d]*[ \t]*=/i;
/** A line end of old systems that hides a field or the end of the header. */
const hiddenLine = /\r[!-9;-~]+[ \t]*:|(?<!\r)\r\r+[^\r\n]/;

/** A text may begin with one line that looks like a field. */
const minFields = 2;
const maxTopBytes = 64 * 1024;

export type HeaderReading =
  | { readonly kind: 'fields'; readonly fields: readonly HeaderField[] }
  /** A line that can't be a field: there the body begins, so many bytes behind the start of the block. */
  | { readonly kind: 'body-inside'; readonly fields: readonly HeaderField[]; readonly bodyAt: number }
  /** It can't be told what is header and what is body. */
  | { readonly kind: 'unclear'; readonly fields: readonly HeaderField[] };

/**
 * Takes a header block (RFC 5322, 2.2) apart, and finds out where it ends if its empty line is missing: at the
 * first line that can't be a field, behind the last that a header would have. Lines between such fields are
 * broken continuations and are passed over, as everybody does, unless they may be text. `hasEnd` says whether
 * the empty line was there.
 */
export function readHeaderBlock(block: Buffer, root: boolean, hasEnd = true): HeaderReading {
  const text = block.toString('latin1');
  const lines = splitLines(text);
  const fields = (until: number) => joinFields(lines.slice(0, until), root);
  if (hiddenLine.test(text)) return { kind: 'unclear', fields: fields(lines.length) };
  const seen = new Set<string>();
  const strays: { readonly index: number; readonly goesOn: boolean }[] = [];
  let field = '';
  let lastKnown = -1;
  let lastOfHeader = -1;
  const blanks: number[] = [];
  for (const [index, { line, folded }] of lines.entries()) {
    if (folded) {
      const next = line.trim() === '' ? lines[index + 1] : undefined;
      if (next?.folded && next.line.trim() !== '') blanks.push(index);
      else if (next && next.line.trim() !== '') strays.push({ index, goesOn: false });
      continue;
    }
    const name = nameOf(line);
    if (name === '') {
      const goesOn = continues(line, lines[index - 1]?.line ?? '', field);
      if (!(root && index === 0 && topLine.test(line))) strays.push({ index, goesOn });
    } else if (knownOften.test(name) || (knownOnce.test(name) && (strays.length === 0 || !seen.has(name)))) {
      lastKnown = index;
      if (strays.length > 0 && isOfHeader(name)) lastOfHeader = index;
    }
    if (name !== '') field = name;
    seen.add(name);
  }
  const textOnTop = root && strays[0]?.index === 0 && lastKnown >= 0;
  const inside = strays.filter(({ index }) => index < lastKnown);
  const delimiter = inside.some(({ index }) => /^--\S/.test(lines[index]?.line ?? ''));
  // Text in which a line looks like a field: nothing behind it is sure to be the header's.
  const textInside = inside.some(({ index, goesOn }) => index > lastOfHeader && !goesOn);
  const stray = strays.find(({ index, goesOn }) => index > lastKnown && !goesOn)?.index;
  // A field that no header has, right before the text or the end: it may be text itself.
  const mayBeText = lines.slice(lastKnown + 1, stray).some(({ folded }) => !folded);
  const isOpen = stray === undefined && hasEnd;
  // Behind a line of blanks the text may be indented.
  const isIndented = blanks.some((index) => index > lastKnown && index < (stray ?? lines.length));
  if (textOnTop || delimiter || textInside || (mayBeText && !isOpen) || isIndented)
    return { kind: 'unclear', fields: fields(lines.length) };
  if (stray === undefined) return { kind: 'fields', fields: fields(lines.length) };
  const at = lines[stray];
  const blank = at?.line.trim() === '';
  return {
    kind: 'body-inside',
    fields: fields(stray),
    bodyAt: blank ? (lines[stray + 1]?.at ?? block.length) : (at?.at ?? 0),
  };
}

/**
 * Whether what was read as the header of a part may be text whose empty line in front is missing: it has only
 * fields that mean nothing in a part (RFC 2046, 5.1), and that texts have too.
 */
export function mayBeText(fields: readonly HeaderField[]): boolean {
  return !fields.some(isContentField) && fields.some(({ key }) => key !== '' && !isOfHeader(key));
}

/** Whether a text begins with the fields of a mail's header, perhaps below empty lines. */
export function beginsAsHeader(text: Buffer): boolean {
  const fields = fieldsOnTop(text.toString('latin1').trimStart());
  return fields.filter(({ key }) => knownOnce.test(key) || knownOften.test(key)).length >= minFields;
}

/** Whether bytes begin with the header of a MIME entity, which says what they are. */
export function beginsAsEntity(bytes: Buffer): boolean {
  const fields = fieldsOnTop(bytes.toString('latin1', 0, maxTopBytes));
  return fields.some((field) => isContentField(field) || field.key === 'mime-version');
}

function fieldsOnTop(text: string): readonly HeaderField[] {
  const top = /^(?:.+\r?\n)*/.exec(text)?.[0] ?? '';
  return readHeaderBlock(Buffer.from(top, 'latin1'), true).fields;
}

export function isContentField({ key }: HeaderField): boolean {
  return key.startsWith('content-');
}

/** Whether no text has a line that begins so. */
function isOfHeader(name: string): boolean {
  return (knownOnce.test(name) || knownOften.test(name)) && !likeText.test(name);
}

interface HeaderLine {
  readonly at: number;
  readonly line: string;
  readonly folded: boolean;
}

function splitLines(text: string): HeaderLine[] {
  const lines: HeaderLine[] = [];
  for (let at = 0; at < text.length; ) {
    const lf = text.indexOf('\n', at);
    const next = lf < 0 ? text.length : lf + 1;
    let end = lf < 0 ? text.length : lf;
    while (end > at && text[end - 1] === '\r') end--;
    const line = text.slice(at, end);
    const goesOn = lines.at(-1)?.line.trimEnd().endsWith(';') === true && parameterLine.test(line);
    const folded = lines.length > 0 && (line.startsWith(' ') || line.startsWith('\t') || goesOn);
    if (line !== '') lines.push({ at, line, folded });
    at = next;
  }
  return lines;
}

function joinFields(lines: readonly HeaderLine[], root: boolean): HeaderField[] {
  const joined: string[] = [];
  for (const { line, folded } of lines) joined.push(folded ? `${joined.pop() ?? ''}\r\n${line}` : line);
  const first = root ? joined.findIndex((line) => !topLine.test(line)) : 0;
  return joined.slice(first < 0 ? joined.length : first).map((line) => ({ key: nameOf(line), line }));
}

function nameOf(line: string): string {
  const name = fieldName.exec(line.trimStart())?.[0].slice(0, -1).trimEnd().toLowerCase() ?? '';
  // Nor is a time of day.
  return /[a-z]/.test(name) ? name : '';
}

/** Whether a line that should begin with white space, and doesn't, goes on with the field before it. */
function continues(line: string, before: string, field: string): boolean {
  const isAddress = line.includes('@') && /[;,]\s*$/.test(before) && !freeText.test(field);
  return isAddress || /^(?:boundary|charset)=/i.test(line);
}

/** The unfolded values of all fields of that name that have one. */
export function valuesOf(fields: readonly HeaderField[], key: string): string[] {
  const values: string[] = [];
  for (const field of fields) {
    const value = field.key === key ? unfoldedValue(field) : '';
    if (value !== '') values.push(value);
  }
  return values;
}

/** An encoded word (RFC 2047, 4.2) in another charset than UTF-8, of which bytes beyond ASCII in it are too. */
const wordInCharset = /=\?(?!utf-?8[?*])[\w*.:()+-]+\?q\?[^?]*\?=/gi;

/**
 * The unfolded value; bytes beyond ASCII are read as undeclared text is, as UTF-8 (RFC 6532) first of all, and in an
 * encoded word encoded as they should have been.
 */
export function unfoldedValue(field: HeaderField): string {
  const raw = field.line.slice(field.line.indexOf(':') + 1);
  const unfolded = raw.replace(/(?:\r?\n|\r)[ \t]*/g, ' ').trim();
  if (!/[\x1b\x80-\xff]/.test(unfolded)) return unfolded;
  const encoded = unfolded.replace(wordInCharset, (word) =>
    word.replace(/[\x80-\xff]/g, (byte) => `=${byte.charCodeAt(0).toString(16)}`),
  );
  return decodeBytes(Buffer.from(encoded, 'latin1'), undefined).trim();
}

/** A header value with parameters (RFC 2045, RFC 2231): `text/plain; charset=utf-8`. */
export interface StructuredValue {
  readonly value: string;
  /** By name in lower case. */
  readonly parameters: ReadonlyMap<string, Parameter>;
}

export interface Parameter {
  readonly text: string;
  /** RFC 2231 has said its charset: it holds no encoded words any more. */
  readonly extended: boolean;
}

/** More than a sane field needs with the longest file name; there may be a thousand of them. */
const maxStructuredLength = 16 * 1024;

/**
 * Takes a value with parameters apart, in time linear to it. Comments go. Takes what is often done wrong for
 * what is meant: quotes within quotes, file names with semicolons and without quotes, a missing semicolon,
 * backslashes of Windows paths, a `%` that begins no hex.
 */
export function parseStructured(whole: string): StructuredValue {
  const text = maskComments(whole.slice(0, maxStructuredLength));
  const end = text.indexOf(';');
  const bare = withoutComments(end < 0 ? text : text.slice(0, end)).trim();
  const head = bare.replace(/^([^\s/]+)\s*\/\s*/, '$1/');
  const [first = ''] = head.split(/[\s,]/, 1);
  const value = first.includes('=') ? '' : first;
  const loose = head.slice(value.length).replace(/^[\s,]+/, '');
  const pairs = [...readPairs(loose), ...readPairs(end < 0 ? '' : text.slice(end + 1))];
  return { value, parameters: joinSegments(pairs) };
}

/** RFC 5322, 3.2.2: comments may stand anywhere and in each other; `instead` stands for each. */
export function withoutComments(text: string, instead = ''): string {
  if (!text.includes('(')) return text;
  let depth = 0;
  let bare = '';
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (depth > 0 && character === '\\') at++;
    else if (character === '(') depth++;
    else if (character === ')' && depth > 0) {
      depth--;
      bare += instead;
    } else if (depth === 0) bare += character;
  }
  return bare;
}

/** A semicolon in a comment ends nothing. */
function maskComments(text: string): string {
  if (!text.includes('(')) return text;
  const masked = text.split('');
  let semicolons: number[] = [];
  let depth = 0;
  let isQuoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (isQuoted) {
      quoteEndHere.lastIndex = at;
      isQuoted = character !== '"' || !quoteEndHere.test(text);
    } else if (character === '"' && depth === 0) isQuoted = true;
    else if (character === '\\' && depth > 0) at++;
    else if (character === '(') depth++;
    else if (character === ';' && depth > 0) semicolons.push(at);
    else if (character === ')' && depth > 0 && --depth === 0) {
      for (const semicolon of semicolons) masked[semicolon] = ' ';
      semicolons = [];
    }
  }
  return masked.join('');
}

interface Pair {
  readonly name: string;
  value: string;
}

const namesAFile = /^(?:file)?name\b/;
/** RFC 5322, 3.2.4: a quote behind a backslash ends none, but where that is one of a path and a parameter follows. */
const quoteEnd = /(?<!\\)"[ \t]*(?:;|$|\(|(?=[\w*-]+=))|"[ \t]*(?:$|;\s*[\w*-]+\s*=)/g;
const quoteEndHere = new RegExp(quoteEnd.source, 'y');

function readPairs(text: string): Pair[] {
  const pairs: Pair[] = [];
  const gap = /[;\s]*(?:\([^);]*\)[;\s]*)*/y;
  const pairStart = /([^=;\s"()]+)\s*=\s*/y;
  let hasQuoteEnd = true;
  for (let at = 0; at < text.length; ) {
    gap.lastIndex = at;
    gap.test(text);
    const gapEnd = gap.lastIndex;
    pairStart.lastIndex = gapEnd;
    const found = pairStart.exec(text);
    if (found === null) {
      // Behind all that was looked at, or a line of semicolons would take time as its square.
      const next = text.indexOf(';', gapEnd);
      const piece = gapEnd < text.length ? text.slice(at, next < 0 ? text.length : next).trimEnd() : '';
      const last = pairs.at(-1);
      // `filename=a;b.pdf`: what stands behind an unquoted semicolon and is no parameter.
      const isMore = last && namesAFile.test(last.name) && piece !== '' && text[at - 1] === ';';
      if (isMore) last.value += `;${piece}`;
      at = next < 0 ? text.length : next + 1;
      continue;
    }
    const name = (found[1] ?? '').toLowerCase();
    const start = pairStart.lastIndex;
    if (text[start] === '"') {
      quoteEnd.lastIndex = start + 1;
      const close: RegExpExecArray | null = hasQuoteEnd ? quoteEnd.exec(text) : null;
      hasQuoteEnd = close !== null;
      const semicolon = text.indexOf(';', start);
      const valueEnd = close?.index ?? (semicolon < 0 ? text.length : semicolon);
      // RFC 5322, 3.2.4; but a backslash before a letter or a digit is one of a Windows path.
      const value = text.slice(start + 1, valueEnd).replace(/\\([^A-Za-z0-9\x80-\uffff])/g, '$1');
      pairs.push({ name, value });
      at = valueEnd + 1;
    } else {
      const semicolon = text.indexOf(';', start);
      const valueEnd = semicolon < 0 ? text.length : semicolon;
      const value = text.slice(start, valueEnd).trim();
      const [token = ''] = namesAFile.test(name) ? [value] : withoutComments(value).trim().split(/\s/, 1);
      pairs.push({ name, value: token });
      // Behind a blank a parameter may stand whose semicolon is missing.
      const rest = namesAFile.test(name) || value.includes('(') ? '' : value.slice(token.length);
      at = rest.includes('=') ? start + token.length : valueEnd + 1;
    }
  }
  return pairs;
}

/** RFC 2231, 3 and 4: puts segments together, of which only those marked with a `*` are percent-encoded. */
function joinSegments(pairs: readonly Pair[]): Map<string, Parameter> {
  const whole = new Map<string, Parameter>();
  const segments = new Map<string, Map<number, { text: string; encoded: boolean }>>();
  for (const { name, value } of pairs) {
    const found = /^([^*]+)\*(?:(\d{1,4})(\*?))?$/.exec(name);
    if (!found) {
      if (!whole.has(name)) whole.set(name, { text: value, extended: false });
      continue;
    }
    const [, base = '', number, star] = found;
    const parts = segments.get(base) ?? new Map<number, { text: string; encoded: boolean }>();
    segments.set(base, parts);
    const at = Number(number ?? 0);
    if (!parts.has(at)) parts.set(at, { text: value, encoded: number === undefined || star === '*' });
  }
  for (const [base, parts] of segments) {
    const joined = joinSegment([...parts].sort(([one], [other]) => one - other).map(([, part]) => part));
    if (joined.text !== '') whole.set(base, joined);
  }
  return whole;
}

function joinSegment(parts: readonly { text: string; encoded: boolean }[]): Parameter {
  const [first] = parts;
  const marks = first?.encoded ? /^([^']*)'([^']*)'/.exec(first.text) : null;
  const bytes = parts.map(({ text, encoded }, index) => {
    const bare = index === 0 && marks ? text.slice(marks[0].length) : text;
    return encoded ? unescapeHex(bare, /%([0-9a-f]{2})/gi) : Buffer.from(bare);
  });
  const charset = marks?.[1] || undefined;
  const plain = parts.some(({ text, encoded }) => !encoded && /[^\x20-\x7e]/.test(text));
  return {
    text: decodeBytes(Buffer.concat(bytes), plain ? undefined : charset),
    extended: parts.some(({ encoded }) => encoded),
  };
}
