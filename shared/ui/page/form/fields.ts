import {
  type ConfigColumnName,
  type configColumns,
  type SecretColumn,
  secretReferences,
} from '../../../connection/columns.ts';
import type { Key } from '../model.ts';

type ColumnOf<Type extends string> = {
  [Name in ConfigColumnName]: (typeof configColumns)[Name]['type'] extends Type ? Name : never;
}[ConfigColumnName];

export type FlagColumn = ColumnOf<'boolean'>;
export type TextColumn = Exclude<ConfigColumnName, FlagColumn>;

/** What stands in the form. */
export interface Draft {
  readonly key: Key;
  readonly texts: Readonly<Record<TextColumn, string>>;
  readonly flags: Readonly<Record<FlagColumn, boolean>>;
  /** Whether the port is the user's own, and no longer follows the protocol. */
  readonly portTyped: boolean;
}

interface Extras {
  readonly hint?: string;
  /** Said beside the field while it can't be changed; undefined while it can. */
  readonly fixed?: (draft: Draft) => string | undefined;
  /** What a flag shows while it is fixed. */
  readonly fixedTo?: boolean;
  /** Absent: always shown. */
  readonly shownWhen?: (draft: Draft) => boolean;
  readonly placeholder?: string;
  /** Beside the field, as its unit. */
  readonly unit?: string;
}

export type FlagField = ReturnType<typeof flag>;
export type TextField = ReturnType<typeof text>;
export type FormField = FlagField | TextField | ReturnType<typeof choice>;

function flag(column: FlagColumn, label: string, extras: Extras = {}) {
  return { kind: 'flag', column, label, ...extras } as const;
}

function text(
  column: TextColumn,
  label: string,
  extras: Extras = {},
  kind: 'text' | 'secret' | 'number' | 'area' = 'text',
) {
  return { kind, column, label, ...extras } as const;
}

function choice(
  column: TextColumn,
  label: string,
  options: Readonly<Record<string, string>>,
  extras: Extras = {},
) {
  return { kind: 'choice', column, label, options: Object.entries(options), ...extras } as const;
}

const isOAuth2 = ({ texts }: Draft) => texts.authType === 'oauth2';
const isPassword = (draft: Draft) => !isOAuth2(draft);
const isGrant =
  (...grants: readonly string[]) =>
  (draft: Draft) =>
    isOAuth2(draft) && grants.includes(draft.texts.oauth2Grant);
const withToken = isGrant('clientCredentials', 'refreshToken');
const isPop3 = ({ texts }: Draft) => texts.hostType === 'POP3';
const isImap = (draft: Draft) => !isPop3(draft);

/** Why a secret isn't asked for: it stands where the draft says. */
function heldElsewhere(column: SecretColumn, { texts }: Draft): string | undefined {
  const { setting, vaultSecret } = secretReferences[column];
  if (texts[setting] !== '') return 'Not used: the app setting under Advanced holds it.';
  return texts[vaultSecret] === '' ? undefined : 'Not used: the vault secret under Advanced holds it.';
}

/** Where a secret may stand instead of in the connection. */
function placeFields(column: SecretColumn, label: string, shownWhen: (draft: Draft) => boolean): TextField[] {
  const { setting, vaultSecret } = secretReferences[column];
  const inPlace = `that holds it, in place of ${label}.`;
  return [
    text(setting, `${label} Setting`, {
      hint: `The app setting ${inPlace}`,
      placeholder: 'MAILBOX_ORDERS_SECRET',
      shownWhen,
    }),
    text(vaultSecret, `${label} Vault Secret`, {
      hint: `The secret in the app’s Key Vault ${inPlace}`,
      placeholder: 'mailbox-orders-secret',
      shownWhen,
    }),
  ];
}

function secretFields(
  column: SecretColumn,
  label: string,
  shownWhen: (draft: Draft) => boolean,
): TextField[] {
  const fixed = (draft: Draft) => heldElsewhere(column, draft);
  return [text(column, label, { fixed, shownWhen }, 'secret'), ...placeFields(column, label, shownWhen)];
}

/** Of a new connection. */
export const keyFields = [
  { column: 'customer', label: 'Customer', hint: 'Whose mailbox it is.' },
  { column: 'connection', label: 'Connection name', hint: 'As orders, or invoices-2026.' },
] as const;

/** The fields of the product that this adapter comes from, in its words and order. */
export const mainFields: readonly FormField[] = [
  text('username', 'Username'),
  text(
    'password',
    'Password',
    {
      fixed: (draft) =>
        isOAuth2(draft)
          ? 'Not used: the login is by OAuth2, see Advanced.'
          : heldElsewhere('password', draft),
    },
    'secret',
  ),
  choice('authType', 'Login', { password: 'Password', oauth2: 'OAuth2' }),
  text('host', 'Host', { placeholder: 'mail.example.com' }),
  choice('hostType', 'Host Type', { IMAP: 'IMAP', POP3: 'POP3' }),
  text('port', 'Port', { hint: 'By Host Type and Use SSL, until typed.' }, 'number'),
  flag('sendAttachments', 'Send Attachments', { hint: 'Each attachment is a message of its own.' }),
  flag('sendMessageBody', 'Send Message Body', { hint: 'The body is one message.' }),
  flag('deleteMessages', 'Delete Messages', {
    hint: 'Delete a mail once it was sent, rather than mark it read.',
    fixed: (draft) =>
      isPop3(draft)
        ? 'Always on for POP3: it has no read mark, so mails are deleted once they were sent.'
        : undefined,
    fixedTo: true,
  }),
  flag('useSsl', 'Use SSL', { hint: 'Encrypted from the first byte.' }),
  text(
    'pollingIntervalSeconds',
    'Polling Interval',
    {
      unit: 'seconds',
      fixed: ({ texts }) =>
        texts.cron === '' ? undefined : 'Not used: the cron expression under Advanced decides.',
    },
    'number',
  ),
  flag('useProcessLock', 'Use Process Lock', { hint: 'One run at a time, however long it takes.' }),
];

