/** Mail servers and proxies that the tests don't run each time: `npm run servers`. */
import { startNginx, startStunnel } from './frontServers.ts';
import { type LayeredServer, startLayered } from './layeredServers.ts';
import { type StartMailServer, seedFolder } from './mailServers.ts';
import { type SessionServer, type sessionUsers, testSessions } from './sessionBehaviours.ts';

/** A server that a mail program can put mails into. */
function seededByImap(start: StartMailServer): (users: typeof sessionUsers) => Promise<SessionServer> {
  return async (users) => {
    const server = await start(users);
    return {
      ...server,
      username: (user) => user,
      seed: (user, mails) => seedFolder({ server, user, password: users.password }, mails),
    };
  };
}

testSessions('nginx', seededByImap(startNginx));
testSessions('stunnel', seededByImap(startStunnel));

const layered: Readonly<Record<string, LayeredServer>> = {
  'GNU Mailutils': {
    packages: ['mailutils-pop3d', 'mailutils-imap4d'],
    imap: '/usr/sbin/imap4d --inetd',
    pop3: '/usr/sbin/pop3d --inetd',
    store: 'mbox',
  },
  popa3d: {
    packages: ['popa3d'],
    setUp: `echo 'popa3d:x:19999:19999::/var/empty:/bin/false' >> /etc/passwd
mkdir -p /var/empty /usr/share/empty /run/popa3d`,
    pop3: '/usr/sbin/popa3d',
    store: 'mbox',
  },
  'solid-pop3d': { packages: ['solid-pop3d'], pop3: '/usr/sbin/solid-pop3d', store: 'mbox' },
  Courier: {
    packages: ['courier-imap', 'courier-pop', 'courier-base', 'courier-authlib'],
    setUp: `echo 'courier:x:19998:19998::/var/lib/courier:/bin/false' >> /etc/passwd
echo 'courier:x:19998:' >> /etc/group
mkdir -p /run/courier/authdaemon /var/lib/courier /etc/courier
sed -i 's/^authmodulelist=.*/authmodulelist="authpam"/' /etc/courier/authdaemonrc
chmod 755 /run/courier/authdaemon
/usr/sbin/authdaemond start`,
    imap: 'set -a; . /etc/courier/imapd; exec /usr/lib/courier/imaplogin /usr/bin/imapd Maildir',
    pop3: 'set -a; . /etc/courier/pop3d; exec /usr/lib/courier/courier/courierpop3login /usr/lib/courier/courier/courierpop3d Maildir',
    store: 'maildir',
  },
};

for (const [name, server] of Object.entries(layered)) {
  testSessions(name, (users) => startLayered(server, users));
}
