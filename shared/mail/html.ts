import { giveWay } from './eventLoop.ts';
import { tableOf } from './table.ts';

/** What is looked at of a tag or a comment; a data URL in it may be megabytes. */
const maxTagLength = 64 * 1024;
const maxIdLength = 1024;
const maxIds = 10_000;

interface HtmlToken {
  /** A `pause` is a place to do something else. */
  readonly kind: 'text' | 'tag' | 'comment' | 'pause';
  /** Of a tag what stands between `<` and `>`, of a comment between its dashes. */
  readonly source: string;
}

/** Finds text, tags and comments in an HTML text that comes in pieces, in time linear to it. */
function* readTokens(pieces: Iterable<string>): Generator<HtmlToken> {
  let rest = '';
  let skipped: { readonly comment: boolean; quote: string } | undefined;
  for (const piece of pieces) {
    yield { kind: 'pause', source: '' };
    const text = rest + piece;
    rest = '';
    let at = 0;
    if (skipped) {
      const end = skipped.comment ? text.indexOf('-->') : findTagEnd(text, 0, skipped);
      if (end < 0) {
        rest = skipped.comment ? text.slice(-2) : '';
        continue;
      }
      at = end + (skipped.comment ? 3 : 1);
      skipped = undefined;
    }
    while (at < text.length) {
      const open = text.indexOf('<', at);
      if (open < 0) {
        // A character reference is not cut in two.
        rest = /&[#\w]{0,9}$/.exec(text.slice(Math.max(at, text.length - 10)))?.[0] ?? '';
        const end = text.length - rest.length;
        if (end > at) yield { kind: 'text', source: text.slice(at, end) };
        break;
      }
      if (open !== at) yield { kind: 'text', source: text.slice(at, open) };
      if (text.length - open < 4) {
        rest = text.slice(open);
        break;
      }
      const comment = text.startsWith('<!--', open);
      if (!comment && !/[A-Za-z/!?]/.test(text[open + 1] ?? '')) {
        yield { kind: 'text', source: '<' };
        at = open + 1;
        continue;
      }
      const start = open + (comment ? 4 : 1);
      const state = { comment, quote: '' };
      const end = comment ? text.indexOf('-->', start) : findTagEnd(text, start, state);
      if (end < 0 && text.length - open <= maxTagLength) {
        rest = text.slice(open);
        break;
      }
      const source = text.slice(start, Math.min(end < 0 ? text.length : end, start + maxTagLength));
      yield { kind: comment ? 'comment' : 'tag', source };
      if (end < 0) {
        skipped = state;
        break;
      }
      at = end + (comment ? 3 : 1);
    }
  }
  if (rest !== '' && !skipped) yield { kind: 'text', source: rest };
}

/** Where the tag ends, or -1; a `>` in a quoted value ends none. Leaves in `state` in which quotes it stopped. */
function findTagEnd(text: string, start: number, state: { quote: string }): number {
  let behindEquals = false;
  for (let at = start; at < text.length; at++) {
    if (state.quote !== '') {
      at = text.indexOf(state.quote, at);
      if (at < 0) return -1;
      state.quote = '';
      continue;
    }
    const character = text[at] ?? '';
    if (character === '>') return at;
    if (behindEquals && (character === '"' || character === "'")) state.quote = character;
    if (character === '=') behindEquals = true;
    else if (character.trim() !== '') behindEquals = false;
  }
  return -1;
}

const rawElements = new Set(['style', 'script', 'title', 'template']);
const showingElements =
  /^(?:img|image|input|button|select|textarea|svg|object|embed|video|audio|iframe|canvas|picture|hr|meter|progress|v:[a-z]+)$/;
/** White space, control characters and characters of no width. */
const invisible =
  /[\s\p{Cc}\p{Cf}\u00a0\u115f\u1160\u2800\u3164\uffa0]|\u034f|\u17b4|\u17b5|\p{Variation_Selector}/gu;

/** Whether a plain text shows nothing: no-break spaces, marks without width and byte order marks are nothing. */
export function isInvisible(text: string): boolean {
  return !/[!-~]/.test(text) && text.replace(invisible, '') === '';
}

/** Whether an HTML text shows nothing, neither words nor a picture or a control. */
export async function isInvisibleHtml(pieces: Iterable<string>): Promise<boolean> {
  let within = '';
  for (const { kind, source } of readTokens(pieces)) {
    if (kind === 'pause') await giveWay();
    else if (kind === 'tag') {
      const name = tagName(source);
      if (within === '') {
        if (rawElements.has(name)) within = name;
        else if (showingElements.test(name) || /\bbackground\s*=|url\(/i.test(source)) return false;
      } else if (name === `/${within}`) within = '';
    } else if (kind === 'text' && within === '' && !isInvisible(decodeReferences(source))) return false;
  }
  return true;
}

/** The content ids (RFC 2392) that an HTML text shows: by `src` or `background` of a tag, or `url()` in its CSS. */
export async function findShownIds(pieces: Iterable<string>): Promise<ReadonlySet<string>> {
  const ids = new Set<string>();
  let within = '';
  let css = '';
  const take = (url: string) => {
    const id = /^\s*cid:(.*)/is.exec(url.slice(0, maxIdLength))?.[1]?.trimEnd();
    if (id === undefined || ids.size >= maxIds) return;
    ids.add(id);
    try {
      ids.add(decodeURIComponent(id));
    } catch {
      // Not percent-encoded then.
    }
  };
  for (const { kind, source } of readTokens(pieces)) {
    if (kind === 'pause') await giveWay();
    else if (within !== '') {
      if (kind === 'tag' && tagName(source) === `/${within}`) {
        for (const url of cssUrls(css)) take(url);
        within = '';
        css = '';
      } else if (within === 'style' && css.length < maxTagLength) css += source;
    } else if (kind === 'tag') {
      const name = tagName(source);
      if (rawElements.has(name)) within = name;
      if (!/cid|&|%/i.test(source)) continue;
      for (const [attribute, value] of readAttributes(source)) {
        if (attribute === 'src' || attribute === 'background') take(value);
        else if (attribute === 'style') for (const url of cssUrls(value)) take(url);
      }
    } else if (kind === 'comment' && /^\[if\b/i.test(source)) {
      // What Outlook shows.
      for (const id of await findShownIds([source.replace(/^[^>]*>/, '')])) ids.add(id);
    }
  }
  for (const url of cssUrls(css)) take(url);
  return ids;
}

function tagName(source: string): string {
  return /^\/?[A-Za-z][^\s/>]{0,30}/.exec(source)?.[0].toLowerCase() ?? '';
}

function cssUrls(css: string): string[] {
  return [...css.matchAll(/url\(\s*(?:"([^"]{0,1100})"|'([^']{0,1100})'|([^"')\s]{0,1100}))/gi)].map(
    ([, double, single, bare]) => double ?? single ?? bare ?? '',
  );
}

/** The attributes of a tag as a browser reads them, names in lower case. */
function* readAttributes(source: string): Generator<[name: string, value: string]> {
  const attribute = /[\s/]*([^\s/=]+|=[^\s/=]*)(?:\s*=\s*(?:"([^"]*)"?|'([^']*)'?|(\S*)))?/y;
  attribute.lastIndex = tagName(source).length;
  for (;;) {
    const before = attribute.lastIndex;
    const found = attribute.exec(source);
    if (found === null || attribute.lastIndex === before) return;
    const [, name = '', double, single, bare] = found;
    const value = double ?? single ?? bare;
    if (value !== undefined) yield [name.toLowerCase(), decodeReferences(value)];
  }
}

/** The named character references of ASCII and of what is invisible; others stand in no id and show something. */
const named = tableOf(
  'quot=" amp=& apos=\' lt=< gt=> commat=@ period=. colon=: sol=/ lowbar=_ num=# dollar=$ percnt=% ' +
    'plus=+ equals== excl=! ast=* hyphen=\u2010 lpar=( rpar=) nbsp=\u00a0 ensp=\u2002 emsp=\u2003 ' +
    'thinsp=\u2009 zwnj=\u200c zwj=\u200d lrm=\u200e rlm=\u200f shy=\u00ad Tab=\t NewLine=\n',
);

function decodeReferences(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(
    /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,8}));?/gi,
    (whole, decimal: string | undefined, hex: string | undefined, name: string | undefined) => {
      if (name !== undefined) return named.get(name) ?? whole;
      const code = Number.parseInt(decimal ?? hex ?? '', decimal === undefined ? 16 : 10);
      return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    },
  );
}
