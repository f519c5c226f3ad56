/** Mail servers and proxies that the tests don't run each time: `npm run servers`. */
import { startNginx, startStunnel } from './frontServers.ts';
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
