import { execFileSync } from 'node:child_process';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { Certificate } from './certificates.ts';
import type { DovecotOptions } from './dovecot.ts';

export interface DovecotConfig extends Omit<DovecotOptions, 'users'> {
  readonly home: string;
  readonly mailRoot: string;
  readonly logPath: string;
  readonly owner: { readonly uid: number; readonly gid: number };
  readonly certificate: Certificate;
  readonly ports: Readonly<Record<'imap' | 'imaps' | 'pop3' | 'pop3s', number>>;
}

/** 2.4 renamed most settings, so that each has a configuration of its own. */
export type DovecotVersion = '2.3' | '2.4';

/** What Dovecot 2.3 announces after login, from its own `imap_capability` default. */
const imapCapabilities =
  'IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES THREAD=REFS ' +
  'THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED ' +
  'I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH LIST-STATUS BINARY MOVE ' +
  'SNIPPET=FUZZY PREVIEW=FUZZY PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY';

/**
 * The whole dovecot.conf of the test server, for this version of Dovecot: nothing of the machine's own
 * configuration is read.
 */
export function dovecotConfig(version: DovecotVersion, config: DovecotConfig): string {
  const { home, ports, owner } = config;
  const old = version === '2.3';
  const limit = config.maxConnectionsPerUser ?? 1_000;
  const loginService = (protocol: 'imap' | 'pop3', plainPort: number, tlsPort: number) => `
service ${protocol}-login {
  inet_listener ${protocol} {
    port = ${plainPort}
  }
  inet_listener ${protocol}s {
    port = ${tlsPort}
    ssl = yes
  }
  ${old ? 'service_count = 0' : 'restart_request_count = unlimited'}
  client_limit = 1000
  chroot =
}
service ${protocol} {
  process_limit = 1024
}`;
  // 2.4 wants its versions first.
  return `${old ? '' : 'dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0'}
base_dir = ${join(home, 'run')}
state_dir = ${join(home, 'state')}
log_path = ${config.logPath}
protocols = imap pop3
listen = 127.0.0.1
${internalUsers()}
${old ? 'disable_plaintext_auth = no' : 'auth_allow_cleartext = yes'}
auth_mechanisms = plain login
auth_failure_delay = 0
${tlsSettings(version, config.certificate)}
${old ? `mail_location = maildir:${config.mailRoot}/%u` : `mail_driver = maildir\nmail_path = ${config.mailRoot}/%{user}`}
mail_fsync = never
first_valid_uid = 1
default_vsz_limit = 1G
default_client_limit = 4096
default_process_limit = 1024
mail_max_userip_connections = ${limit}
${userDatabases(version, join(home, 'passwd'), config.mailRoot, owner)}
service anvil {
  chroot =
  # Without it a refused login makes every later one wait.
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  chroot =
}
${loginService('imap', ports.imap, ports.imaps)}
${loginService('pop3', ports.pop3, ports.pop3s)}
${capabilityOverride(version, config.withoutImapCapabilities ?? [])}
${config.extraConfig?.(version) ?? ''}
`;
}

function tlsSettings(version: DovecotVersion, { certificatePath, keyPath }: Certificate): string {
  const files =
    version === '2.3'
      ? `ssl_cert = <${certificatePath}\nssl_key = <${keyPath}`
      : `ssl_server_cert_file = ${certificatePath}\nssl_server_key_file = ${keyPath}`;
  return `ssl = yes\n${files}\nssl_min_protocol = TLSv1.2`;
}

function userDatabases(
  version: DovecotVersion,
  passwords: string,
  mailRoot: string,
  { uid, gid }: DovecotConfig['owner'],
): string {
  return version === '2.3'
    ? `passdb {
  driver = passwd-file
  args = username_format=%u ${passwords}
}
userdb {
  driver = static
  args = uid=${uid} gid=${gid} home=${mailRoot}/%u allow_all_users=yes
}`
    : `passdb passwd-file {
  passwd_file_path = ${passwords}
  auth_username_format = %{user}
}
userdb static {
  userdb_static_allow_all_users = yes
  fields {
    uid = ${uid}
    gid = ${gid}
    home = ${mailRoot}/%{user}
  }
}`;
}

/** Run by anyone but root, every process of the server stays that user. */
function internalUsers(): string {
  const { uid, username } = userInfo();
  if (uid === 0) return '';
  const group = execFileSync('id', ['-gn'], { encoding: 'utf8' }).trim();
  return `default_internal_user = ${username}
default_login_user = ${username}
default_internal_group = ${group}`;
}

function capabilityOverride(version: DovecotVersion, without: readonly string[]): string {
  if (without.length === 0) return '';
  if (version === '2.4') {
    const removed = without.map((capability) => `    ${capability} = no`).join('\n');
    return `protocol imap {\n  imap_capability {\n${removed}\n  }\n}`;
  }
  const kept = imapCapabilities.split(' ').filter((capability) => !without.includes(capability));
  return `imap_capability = ${kept.join(' ')}`;
}
