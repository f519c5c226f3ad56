import { type Protocol, serverColumns } from '../app/testbed.ts';
import {
  type Answer,
  fetchRow,
  sendSlowly,
  startScriptedImapServer,
  uidsIn,
} from '../mailbox/imap/scriptedImapServer.ts';
import { startScriptedServer } from '../mailbox/pop3/scriptedServer.ts';

/** A mail server whose large mails come drop by drop. */
export interface DrippingServer {
  /** The columns of a connection to its mailbox. */
  readonly columns: Readonly<Record<string, unknown>>;
  /** Bytes of mail that it has sent, over all sessions. */
  readonly sentBytes: () => number;
  readonly connections: () => number;
  readonly stop: () => Promise<void>;
}

export async function startDrippingServer(
  protocol: Protocol,
  mails: readonly Buffer[],
  bytesPerSecond: () => number,
): Promise<DrippingServer> {
  if (protocol === 'POP3') {
    const server = await startScriptedServer({ mails, delivery: { bytesPerSecond } });
    return { ...server, columns: serverColumns(protocol, server.port) };
  }
  let sentBytes = 0;
  let isStopped = false;
  const FETCH: Answer = async ({ args }, wire) => {
    const send = (piece: string | Buffer): void => {
      sentBytes += piece.length;
      wire.send(piece);
    };
    for (const uid of uidsIn(args, mails.length)) {
      const row = Buffer.from(fetchRow(uid, args, mails[uid - 1]), 'latin1');
      await sendSlowly({ ...wire, send }, row, bytesPerSecond, () => isStopped);
    }
    return 'TAG OK done\r\n';
  };
  const server = await startScriptedImapServer({ mails, answers: { FETCH } });
  return {
    columns: serverColumns(protocol, server.port),
    sentBytes: () => sentBytes,
    connections: () => server.connections,
    stop: async () => {
      isStopped = true;
      await server.stop();
    },
  };
}
