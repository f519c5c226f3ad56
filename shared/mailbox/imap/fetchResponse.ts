import type { Holding } from '../mailbox.ts';

/** What one FETCH response (RFC 3501, 7.4.2) says about a mail, of what this app asks for. */
export interface FetchData {
  /** The message sequence number. */
  readonly sequence: number;
  /** 0 in a response that doesn't say. */
  readonly uid: number;
  /** In lower case: flags compare without case (RFC 3501, 9). */
  readonly flags?: ReadonlySet<string>;
  /** RFC822.SIZE, in bytes. */
  readonly sizeBytes?: number;
  /** INTERNALDATE, as it stands there. */
  readonly internalDate?: string;
  /** BODY[], whole or a piece; `nilBody` for NIL, `unreadBody` for a literal that was not taken. */
  readonly body?: Buffer;
  /** BODY[HEADER.FIELDS (…)]. */
  readonly header?: Buffer;
  /** What its literals hold of the memory budget. */
  readonly holding?: Holding;
}

/** The body of a mail for which the server says NIL, as some do when they can't read it. */
export const nilBody: Buffer = Buffer.alloc(0);
/** The body of a mail that turned out larger than what is taken whole: its literal was read away. */
export const unreadBody: Buffer = Buffer.alloc(0);

/** Some servers put NULs before it. */
const start = /^\0*\* +(\d{1,10}) +FETCH +\(/i;
const spaces = /[ \r\n]*/y;
const itemName = /([A-Z0-9.-]+)(\[[^\]{]*\])?(?:<\d+(?:\.\d+)?>)? */iy;
const literalMark = /~?\{\d+\+?\}\r?\n/y;
const quotedString = /"((?:[^"\\]|\\.)*)"/sy;
const atom = /[^\s()"{]+/y;

/** Whether a line begins a FETCH response. */
export function beginsFetchResponse(line: string): boolean {
  return start.test(line);
}

type Value =
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  | { readonly kind: 'atom'; readonly text: string }
  | { readonly kind: 'list'; readonly atoms: readonly string[] };

/**
 * Reads a FETCH response. `text` is all of it but the literals, latin1, each mark `{n}` with its line end in
 * place; `literals` are those, in order. Undefined for what is none.
 */
export function parseFetchResponse(text: string, literals: readonly Buffer[]): FetchData | undefined {
  const reader = new ResponseReader(text, literals);
  const begun = reader.match(start);
  if (begun === undefined) return undefined;
  let data: FetchData = { sequence: Number(begun[1]), uid: 0 };
  let mail: Buffer | undefined;
  for (;;) {
    reader.match(spaces);
    if (reader.accept(')')) break;
    const name = reader.match(itemName);
    const value = name && reader.readValue();
    if (!name || !value) return undefined;
    data = { ...data, ...itemOf(name[1] ?? '', name[2], value) };
    mail ??= data.body ?? data.header;
  }
  // One whose size was given too large swallows the beginning of the next one's row, and is followed by that one's bytes.
  const isFollowed = mail !== undefined && literals.includes(mail) && mail !== literals.at(-1);
  return isFollowed ? undefined : data;
}

function itemOf(name: string, section: string | undefined, value: Value): Partial<FetchData> {
  switch (name.toUpperCase()) {
    case 'UID':
      return { uid: numberIn(value) };
    case 'RFC822.SIZE': {
      // Not 0 for what is no number: that would let an empty answer pass for an empty mail.
      const sizeBytes = numberIn(value, -1);
      return sizeBytes < 0 ? {} : { sizeBytes };
    }
    case 'FLAGS':
      return { flags: new Set(value.kind === 'list' ? value.atoms.map((flag) => flag.toLowerCase()) : []) };
    case 'INTERNALDATE':
      return value.kind === 'bytes' ? { internalDate: value.bytes.toString('latin1') } : {};
    case 'BODY':
    case 'BODY.PEEK':
      if (/^\[HEADER\.FIELDS/i.test(section ?? ''))
        return { header: value.kind === 'bytes' ? value.bytes : nilBody };
      return section === '[]' ? { body: value.kind === 'bytes' ? value.bytes : nilBody } : {};
    default:
      return {};
  }
}

function numberIn(value: Value, otherwise = 0): number {
  const text = value.kind === 'atom' ? value.text : value.kind === 'bytes' ? `${value.bytes}` : '';
  return /^\d{1,15}$/.test(text) ? Number(text) : otherwise;
}

class ResponseReader {
  readonly #text: string;
  readonly #literals: readonly Buffer[];
  #at = 0;
  #literalsRead = 0;

  constructor(text: string, literals: readonly Buffer[]) {
    this.#text = text;
    this.#literals = literals;
  }

  /** Goes on behind what `pattern`, sticky or anchored at the start, finds here. */
  match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found === null) return undefined;
    this.#at += found[0].length;
    return found;
  }

  accept(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  readValue(): Value | undefined {
    if (this.accept('(')) return this.#readList();
    const quoted = this.match(quotedString);
    if (quoted) return { kind: 'bytes', bytes: Buffer.from(unquote(quoted[1] ?? ''), 'latin1') };
    if (this.match(literalMark)) {
      const bytes = this.#literals[this.#literalsRead++];
      return bytes && { kind: 'bytes', bytes };
    }
    const text = this.match(atom)?.[0];
    return text === undefined ? undefined : { kind: 'atom', text };
  }

  /** To the parenthesis that ends the list; of lists within it nothing is kept. */
  #readList(): Value | undefined {
    const atoms: string[] = [];
    for (let depth = 1; ; ) {
      this.match(spaces);
      if (this.accept('(')) depth += 1;
      else if (this.accept(')')) depth -= 1;
      else {
        const value = this.readValue();
        if (!value) return undefined;
        if (value.kind === 'atom' && depth === 1) atoms.push(value.text);
      }
      if (depth === 0) return { kind: 'list', atoms };
    }
  }
}

function unquote(quoted: string): string {
  return quoted.replace(/\\(.)/gs, '$1');
}
