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

/** What Courier's own super-server says about the other end; without it the POP3 login crashes. */
const courierPeer =
  'TCPREMOTEIP=127.0.0.1; TCPREMOTEPORT=1; TCPREMOTEHOST=localhost; TCPLOCALIP=127.0.0.1; TCPLOCALPORT=1';

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
  'solid-pop3d': {
    packages: ['solid-pop3d'],
    setUp: `echo 'spop3d:x:19997:19997::/var/lib/solid-pop3d:/bin/false' >> /etc/passwd
echo 'spop3d:x:19997:' >> /etc/group
mkdir -p /var/lib/solid-pop3d/bulletins`,
    pop3: '/usr/sbin/solid-pop3d',
    store: 'mbox',
  },
  Courier: {
    packages: ['courier-imap', 'courier-pop', 'courier-base', 'courier-authlib'],
    setUp: `echo 'courier:x:19998:19998::/var/lib/courier:/bin/false' >> /etc/passwd
echo 'courier:x:19998:' >> /etc/group
mkdir -p /run/courier/authdaemon /var/lib/courier /etc/courier
printf 'authmodulelist="authpam"\\nauthmodulelistorig="authpam"\\ndaemons=2\\nauthdaemonvar=/run/courier/authdaemon\\n' > /etc/courier/authdaemonrc
chmod 755 /run/courier/authdaemon
/usr/lib/courier/courier-authlib/authdaemond > /dev/null 2>&1 &
until [ -S /run/courier/authdaemon/socket ]; do sleep 0.1; done`,
    imap: `set -a; . /etc/courier/imapd; ${courierPeer}; exec /usr/lib/courier/courier/imaplogin /usr/bin/imapd Maildir`,
    pop3: `set -a; . /etc/courier/pop3d; ${courierPeer}; exec /usr/lib/courier/courier/courierpop3login /usr/lib/courier/courier/courierpop3d Maildir`,
    store: 'maildir',
  },
};

for (const [name, server] of Object.entries(layered)) {
  testSessions(name, (users) => startLayered(server, users));
}
