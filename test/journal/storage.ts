import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ContainerClient } from '@azure/storage-blob';
import type { JournalPart, MailLine } from '../../shared/journal/lines.ts';
import { openContainer } from '../../shared/storage/blobs.ts';
import type { Azurite } from '../testbed/azurite.ts';

/** What becomes of a request on its way to storage. */
export type Treatment =
  | 'pass'
  /** Storage does it, and the answer never comes. */
  | 'lose the answer'
  /** Never answered, never done. */
  | 'silence'
  | { readonly status: number; readonly code: string };

/** A journal's container of its own, reached through a relay that counts requests and makes faults. */
export interface JournalStorage {
  readonly container: () => Promise<ContainerClient>;
  /** `PUT comp=appendblock day/customer/file` and so on, in order. */
  readonly requests: string[];
  treat: (request: string) => Treatment | Promise<Treatment>;
  /** The lines of a file, parsed. */
  lines(name: string): Promise<Record<string, unknown>[]>;
  names(): Promise<string[]>;
  stop(): Promise<void>;
}

export async function openJournalStorage(azurite: Azurite): Promise<JournalStorage> {
  const requests: string[] = [];
  const storage: Pick<JournalStorage, 'treat'> = { treat: () => 'pass' };
  const relay = await startRelay(azurite.blobPort, requests, (line) => storage.treat(line));
  const { port } = relay.address() as AddressInfo;
  const connectionString = azurite.connectionString.replace(`:${azurite.blobPort}/`, `:${port}/`);
  const name = `journal-${randomUUID().slice(0, 13)}`;
  const open = async (text: string): Promise<ContainerClient> =>
    await openContainer({ kind: 'connectionString', connectionString: text }, name, () =>
      Promise.reject(new Error('No identity here.')),
    );
  const relayed = open(connectionString);
  const direct = await open(azurite.connectionString);
  return Object.assign(storage, {
    container: () => relayed,
    requests,
    lines: async (file: string) => {
      const text = (await direct.getBlobClient(file).downloadToBuffer()).toString('utf8');
      assert.ok(text.endsWith('\n'));
      return text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    },
    names: async () => {
      const names: string[] = [];
      for await (const blob of direct.listBlobsFlat()) names.push(blob.name);
      return names;
    },
    stop: () =>
      new Promise<void>((resolve) => {
        relay.closeAllConnections();
        relay.close(() => resolve());
      }),
  });
}

async function startRelay(port: number, requests: string[], treat: JournalStorage['treat']): Promise<Server> {
  const server = createServer(async (incoming, outgoing) => {
    // A client that was aborted, or a relay that is closed: the request is over, and that is all.
    incoming.on('error', () => undefined);
    outgoing.on('error', () => undefined);
    const url = new URL(incoming.url ?? '', 'http://relay');
    const path = url.pathname.split('/').slice(3).map(decodeURIComponent).join('/');
    const line = `${incoming.method} ${url.searchParams.get('comp') ?? ''} ${path}`;
    requests.push(line);
    const treatment = await treat(line);
    if (treatment === 'silence') {
      incoming.resume();
      return;
    }
    if (typeof treatment === 'object') {
      incoming.resume();
      outgoing.writeHead(treatment.status, { 'content-type': 'application/xml' });
      outgoing.end(`<?xml version="1.0"?><Error><Code>${treatment.code}</Code></Error>`);
      return;
    }
    const { headers, method, url: path_ } = incoming;
    const onward = request({ port, host: '127.0.0.1', method, path: path_, headers }, (answer) => {
      answer.on('error', () => outgoing.destroy());
      if (treatment === 'lose the answer') {
        answer.resume();
        answer.once('end', () => outgoing.destroy());
        return;
      }
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

export function part(partNumber: number, change: Partial<JournalPart> = {}): JournalPart {
  return {
    partNumber,
    messageId: `${partNumber}`.padStart(64, '0'),
    partKind: partNumber === 1 ? 'body' : 'attachment',
    inboundFileName: partNumber === 1 ? 'body.txt' : `invoice-${partNumber}.pdf`,
    contentType: partNumber === 1 ? 'text/plain; charset=utf-8' : 'application/pdf; name="invoice.pdf"',
    size: 1_000 * partNumber,
    sha256: 'a'.repeat(64),
    ...change,
  };
}

/** A delivered mail with a body and an attachment. */
export function mailLine(change: Partial<MailLine> = {}): MailLine {
  const line: MailLine = {
    at: new Date('2026-11-26T09:00:00.000Z'),
    interchangeId: randomUUID(),
    outcome: 'delivered',
    emailMessageId: '<17@example.com>',
    emailSubject: 'Order 17 – Ümlaut',
    emailFrom: 'Anna <anna@example.com>',
    emailTo: 'orders@acme.example',
    emailDate: '2026-11-26T08:59:00.000Z',
    receivedAt: new Date('2026-11-26T08:59:30.000Z'),
    sizeBytes: 12_345,
    queueName: 'inbound',
    parts: [part(1), part(2)],
  };
  return Object.assign(line, change);
}
