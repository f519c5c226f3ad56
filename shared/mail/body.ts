import type { BodyFormat } from './mail.ts';

/** A text that stands in the mail, decoded only when it is needed. */
export interface TextPart {
  /** Its place among all parts of the mail. */
  readonly order: number;
  readonly subtype: 'plain' | 'html';
  /** Texts of the same alternative are two forms of one thing; all others stand for themselves. */
  readonly alternative: number | undefined;
  /** Nothing but white space in it. */
  readonly blank: boolean;
  /** In Unicode, with LF line ends. */
  text(): string;
}

/** The body to send, and the texts that it leaves out and that are no other form of it. */
export interface Body<T extends TextPart> {
  readonly subtype: 'plain' | 'html';
  readonly text: string;
  readonly leftOut: readonly T[];
}

/**
 * Makes the body of the wanted format from the texts of a mail.
 *
 * A mail with one text, or one alternative, gives that text, in the other format where it has only that.
 * Several texts are joined (a mailing list adds its footer as a text of its own). Where only some of
 * them have the wanted format: for html, the plain ones are shown in it; for text, a mail that begins
 * with a plain text keeps that and the html ones are left out, to be sent as attachments, and one that
 * begins with html goes as html, whole.
 */
export function makeBody<T extends TextPart>(
  texts: readonly T[],
  format: Exclude<BodyFormat, 'eml'>,
): Body<T> | undefined {
  const wanted = format === 'html' ? 'html' : 'plain';
  const things = groupForms(texts.filter((text) => !text.blank));
  if (things.length === 0) {
    const first = texts.find((text) => text.subtype === wanted) ?? texts[0];
    return first && { subtype: first.subtype, text: first.text(), leftOut: [] };
  }
  const has = (forms: readonly T[]) => forms.some((text) => text.subtype === wanted);
  if (things.every(has)) return join(wanted, things);
  if (!things.some(has)) return join(wanted === 'html' ? 'plain' : 'html', things);
  const [first = []] = things;
  if (wanted === 'html' || !has(first)) return join('html', things);
  return { ...join('plain', things.filter(has)), leftOut: things.filter((forms) => !has(forms)).flat() };
}

function groupForms<T extends TextPart>(texts: readonly T[]): T[][] {
  const things: T[][] = [];
  const alternatives = new Map<number, T[]>();
  for (const text of texts) {
    const known = text.alternative === undefined ? undefined : alternatives.get(text.alternative);
    if (known) {
      known.push(text);
      continue;
    }
    const forms = [text];
    things.push(forms);
    if (text.alternative !== undefined) alternatives.set(text.alternative, forms);
  }
  return things;
}

function join<T extends TextPart>(subtype: 'plain' | 'html', things: readonly T[][]): Body<T> {
  const pieces = things.flatMap((forms) => {
    const wanted = forms.filter((text) => text.subtype === subtype);
    return wanted.length > 0
      ? wanted.map((text) => text.text())
      : forms.map((text) => showInHtml(text.text()));
  });
  return { subtype, text: pieces.join(subtype === 'html' ? '<br/>\n' : '\n'), leftOut: [] };
}

function showInHtml(plain: string): string {
  const escaped = plain.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return `<pre style="white-space: pre-wrap">${escaped}</pre>`;
}
