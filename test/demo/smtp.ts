import { once } from 'node:events';
import { SMTPServer } from 'smtp-server';

export interface MailDrop {
  readonly port: number;
  stop(): Promise<void>;
}

const largestMailBytes = 64 * 1024 * 1024;

/**
 * Takes mail by SMTP on 127.0.0.1 for whoever is named before the @, whatever is behind it, without a login.
 * `deliver` resolves when the mail lies in the mailbox; only then is it acknowledged.
 */
export async function startMailDrop(
  port: number,
  users: readonly string[],
  deliver: (user: string, mail: Buffer) => Promise<void>,
): Promise<MailDrop> {
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    authOptional: true,
    size: largestMailBytes,
    banner: 'the demo takes mail for its own mailboxes',
    closeTimeout: 1_000,
    onRcptTo: ({ address }, _, answer) => {
      const known = users.includes(userOf(address));
      answer(known ? null : refusal(550, `No such mailbox here. There are: ${users.join(', ')}.`));
    },
    onData: (data, { envelope }, answer) => {
      const receive = async (): Promise<void> => {
        const mail = await readAtMost(data, largestMailBytes);
        if (mail === undefined)
          throw refusal(552, `The demo takes mails of up to ${largestMailBytes} bytes.`);
        for (const { address } of envelope.rcptTo) await deliver(userOf(address), mail);
      };
      receive().then(
        () => answer(null, 'It lies in the mailbox.'),
        (error: unknown) => answer(error instanceof Error ? error : new Error('Not delivered.')),
      );
    },
  });
  // A client that hangs up is no trouble of the demo's.
  server.on('error', () => undefined);
  const listening = once(server, 'error').then(([error]) => Promise.reject(error));
  await Promise.race([new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve)), listening]);
  listening.catch(() => undefined);
  return { port, stop: () => new Promise((resolve) => server.close(resolve)) };
}

function userOf(address: string): string {
  return address.slice(0, address.lastIndexOf('@')).toLowerCase();
}

/** Undefined when it is more; what is more is read and thrown away, so that the client hears the answer. */
async function readAtMost(data: AsyncIterable<Buffer>, most: number): Promise<Buffer | undefined> {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  for await (const piece of data) {
    sizeBytes += piece.length;
    if (sizeBytes <= most) pieces.push(piece);
  }
  return sizeBytes <= most ? Buffer.concat(pieces) : undefined;
}

/** `responseCode` is what smtp-server answers with. */
function refusal(responseCode: number, message: string): Error {
  return Object.assign(new Error(message), { responseCode });
}
