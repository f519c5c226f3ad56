import { type SecretColumn, secretReferences } from '../../../connection/columns.ts';
import type { Draft, FlagColumn, TextColumn } from './draftColumns.ts';

interface Common {
  readonly label: string;
  readonly hint?: string;
  /** Said beside the field while it can't be changed; undefined while it can. */
  readonly fixed?: (draft: Draft) => string | undefined;
  /** Absent: always shown. */
  readonly shownWhen?: (draft: Draft) => boolean;
}

export interface FlagField extends Common {
  readonly kind: 'flag';
  readonly column: FlagColumn;
  /** What it shows while it is fixed. */
  readonly fixedTo?: boolean;
}

export interface TextField extends Common {
  readonly kind: 'text' | 'secret' | 'number' | 'area';
  readonly column: TextColumn;
  readonly placeholder?: string;
  /** Beside the field, as its unit. */
  readonly unit?: string;
}

export interface ChoiceField extends Common {
  readonly kind: 'choice';
  readonly column: TextColumn;
  readonly options: readonly (readonly [value: string, label: string])[];
}

export type Field = FlagField | TextField | ChoiceField;

const isOAuth2 = ({ texts }: Draft) => texts.authType === 'oauth2';
const isGrant =
  (...grants: readonly string[]) =>
  (draft: Draft) =>
    isOAuth2(draft) && grants.includes(draft.texts.oauth2Grant);
const withToken = isGrant('clientCredentials', 'refreshToken');
const isPop3 = ({ texts }: Draft) => texts.hostType === 'POP3';
const isImap = (draft: Draft) => !isPop3(draft);

/** Why a secret isn't asked for: it stands where the draft says. */
function heldElsewhere(column: SecretColumn): NonNullable<Common['fixed']> {
  const { setting, vaultSecret } = secretReferences[column];
  return ({ texts }) => {
    if (texts[setting] !== '') return 'Not used: the app setting under Advanced holds it.';
    return texts[vaultSecret] === '' ? undefined : 'Not used: the vault secret under Advanced holds it.';
  };
}

/** Where a secret may stand instead of in the connection. */
function placeFields(column: SecretColumn, label: string, shownWhen: (draft: Draft) => boolean): Field[] {
  const { setting, vaultSecret } = secretReferences[column];
  return [
    {
      kind: 'text',
      column: setting,
      label: `${label} Setting`,
      hint: `The app setting that holds it, in place of ${label}.`,
      placeholder: 'MAILBOX_ORDERS_SECRET',
      shownWhen,
    },
    {
      kind: 'text',
      column: vaultSecret,
      label: `${label} Vault Secret`,
      hint: `The secret in the app’s Key Vault that holds it, in place of ${label}.`,
      placeholder: 'mailbox-orders-secret',
      shownWhen,
    },
  ];
}

function secretFields(column: SecretColumn, label: string, shownWhen: (draft: Draft) => boolean): Field[] {
  const secret: Field = { kind: 'secret', column, label, fixed: heldElsewhere(column), shownWhen };
  return [secret, ...placeFields(column, label, shownWhen)];
}

/** The fields of the product that this adapter comes from, in its words and order. */
export const mainFields: readonly Field[] = [
  { kind: 'text', column: 'username', label: 'Username' },
  {
    kind: 'secret',
    column: 'password',
    label: 'Password',
    fixed: (draft) =>
      isOAuth2(draft) ? 'Not used: the login is by OAuth2, see Advanced.' : heldElsewhere('password')(draft),
  },
  {
    kind: 'choice',
    column: 'authType',
    label: 'Login',
    options: [
      ['password', 'Password'],
      ['oauth2', 'OAuth2'],
    ],
  },
  { kind: 'text', column: 'host', label: 'Host', placeholder: 'mail.example.com' },
  {
    kind: 'choice',
    column: 'hostType',
    label: 'Host Type',
    options: [
      ['IMAP', 'IMAP'],
      ['POP3', 'POP3'],
    ],
  },
  {
    kind: 'number',
    column: 'port',
    label: 'Port',
    hint: 'By Host Type and Use SSL, until typed.',
  },
  {
    kind: 'flag',
    column: 'sendAttachments',
    label: 'Send Attachments',
    hint: 'Each attachment is a message of its own.',
  },
  { kind: 'flag', column: 'sendMessageBody', label: 'Send Message Body', hint: 'The body is one message.' },
  {
    kind: 'flag',
    column: 'deleteMessages',
    label: 'Delete Messages',
    hint: 'Delete a mail once it was sent, rather than mark it read.',
    fixed: (draft) =>
      isPop3(draft)
        ? 'Always on for POP3: it has no read mark, so mails are deleted once they were sent.'
        : undefined,
    fixedTo: true,
  },
  { kind: 'flag', column: 'useSsl', label: 'Use SSL', hint: 'Encrypted from the first byte.' },
  {
    kind: 'number',
    column: 'pollingIntervalSeconds',
    label: 'Polling Interval',
    unit: 'seconds',
    fixed: ({ texts }) =>
      texts.cron === '' ? undefined : 'Not used: the cron expression under Advanced decides.',
  },
  {
    kind: 'flag',
    column: 'useProcessLock',
    label: 'Use Process Lock',
    hint: 'One run at a time, however long it takes.',
  },
];

export interface FieldGroup {
  readonly title: string;
  readonly fields: readonly Field[];
}

