/** A mail provider whose servers and login are known. */
export interface Provider {
  readonly name: string;
  readonly imapHost: string;
  readonly pop3Host: string;
  readonly login: { readonly authType: 'password' | 'oauth2'; readonly oauth2Grant: string };
  /** What it needs, in a sentence or two. */
  readonly needs: string;
}

const password = { authType: 'password', oauth2Grant: '' } as const;

/** Those that most mailboxes are with, the first ones first. */
export const providers: readonly Provider[] = [
  {
    name: 'Exchange Online (Microsoft 365)',
    imapHost: 'outlook.office365.com',
    pop3Host: 'pop.outlook.office365.com',
    login: { authType: 'oauth2', oauth2Grant: 'clientCredentials' },
    needs:
      'Exchange Online takes no passwords. It needs an app registration in Entra with the permission IMAP.AccessAsApp (or POP.AccessAsApp), whose service principal has full access to the mailbox; give its tenant, client ID and secret. Or choose managed identity, which needs no secret.',
  },
  {
    name: 'Google Workspace, Gmail',
    imapHost: 'imap.gmail.com',
    pop3Host: 'pop.gmail.com',
    login: password,
    needs:
      'Google takes no account passwords. Use an app password (the account needs 2-Step Verification), or OAuth2 with a refresh token whose scope is https://mail.google.com/.',
  },
  {
    name: 'Outlook.com, Hotmail',
    imapHost: 'imap-mail.outlook.com',
    pop3Host: 'pop-mail.outlook.com',
    login: { authType: 'oauth2', oauth2Grant: 'refreshToken' },
    needs: 'Outlook.com takes no passwords: OAuth2 with a refresh token of the account.',
  },
  {
    name: 'Yahoo Mail',
    imapHost: 'imap.mail.yahoo.com',
    pop3Host: 'pop.mail.yahoo.com',
    login: password,
    needs: 'Yahoo needs an app password, made in the account’s security settings.',
  },
  {
    name: 'iCloud Mail',
    imapHost: 'imap.mail.me.com',
    pop3Host: '',
    login: password,
    needs: 'iCloud needs an app-specific password. It has no POP3.',
  },
];

/** The provider that a host belongs to. */
export function providerOf(host: string): Provider | undefined {
  const name = host.trim().toLowerCase();
  if (name === '') return undefined;
  return providers.find(({ imapHost, pop3Host }) => name === imapHost || name === pop3Host);
}
