import type { HeaderFilterRules } from '../mail/headerFilter.ts';
import type { SplitRules } from '../mail/mail.ts';
import type { MailboxOptions } from '../mailbox/mailbox.ts';
import type { Schedule } from '../time/time.ts';
import type { ConfiguredSecret, SecretPlace } from './secret.ts';

/** A connection's config, decoded: nothing in it is left to check. */
export interface ConnectionConfig
  extends Pick<
    MailboxOptions,
    'protocol' | 'host' | 'port' | 'security' | 'caCertificate' | 'username' | 'folder' | 'deleteMails'
  > {
  /** The PartitionKey. */
  readonly customer: string;
  /** The RowKey. */
  readonly connection: string;
  readonly enabled: boolean;
  readonly auth: ConnectionAuth;
  readonly rules: Omit<SplitRules, 'maxMailBytes'>;
  /** IMAP only; absent: every unread mail is taken. */
  readonly filters?: HeaderFilterRules;
  /** What becomes of the mails that the filters leave out. */
  readonly unmatchedMails: 'leave' | 'markRead';
  /** IMAP only, and never with `deleteMails`: where delivered mails go, by its name as people see it. */
  readonly moveToFolder?: string;
  readonly schedule: Schedule;
  readonly useProcessLock: boolean;
  /** Absent: the app's own default queue. */
  readonly queueName?: string;
  readonly sessions: 'none' | 'connection' | 'mail';
}

/** `Secret` is a string once what stands in a vault has been read. */
export type ConnectionAuth<Secret extends ConfiguredSecret = ConfiguredSecret> =
  | { readonly kind: 'password'; readonly password: Secret }
  | { readonly kind: 'oauth2'; readonly grant: OAuth2Grant<Secret> };

export type OAuth2Grant<Secret extends ConfiguredSecret = string> =
  | {
      readonly kind: 'clientCredentials';
      readonly authority: OAuth2Authority;
      readonly clientId: string;
      readonly clientSecret: Secret;
      readonly scope?: string;
    }
  | {
      readonly kind: 'refreshToken';
      readonly authority: OAuth2Authority;
      readonly clientId: string;
      /** Public clients have none. */
      readonly clientSecret?: Secret;
      readonly refreshToken: Secret;
      /** Where it stands, and so whether a rotated one can be written back. */
      readonly refreshTokenFrom: SecretPlace;
      readonly scope?: string;
    }
  /** `clientId` picks a user-assigned identity. */
  | { readonly kind: 'managedIdentity'; readonly clientId?: string; readonly scope: string };

export type OAuth2Authority =
  | { readonly kind: 'tenant'; readonly tenantId: string }
  | { readonly kind: 'endpoint'; readonly url: string };

/** What is wrong with one column, as a sentence that names it and the rule, and quotes no secret. */
export interface ColumnError {
  readonly column: string;
  readonly message: string;
}

export type Decoded =
  | { readonly ok: true; readonly config: ConnectionConfig }
  | { readonly ok: false; readonly errors: readonly ColumnError[] };

/** How the connection is encrypted, by `useSsl` and `startTls`. */
export function securityOf(useSsl: boolean, startTls: boolean): ConnectionConfig['security'] {
  return useSsl ? 'tls' : startTls ? 'starttls' : 'plain';
}

/** The port of a connection that names none. */
export function defaultPort(protocol: 'imap' | 'pop3', useSsl: boolean): number {
  if (protocol === 'imap') return useSsl ? 993 : 143;
  return useSsl ? 995 : 110;
}

const maxSummaryLength = 1024;

/** All errors as one text for `lastError`, at most 1,024 characters; says how many it had to leave out. */
export function summarizeErrors(errors: readonly ColumnError[]): string {
  let summary = '';
  for (const [index, { message }] of errors.entries()) {
    const longer = summary === '' ? message : `${summary} ${message}`;
    const rest = ` (${errors.length - index} more)`;
    const room = index === errors.length - 1 ? maxSummaryLength : maxSummaryLength - rest.length;
    if (longer.length > room) return summary === '' ? message.slice(0, maxSummaryLength) : summary + rest;
    summary = longer;
  }
  return summary;
}