/** What is needed more seldom, by what it is about. */
export const advancedGroups: readonly FieldGroup[] = [
  {
    title: 'Login',
    fields: [
      ...placeFields('password', 'Password', (draft) => !isOAuth2(draft)),
      {
        kind: 'choice',
        column: 'oauth2Grant',
        label: 'OAuth2 Grant',
        options: [
          ['', 'Choose…'],
          ['clientCredentials', 'Client credentials'],
          ['refreshToken', 'Refresh token'],
          ['managedIdentity', 'Managed identity'],
        ],
        shownWhen: isOAuth2,
      },
      {
        kind: 'text',
        column: 'oauth2TenantId',
        label: 'OAuth2 Tenant',
        hint: 'The Entra tenant; or give a token endpoint.',
        shownWhen: withToken,
      },
      {
        kind: 'text',
        column: 'oauth2TokenEndpoint',
        label: 'OAuth2 Token Endpoint',
        hint: 'In place of a tenant.',
        placeholder: 'https://',
        shownWhen: withToken,
      },
      { kind: 'text', column: 'oauth2ClientId', label: 'OAuth2 Client ID', shownWhen: isOAuth2 },
      ...secretFields('oauth2ClientSecret', 'OAuth2 Client Secret', withToken),
      ...secretFields('oauth2RefreshToken', 'OAuth2 Refresh Token', isGrant('refreshToken')),
      {
        kind: 'text',
        column: 'oauth2Scope',
        label: 'OAuth2 Scope',
        hint: 'Empty for that of Exchange Online, with a tenant or a managed identity.',
        shownWhen: isOAuth2,
      },
    ],
  },
  {
    title: 'TLS',
    fields: [
      {
        kind: 'flag',
        column: 'startTls',
        label: 'Start TLS',
        hint: 'Upgrade to TLS before the login, or fail.',
        fixed: ({ flags }) => (flags.useSsl ? 'Only without Use SSL.' : undefined),
        fixedTo: false,
      },
      {
        kind: 'area',
        column: 'caCertificate',
        label: 'CA Certificate',
        hint: 'PEM to trust as well, for a server with a private CA.',
        placeholder: '-----BEGIN CERTIFICATE-----',
      },
    ],
  },
  {
    title: 'Schedule',
    fields: [
      { kind: 'flag', column: 'enabled', label: 'Enabled', hint: 'Polled by its schedule.' },
      {
        kind: 'text',
        column: 'cron',
        label: 'Cron',
        hint: 'Minute, hour, day of month, month, day of week; in place of Polling Interval.',
        placeholder: '0 6 * * 1-5',
      },
      {
        kind: 'text',
        column: 'timeZone',
        label: 'Time Zone',
        hint: 'That cron is meant in, as Europe/Berlin.',
        shownWhen: ({ texts }) => texts.cron !== '',
      },
    ],
  },
  {
    title: 'Which mails',
    fields: [
      { kind: 'text', column: 'folder', label: 'Folder', shownWhen: isImap },
      {
        kind: 'text',
        column: 'moveToFolder',
        label: 'Move To Folder',
        hint: 'Where a mail goes once it was sent. Made where it is missing.',
        shownWhen: (draft) => isImap(draft) && !draft.flags.deleteMessages,
      },
      {
        kind: 'text',
        column: 'fromFilter',
        label: 'From Filter',
        hint: 'Only mails from these: patterns separated by commas, with * and ?; ! in front excludes.',
        placeholder: '*@example.com, !noreply@*',
        shownWhen: isImap,
      },
      {
        kind: 'text',
        column: 'toFilter',
        label: 'To Filter',
        hint: 'Only mails to one of these.',
        placeholder: 'orders@example.com',
        shownWhen: isImap,
      },
      {
        kind: 'text',
        column: 'subjectFilter',
        label: 'Subject Filter',
        hint: 'Only mails in whose subject one of these is found.',
        placeholder: 'order, invoice, !out of office',
        shownWhen: isImap,
      },
      {
        kind: 'choice',
        column: 'unmatchedMails',
        label: 'Unmatched Mails',
        hint: 'What becomes of the mails that the filters leave out.',
        options: [
          ['leave', 'Stay unread'],
          ['markRead', 'Are marked read'],
        ],
        shownWhen: isImap,
      },
    ],
  },
  {
    title: 'What is sent',
    fields: [
      {
        kind: 'choice',
        column: 'bodyFormat',
        label: 'Body Format',
        options: [
          ['text', 'Text'],
          ['html', 'HTML'],
          ['eml', 'The raw mail (eml)'],
        ],
      },
      {
        kind: 'text',
        column: 'attachmentFilter',
        label: 'Attachment Filter',
        hint: 'Only attachments of these names.',
        placeholder: '*.pdf, *.xml, !logo*',
      },
      {
        kind: 'flag',
        column: 'inlineAttachments',
        label: 'Inline Attachments',
        hint: 'Also send the images that the HTML shows.',
      },
      {
        kind: 'flag',
        column: 'unpackWinmail',
        label: 'Unpack winmail.dat',
        hint: 'Send what it holds in its place.',
      },
    ],
  },
  {
    title: 'Where to',
    fields: [
      {
        kind: 'text',
        column: 'queueName',
        label: 'Queue Name',
        hint: 'The Service Bus queue or topic; empty for the app’s own.',
      },
      {
        kind: 'choice',
        column: 'sessions',
        label: 'Sessions',
        options: [
          ['none', 'None'],
          ['connection', 'One for the connection'],
          ['mail', 'One for each mail'],
        ],
      },
    ],
  },
];

export const advancedFields: readonly Field[] = advancedGroups.flatMap(({ fields }) => fields);