export interface FieldGroup {
  readonly title: string;
  readonly fields: readonly FormField[];
}

/** What is needed more seldom, by what it is about. */
export const advancedGroups: readonly FieldGroup[] = [
  {
    title: 'Login',
    fields: [
      ...placeFields('password', 'Password', isPassword),
      choice(
        'oauth2Grant',
        'OAuth2 Grant',
        {
          '': 'Choose…',
          clientCredentials: 'Client credentials',
          refreshToken: 'Refresh token',
          managedIdentity: 'Managed identity',
        },
        { shownWhen: isOAuth2 },
      ),
      text('oauth2TenantId', 'OAuth2 Tenant', {
        hint: 'The Entra tenant; or give a token endpoint.',
        shownWhen: withToken,
      }),
      text('oauth2TokenEndpoint', 'OAuth2 Token Endpoint', {
        hint: 'In place of a tenant.',
        placeholder: 'https://',
        shownWhen: withToken,
      }),
      text('oauth2ClientId', 'OAuth2 Client ID', { shownWhen: isOAuth2 }),
      ...secretFields('oauth2ClientSecret', 'OAuth2 Client Secret', withToken),
      ...secretFields('oauth2RefreshToken', 'OAuth2 Refresh Token', isGrant('refreshToken')),
      text('oauth2Scope', 'OAuth2 Scope', {
        hint: 'Empty for that of Exchange Online, with a tenant or a managed identity.',
        shownWhen: isOAuth2,
      }),
    ],
  },
  {
    title: 'TLS',
    fields: [
      flag('startTls', 'Start TLS', {
        hint: 'Upgrade to TLS before the login, or fail.',
        fixed: ({ flags }) => (flags.useSsl ? 'Only without Use SSL.' : undefined),
        fixedTo: false,
      }),
      text(
        'caCertificate',
        'CA Certificate',
        {
          hint: 'PEM to trust as well, for a server with a private CA.',
          placeholder: '-----BEGIN CERTIFICATE-----',
        },
        'area',
      ),
    ],
  },
  {
    title: 'Schedule',
    fields: [
      flag('enabled', 'Enabled', { hint: 'Polled by its schedule.' }),
      text('cron', 'Cron', {
        hint: 'Minute, hour, day of month, month, day of week; in place of Polling Interval.',
        placeholder: '0 6 * * 1-5',
      }),
      text('timeZone', 'Time Zone', {
        hint: 'That cron is meant in, as Europe/Berlin.',
        shownWhen: ({ texts }) => texts.cron !== '',
      }),
    ],
  },
  {
    title: 'Which mails',
    fields: [
      text('folder', 'Folder', { shownWhen: isImap }),
      text('moveToFolder', 'Move To Folder', {
        hint: 'Where a mail goes once it was sent. Made where it is missing.',
        shownWhen: (draft) => isImap(draft) && !draft.flags.deleteMessages,
      }),
      text('fromFilter', 'From Filter', {
        hint: 'Only mails from these: patterns separated by commas, with * and ?; ! in front excludes.',
        placeholder: '*@example.com, !noreply@*',
        shownWhen: isImap,
      }),
      text('toFilter', 'To Filter', {
        hint: 'Only mails to one of these.',
        placeholder: 'orders@example.com',
        shownWhen: isImap,
      }),
      text('subjectFilter', 'Subject Filter', {
        hint: 'Only mails in whose subject one of these is found.',
        placeholder: 'order, invoice, !out of office',
        shownWhen: isImap,
      }),
      choice(
        'unmatchedMails',
        'Unmatched Mails',
        { leave: 'Stay unread', markRead: 'Are marked read' },
        { hint: 'What becomes of the mails that the filters leave out.', shownWhen: isImap },
      ),
    ],
  },
  {
    title: 'What is sent',
    fields: [
      choice('bodyFormat', 'Body Format', { text: 'Text', html: 'HTML', eml: 'The raw mail (eml)' }),
      text('attachmentFilter', 'Attachment Filter', {
        hint: 'Only attachments of these names.',
        placeholder: '*.pdf, *.xml, !logo*',
      }),
      flag('inlineAttachments', 'Inline Attachments', { hint: 'Also send the images that the HTML shows.' }),
      flag('unpackWinmail', 'Unpack winmail.dat', { hint: 'Send what it holds in its place.' }),
    ],
  },
  {
    title: 'Where to',
    fields: [
      text('queueName', 'Queue Name', {
        hint: 'The Service Bus queue or topic; empty for the app’s own.',
      }),
      choice('sessions', 'Sessions', {
        none: 'None',
        connection: 'One for the connection',
        mail: 'One for each mail',
      }),
    ],
  },
];

export const advancedFields = advancedGroups.flatMap(({ fields }) => fields);

export const fields: readonly FormField[] = [...mainFields, ...advancedFields];

export function idOf(column: string): string {
  return `field-${column}`;
}
