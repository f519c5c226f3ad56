/** What the person asked the demo to do. */
export type DemoTask =
  | { readonly kind: 'show' }
  | { readonly kind: 'watch' }
  | { readonly kind: 'own-mailbox'; readonly file: string; readonly mayDelete: boolean }
  | { readonly kind: 'help' };

/** Something that the person at the terminal can put right; the message is all there is to say. */
export class DemoError extends Error {}

export const helpText = `npm run demo                                      everything on this machine, in about ten seconds
npm run demo -- --watch                           keeps running; drop mails in with a mail client or a file
npm run demo -- --connection file.json            polls a mailbox of your own into a queue on this machine
npm run demo -- --connection file.json --yes      the same where the mails are deleted by it (POP3, deleteMessages)`;

/** Throws a `DemoError` for what it doesn't know. */
export function readArguments(args: readonly string[]): DemoTask {
  let watch = false;
  let mayDelete = false;
  let file: string | undefined;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at];
    if (arg === '--help' || arg === '-h') return { kind: 'help' };
    else if (arg === '--watch') watch = true;
    else if (arg === '--yes') mayDelete = true;
    else if (arg === '--connection') file = fileName(args[++at]);
    else if (arg?.startsWith('--connection=')) file = fileName(arg.slice('--connection='.length));
    else throw new DemoError(`The demo does not know ${JSON.stringify(arg)}. It knows:\n${helpText}`);
  }
  if (file !== undefined && watch) {
    throw new DemoError('--watch shows the mailboxes of the demo; leave it out with --connection.');
  }
  if (file === undefined && mayDelete) throw new DemoError('--yes goes with --connection file.json.');
  if (file !== undefined) return { kind: 'own-mailbox', file, mayDelete };
  return { kind: watch ? 'watch' : 'show' };
}

function fileName(given: string | undefined): string {
  if (given === undefined || given === '' || given.startsWith('--')) {
    throw new DemoError('--connection needs the name of a JSON file that holds the columns of a connection.');
  }
  return given;
}
