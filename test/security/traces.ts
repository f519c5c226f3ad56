import { TableClient, TableServiceClient } from '@azure/data-tables';
import { BlobServiceClient } from '@azure/storage-blob';
import { QueueServiceClient } from '@azure/storage-queue';
import { isConfigColumn } from '../../shared/connection/columns.ts';

/** Something that the app wrote, and where. */
export interface Trace {
  readonly where: string;
  readonly text: string;
}

/** All that is in a storage account, but for what the operator wrote into `EmailConnections`. */
export async function storageTraces(connectionString: string): Promise<Trace[]> {
  const found = await Promise.all([
    tableTraces(connectionString),
    blobTraces(connectionString),
    queueTraces(connectionString),
  ]);
  return found.flat();
}

async function tableTraces(connectionString: string): Promise<Trace[]> {
  const options = { allowInsecureConnection: true };
  const traces: Trace[] = [];
  for await (const { name } of TableServiceClient.fromConnectionString(
    connectionString,
    options,
  ).listTables()) {
    if (name === undefined) continue;
    const table = TableClient.fromConnectionString(connectionString, name, options);
    for await (const entity of table.listEntities<Record<string, unknown>>()) {
      for (const [column, value] of Object.entries(entity)) {
        if (name === 'EmailConnections' && isConfigColumn(column)) continue;
        const text = value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : String(value);
        traces.push({ where: `table ${name}, column ${column}`, text });
      }
    }
  }
  return traces;
}

async function blobTraces(connectionString: string): Promise<Trace[]> {
  const service = BlobServiceClient.fromConnectionString(connectionString);
  const traces: Trace[] = [];
  for await (const { name } of service.listContainers()) {
    const container = service.getContainerClient(name);
    for await (const blob of container.listBlobsFlat({ includeMetadata: true })) {
      const content = await container.getBlobClient(blob.name).downloadToBuffer();
      const where = `container ${name}, ${/[^/]*$/.exec(blob.name)?.[0]}`;
      traces.push({ where: `${where}, head`, text: JSON.stringify(blob) });
      traces.push({ where, text: content.toString('latin1') });
    }
  }
  return traces;
}

async function queueTraces(connectionString: string): Promise<Trace[]> {
  const service = QueueServiceClient.fromConnectionString(connectionString);
  const traces: Trace[] = [];
  for await (const { name } of service.listQueues()) {
    const { peekedMessageItems } = await service.getQueueClient(name).peekMessages({ numberOfMessages: 32 });
    for (const { messageText } of peekedMessageItems) {
      traces.push({ where: `queue ${name}`, text: Buffer.from(messageText, 'base64').toString() });
      traces.push({ where: `queue ${name}`, text: messageText });
    }
  }
  return traces;
}

/** The traces that hold the text in any form in which it could slip out. */
export function tracesOf(secret: string, traces: readonly Trace[]): string[] {
  const forms = formsOf(secret);
  return traces
    .filter(({ text }) => forms.some((form) => text.includes(form)))
    .map(({ where, text }) => `${where}: ${text.slice(0, 300)}`);
}

function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  // In base64 of a longer text it looks different at each of three positions.
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(shift === 0 ? 0 : 4)
      .replace(/.{0,3}=*$/, ''),
  );
  return [
    ...[secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), bytes.toString('hex')],
    ...base64,
    ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
  ].filter((form) => form.length >= 8);
}
