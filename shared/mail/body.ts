import { type MailText, showsNothing } from './text.ts';

/** How the texts of a mail stand in its multiparts. */
export type TextTree =
  | { readonly kind: 'text'; readonly text: MailText }
  | TextBranch
  /** A text of another kind, or in a winmail.dat: what stands beside it is not the whole of a form. */
  | { readonly kind: 'other' };

/** Forms of one thing, the best last (RFC 2046, 5.1.4), or things one after the other. */
export interface TextBranch {
  readonly kind: 'alternative' | 'sequence';
  readonly children: TextTree[];
}

interface LeafTexts {
  readonly texts: TextTree;
  readonly otherTexts: readonly MailText[];
  readonly winmailBody: TextTree;
}

/** The body to send, and what it leaves out. */
export interface Body {
  readonly form: MailText['form'];
  readonly texts: readonly MailText[];
  /** What is no other form of the body: to be sent as attachments. */
  readonly attached: readonly MailText[];
  /** What says the same as the body, in another form. */
  readonly otherForms: readonly MailText[];
}

/**
 * Makes the body of the wanted format from the texts of a mail; a text that shows nothing is none.
 *
 * An alternative gives its last form in that format, or in the other one where it has only that. Texts one after
 * the other are joined (a mailing list adds its footer as a text of its own). Where only some of them have the
 * wanted format: for html, the plain ones are shown in it; for text, a mail that begins with a plain text keeps
 * that and the html ones are left out, to be sent as attachments, and one that begins with html goes as html,
 * whole. Without any of both the first text of another kind is the body.
 */
export async function chooseBody(
  { texts, otherTexts, winmailBody }: LeafTexts,
  wanted: 'plain' | 'html',
): Promise<Body | undefined> {
  const all = [...textsOf(texts), ...otherTexts, ...textsOf(winmailBody)];
  const choice = (form: Body['form'], texts: MailText[], attached: MailText[] = []): Body => {
    const taken = new Set([...texts, ...attached]);
    return { form, texts, attached, otherForms: all.filter((text) => !taken.has(text)) };
  };
  const [only] = all;
  if (all.length <= 1) return only && choice(only.form, [only]);
  const own = await withoutInvisible(texts);
  const visible = own ?? (await withoutInvisible(winmailBody));
  const [other, ...moreOthers] = otherTexts;
  if (visible) {
    const form = chooseForm(visible, wanted);
    const taken = takenFrom(visible, form);
    const fits = (text: MailText) => form === 'html' || text.form === form;
    return choice(form, taken.filter(fits), [...taken.filter((text) => !fits(text)), ...otherTexts]);
  }
  if (other) return choice('other', [other], moreOthers);
  const first = all.find((text) => text.form === wanted) ?? only;
  return first && choice(first.form, [first]);
}

/** The pieces of a body, its texts joined. */
export function* bodyPieces({ form, texts }: Body): Generator<string> {
  for (const [index, text] of texts.entries()) {
    if (index > 0) yield form === 'html' ? '<br/>\n' : '\n';
    if (form !== 'html' || text.form !== 'plain') yield* text.pieces();
    else {
      yield '<pre style="white-space: pre-wrap">';
      for (const piece of text.pieces())
        yield piece.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
      yield '</pre>';
    }
  }
}

function chooseForm(tree: TextTree, wanted: 'plain' | 'html'): 'plain' | 'html' {
  const things = thingsOf(tree);
  const [first] = things;
  if (things.every((thing) => has(thing, wanted))) return wanted;
  if (!things.some((thing) => has(thing, wanted))) return wanted === 'html' ? 'plain' : 'html';
  return wanted === 'html' || (first && !has(first, wanted)) ? 'html' : 'plain';
}

/** What stands one after the other, however the multiparts are nested. */
function thingsOf(tree: TextTree): TextTree[] {
  return tree.kind === 'text' || tree.kind === 'alternative' ? [tree] : childrenOf(tree).flatMap(thingsOf);
}

function childrenOf(tree: TextTree): readonly TextTree[] {
  return 'children' in tree ? tree.children : [];
}

function textsOf(tree: TextTree): MailText[] {
  return tree.kind === 'text' ? [tree.text] : childrenOf(tree).flatMap(textsOf);
}

function has(tree: TextTree, form: 'plain' | 'html'): boolean {
  return tree.kind === 'text' ? tree.text.form === form : childrenOf(tree).some((child) => has(child, form));
}

/** Whether all of it can be had in that form. */
function canBe(tree: TextTree, form: 'plain' | 'html'): boolean {
  if (tree.kind === 'text') return tree.text.form === form;
  if (tree.kind === 'sequence') return tree.children.every((child) => canBe(child, form));
  return childrenOf(tree).some((child) => canBe(child, form));
}

/** All texts of a sequence, and of an alternative those of its best form. */
function takenFrom(tree: TextTree, form: 'plain' | 'html'): MailText[] {
  const children = childrenOf(tree);
  if (tree.kind !== 'alternative')
    return tree.kind === 'text' ? [tree.text] : children.flatMap((child) => takenFrom(child, form));
  const chosen =
    children.findLast((child) => canBe(child, form)) ??
    children.findLast((child) => has(child, form)) ??
    children.at(-1);
  return chosen ? takenFrom(chosen, form) : [];
}

async function withoutInvisible(tree: TextTree): Promise<TextTree | undefined> {
  if (tree.kind === 'other') return tree;
  if (tree.kind === 'text') return (await showsNothing(tree.text)) ? undefined : tree;
  const children: TextTree[] = [];
  for (const child of tree.children) {
    const visible = await withoutInvisible(child);
    if (visible) children.push(visible);
  }
  return children.every(({ kind }) => kind === 'other') ? undefined : { kind: tree.kind, children };
}
