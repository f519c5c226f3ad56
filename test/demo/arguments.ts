/** What the person asked the demo to do. `outFolder`: where each message goes as a file, too. */
export type DemoTask =
  | { readonly kind: 'show'; readonly outFolder: string | undefined }
  /** `consumes`: takes the messages off the queue and shows them. */
  | { readonly kind: 'watch'; readonly consumes: boolean; readonly outFolder: string | undefined }
  | {
      readonly kind: 'own-mailbox';
      readonly file: string;
      readonly mayDelete: boolean;
      readonly outFolder: string | undefined;
    }
  | { readonly kind: 'help' };

/** Something that the person at the terminal can put right; the message is all there is to say. */
export class DemoError extends Error {}

export const helpText = `npm run demo                                      everything on this machine, in about ten seconds
npm run demo -- --watch                           keeps running: the page, the API, and mail by SMTP
npm run demo -- --watch --no-consumer             leaves the messages to a consumer of your own
npm run demo -- --connection file.json            polls a mailbox of your own into a queue on this machine
npm run demo -- --connection file.json --yes      the same where the mails are deleted by it (POP3, deleteMessages)
With --out folder each message is also written as a file, with its properties beside it.`;

/** Throws a `DemoError` for what it doesn't know. `env` is the process's, where npm puts what it takes for its own. */
export function readArguments(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
): DemoTask {
  const values = new Map<string, string>();
  const flags = new Set<string>();
  for (let at = 0; at < args.length; at++) {
    const [name = '', ...rest] = (args[at] ?? '').split('=');
    if (name === '--help' || name === '-h') return { kind: 'help' };
    if (name === '--watch' || name === '--no-consumer' || name === '--yes') flags.add(name);
    else if (name === '--connection' || name === '--out') {
      const value = rest.length > 0 ? rest.join('=') : args[++at];
      if (!value || value.startsWith('--')) throw new DemoError(`${name} needs ${missingValues[name]}.`);
      values.set(name, value);
    } else throw new DemoError(`The demo does not know ${JSON.stringify(args[at])}. It knows:\n${helpText}`);
  }
  for (const name of ['--watch', '--connection', '--out'] as const) {
    if (env[`npm_config_${name.slice(2)}`] === undefined || flags.has(name) || values.has(name)) continue;
    throw new DemoError(`npm took ${name} for an option of its own. Write: npm run demo -- ${name} …`);
  }
  const file = values.get('--connection');
  const outFolder = values.get('--out');
  const mayDelete = flags.has('--yes');
  if (file !== undefined && flags.has('--watch')) {
    throw new DemoError('--watch shows the mailboxes of the demo; leave it out with --connection.');
  }
  if (file === undefined && mayDelete) throw new DemoError('--yes goes with --connection file.json.');
  const consumes = !flags.has('--no-consumer');
  if (!consumes && (!flags.has('--watch') || outFolder !== undefined)) {
    throw new DemoError(
      '--no-consumer goes with --watch, and without --out: the messages are not looked at.',
    );
  }
  if (file !== undefined) return { kind: 'own-mailbox', file, mayDelete, outFolder };
  return flags.has('--watch') ? { kind: 'watch', consumes, outFolder } : { kind: 'show', outFolder };
}

const missingValues = {
  '--connection': 'the name of a JSON file that holds the columns of a connection',
  '--out': 'the name of a folder',
} as const;
