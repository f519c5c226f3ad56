import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testCertificate } from '../testbed/certificates.ts';
import { exited, freePorts, onExit, serverAnswers } from '../testbed/child.ts';
import { listening } from '../testbed/listening.ts';
import { libraryPath, unpackDebianPackages } from '../testbed/programs.ts';
import { type StartMailServer, startMailServer } from './mailServers.ts';

/** nginx's mail proxy in front of Dovecot, with logins and TLS of its own. */
export const startNginx: StartMailServer = async (users) => {
  const root = unpackDebianPackages(['nginx', 'libnginx-mod-mail']);
  const dovecot = await startMailServer.Dovecot(users);
  const { keyPath, certificatePath } = await testCertificate();
  const [imapPort = 0, imapsPort = 0, pop3Port = 0, pop3sPort = 0] = await freePorts(4);
  const logins = createServer((request, response) => {
    const { 'auth-user': user, 'auth-pass': pass, 'auth-protocol': protocol } = request.headers;
    const known = users.users.includes(String(user)) && decodeURIComponent(String(pass)) === users.password;
    response.setHeader('Auth-Status', known ? 'OK' : 'Invalid login or password');
    if (known) {
      response.setHeader('Auth-Server', '127.0.0.1');
      response.setHeader('Auth-Port', String(protocol === 'pop3' ? dovecot.pop3Port : dovecot.imapPort));
    }
    response.end();
  });
  const { port: loginPort, stop: stopLogins } = await listening(logins);
  const home = mkdtempSync(join(tmpdir(), 'testbed-nginx-'));
  const server = (port: number, protocol: string, tls: string) =>
    `  server { listen 127.0.0.1:${port}${tls === 'ssl' ? ' ssl' : ''}; protocol ${protocol}; ${tls === 'ssl' ? '' : 'starttls on;'} }`;
  writeFileSync(
    join(home, 'nginx.conf'),
    `load_module ${join(root, 'usr/lib/nginx/modules/ngx_mail_module.so')};
user root;
daemon off;
master_process off;
pid ${join(home, 'nginx.pid')};
error_log stderr;
events {}
mail {
  server_name mail.test;
  auth_http 127.0.0.1:${loginPort}/;
  ssl_certificate ${certificatePath};
  ssl_certificate_key ${keyPath};
  imap_capabilities IMAP4rev1 UIDPLUS MOVE LITERAL+;
  pop3_capabilities TOP USER UIDL PIPELINING;
${server(imapPort, 'imap', '')}
${server(imapsPort, 'imap', 'ssl')}
${server(pop3Port, 'pop3', '')}
${server(pop3sPort, 'pop3', 'ssl')}
}
`,
  );
  const child = spawn(join(root, 'usr/sbin/nginx'), ['-p', home, '-e', 'stderr', '-c', 'nginx.conf'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, LD_LIBRARY_PATH: libraryPath(root) },
  });
  const stop = await running('nginx', child, home, [imapPort, imapsPort, pop3Port, pop3sPort]);
  return {
    ...dovecot,
    ...{ name: 'nginx', imapPort, imapsPort, pop3Port, pop3sPort },
    stop: async () => {
      await stop();
      await stopLogins();
      await dovecot.stop();
    },
  };
};

/** stunnel does TLS in front of Dovecot, from the first byte. */
export const startStunnel: StartMailServer = async (users) => {
  const root = unpackDebianPackages(['stunnel4']);
  const dovecot = await startMailServer.Dovecot(users);
  const { keyPath, certificatePath } = await testCertificate();
  const [imapsPort = 0, pop3sPort = 0] = await freePorts(2);
  const home = mkdtempSync(join(tmpdir(), 'testbed-stunnel-'));
  const config = join(home, 'stunnel.conf');
  const service = (name: string, accept: number, connect: number) =>
    `[${name}]\naccept = 127.0.0.1:${accept}\nconnect = 127.0.0.1:${connect}\ncert = ${certificatePath}\nkey = ${keyPath}\n`;
  writeFileSync(
    config,
    `foreground = yes\npid = ${join(home, 'stunnel.pid')}\n${service('imaps', imapsPort, dovecot.imapPort)}${service('pop3s', pop3sPort, dovecot.pop3Port)}`,
  );
  const child = spawn(join(root, 'usr/bin/stunnel4'), [config], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, LD_LIBRARY_PATH: libraryPath(root) },
  });
  const stop = await running('stunnel', child, home, [imapsPort, pop3sPort]);
  return {
    ...dovecot,
    ...{ name: 'stunnel', imapsPort, pop3sPort },
    stop: async () => {
      await stop();
      await dovecot.stop();
    },
  };
};

/** Waits until the ports answer; gives what ends the child and takes its folder away. */
async function running(
  name: string,
  child: ChildProcess,
  home: string,
  ports: readonly number[],
): Promise<() => Promise<void>> {
  const offExit = onExit(() => {
    child.kill('SIGKILL');
    rmSync(home, { recursive: true, force: true });
  });
  await serverAnswers(name, child, ports);
  return async () => {
    const ended = exited(child);
    child.kill('SIGKILL');
    await ended;
    offExit();
    rmSync(home, { recursive: true, force: true });
  };
}
