import { type Connection, defaultPort, textOf } from '../model.ts';
import { type Draft, type FlagColumn, fields, mainFields, type TextColumn } from './fields.ts';
import { type Provider, providerOf } from './providers.ts';

const onByDefault: readonly FlagColumn[] = [
  'enabled',
  'useSsl',
  'sendAttachments',
  'sendMessageBody',
  'unpackWinmail',
];

const defaultFlags = Object.fromEntries(
  fields.flatMap(({ kind, column }) => (kind === 'flag' ? [[column, onByDefault.includes(column)]] : [])),
) as Draft['flags'];

/** Others are empty. */
const defaultTexts = {
  ...(Object.fromEntries(fields.map(({ column }) => [column, ''])) as Draft['texts']),
  hostType: 'IMAP',
  pollingIntervalSeconds: '60',
  timeZone: 'UTC',
  folder: 'INBOX',
  unmatchedMails: 'leave',
  bodyFormat: 'text',
  sessions: 'none',
  authType: 'password',
} satisfies Draft['texts'];

export const emptyDraft: Draft = followPort({
  key: { customer: '', connection: '' },
  texts: defaultTexts,
  flags: defaultFlags,
  portTyped: false,
});

/** A stored connection in the form; its secrets are not known, and empty. */
export function toDraft(connection: Connection): Draft {
  const texts: Record<TextColumn, string> = { ...defaultTexts };
  const flags: Record<FlagColumn, boolean> = { ...defaultFlags };
  for (const { kind, column } of fields) {
    const text = textOf(connection, column);
    if (text === '') continue;
    if (kind === 'flag') flags[column] = text.toLowerCase() === 'true';
    else texts[column] = column === 'hostType' ? text.toUpperCase() : text;
  }
  const { customer, connection: name } = connection;
  const portTyped = texts.port !== '' && texts.port !== defaultPort(texts.hostType, flags.useSsl);
  return followPort({ key: { customer, connection: name }, texts, flags, portTyped });
}

export function setText(draft: Draft, column: TextColumn, value: string): Draft {
  const changed = { ...draft, texts: { ...draft.texts, [column]: value } };
  // A host that is known sets what it needs; what was typed already stays.
  const provider = column === 'host' ? providerOf(value) : undefined;
  if (provider !== undefined) return withProvider(changed, provider, value);
  if (column === 'port') return { ...changed, portTyped: value !== '' };
  return column === 'hostType' ? followPort(changed) : changed;
}

export function setFlag(draft: Draft, column: FlagColumn, value: boolean): Draft {
  const changed = { ...draft, flags: { ...draft.flags, [column]: value } };
  return column === 'useSsl' ? followPort(changed) : changed;
}

/** Sets what the provider needs, its host too. */
export function chooseProvider(draft: Draft, provider: Provider): Draft {
  return withProvider({ ...draft, portTyped: false }, provider, provider.imapHost);
}

function withProvider(draft: Draft, provider: Provider, host: string): Draft {
  const hostType = host.trim().toLowerCase() === provider.pop3Host ? 'POP3' : 'IMAP';
  const { authType, oauth2Grant } = provider.login;
  const texts = {
    ...draft.texts,
    host,
    hostType,
    authType,
    oauth2Grant: draft.texts.oauth2Grant || oauth2Grant,
  };
  return followPort({ ...draft, texts, flags: { ...draft.flags, useSsl: true, startTls: false } });
}

/** An emptied port shows what is used then. */
export function leavePort(draft: Draft): Draft {
  return draft.texts.port === '' ? followPort({ ...draft, portTyped: false }) : draft;
}

function followPort(draft: Draft): Draft {
  if (draft.portTyped) return draft;
  const port = defaultPort(draft.texts.hostType, draft.flags.useSsl);
  return { ...draft, texts: { ...draft.texts, port } };
}

/** Told in the table even where they are the default. */
const alwaysWritten: readonly string[] = mainFields
  .map(({ column }) => column)
  .filter((column) => column !== 'authType');

/**
 * The columns to store. Secrets that were not typed are left out, so that the stored ones are kept; those
 * that have no use any more are removed.
 */
export function toBody(draft: Draft, stored: Connection | undefined): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  for (const field of fields) {
    const { kind, column } = field;
    const isUsed = field.fixed?.(draft) === undefined && (field.shownWhen?.(draft) ?? true);
    if (kind === 'secret') {
      if (isUsed && draft.texts[column] !== '') body[column] = draft.texts[column];
      else if (!isUsed && stored?.[`${column}Set`] === true) body[column] = null;
    } else if (!isUsed) {
      // Left out.
    } else if (kind === 'flag') {
      const value = draft.flags[column];
      if (value !== defaultFlags[column] || alwaysWritten.includes(column)) body[column] = value;
    } else {
      const value = draft.texts[column];
      if (value === '' || (column === 'port' && !draft.portTyped)) continue;
      if (value !== defaultTexts[column] || alwaysWritten.includes(column)) body[column] = value;
    }
  }
  return body;
}
