import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { ContainerClient } from '@azure/storage-blob';
import type { JournalPart, MailLine } from '../../shared/journal/lines.ts';
import { openContainer } from '../../shared/storage/blobs.ts';
import { accessTo, blobNames, noCredential } from '../destination/support.ts';
import type { Azurite } from '../testbed/azurite.ts';
import { startStorageProxy, throughProxies } from '../testbed/storageProxy.ts';

export type JournalStorage = Awaited<ReturnType<typeof openJournalStorage>>;

/** A journal's container of its own, reached through a proxy that makes faults. */
export async function openJournalStorage(azurite: Azurite) {
  const proxy = await startStorageProxy(azurite.blobPort);
  const name = `journal-${randomUUID().slice(0, 13)}`;
  const open = async (connectionString: string): Promise<ContainerClient> =>
    await openContainer(accessTo(connectionString), name, noCredential);
  const proxied = open(throughProxies(azurite.connectionString, [[azurite.blobPort, proxy.port]]));
  const direct = await open(azurite.connectionString);
  return Object.assign(proxy, {
    container: () => proxied,
    /** The lines of a file, parsed. */
    lines: async (file: string) => {
      const text = (await direct.getBlobClient(file).downloadToBuffer()).toString('utf8');
      assert.ok(text.endsWith('\n'));
      const lines = text.trimEnd().split('\n');
      return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    },
    names: () => blobNames(direct),
  });
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
