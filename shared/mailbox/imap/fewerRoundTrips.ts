import type { ImapFlow } from 'imapflow';
import { Failure } from '../../failure/failure.ts';
import { commandsOf, type ImapCommand, memberOf, replaceCommands, runCommand } from './imapflowInside.ts';

/** Commands that are left out at first and sent only where a server turns out to want them. */
export type DeferredCommands = ReturnType<typeof deferCommands>;

/**
 * Takes out what imapflow sends at login and a poll of one known folder does not need, each a round trip: ID,
 * NAMESPACE, and LIST before SELECT; and logs in by LOGIN, one round trip, where the server has it and the credentials
 * are ASCII. `onCapability` is called before CAPABILITY, first when the greeting has come.
 */
export function deferCommands(client: ImapFlow, onCapability: () => void) {
  const original = commandsOf(client);
  const call = async (name: string, ...args: readonly unknown[]): Promise<unknown> =>
    original.get(name)?.(client, ...args);
  const replaced = new Map<string, ImapCommand>([
    ['ID', async () => ({})],
    ['NAMESPACE', async () => undefined],
    ['LIST', async () => []],
    [
      'LOGIN',
      async (_client, username, password) => {
        if (isAsciiText(username) && isAsciiText(password)) return call('LOGIN', username, password);
        // imapflow would send them as quoted strings, which hold ASCII only (RFC 3501, 4.3).
        const literal = (value: unknown) => ({ type: 'LITERAL', value: String(value) }) as const;
        await runCommand(client, 'LOGIN', [literal(username), literal(password)]);
        return username;
      },
    ],
    [
      'CAPABILITY',
      async () => {
        onCapability();
        return call('CAPABILITY');
      },
    ],
    [
      'AUTHENTICATE',
      async (_client, username, details) => {
        // imapflow takes OAUTHBEARER first; XOAUTH2 is what the large providers document and test.
        if (client.capabilities.has('AUTH=XOAUTH2')) client.capabilities.delete('AUTH=OAUTHBEARER');
        if (typeof memberOf(details, 'accessToken') === 'string') requireOauth(client);
        const password = memberOf(details, 'password');
        if (isAsciiText(username) && isAsciiText(password) && !client.capabilities.has('LOGINDISABLED')) {
          return call('LOGIN', username, password);
        }
        return call('AUTHENTICATE', username, details);
      },
    ],
  ]);
  replaceCommands(client, replaced);
  return {
    /** LIST of all folders (RFC 3501, 6.3.8): the names of those that can be selected, as people see them. */
    listFolders: async (): Promise<readonly string[]> => {
      const listed = await call('LIST', '', '*', { listOnly: true });
      return Array.isArray(listed) ? listed.flatMap(folderNameIn) : [];
    },
    /** ID (RFC 2971), which a few servers demand before SELECT. */
    identify: async (): Promise<void> => {
      await call('ID', client.clientInfo);
    },
    /** NAMESPACE (RFC 2342): prefix and separator of the user's own folders, empty when there is none. */
    namespace: async (): Promise<{ readonly prefix: string; readonly separator: string }> => {
      await call('NAMESPACE');
      return { prefix: client.namespace?.prefix ?? '', separator: client.namespace?.delimiter ?? '' };
    },
  };
}

function requireOauth({ capabilities }: ImapFlow): void {
  if (capabilities.has('AUTH=XOAUTH2') || capabilities.has('AUTH=OAUTHBEARER')) return;
  throw new Failure(
    'login',
    'The IMAP server takes no OAuth2 login: it offers neither XOAUTH2 nor OAUTHBEARER. Check host, or set authType to password.',
  );
}

function folderNameIn(entry: unknown): readonly string[] {
  const path = memberOf(entry, 'path');
  const flags = memberOf(entry, 'flags');
  if (typeof path !== 'string') return [];
  const isSelectable = !(flags instanceof Set && (flags.has('\\Noselect') || flags.has('\\NonExistent')));
  return isSelectable ? [path] : [];
}

function isAsciiText(value: unknown): value is string {
  return typeof value === 'string' && /^[\x20-\x7e]+$/.test(value);
}
