/**
 * A Functions app that takes the messages of the email inbound adapter off a queue and checks them. Each part comes
 * by itself; put a mail's parts together by interchangeId in a store of yours.
 *
 * App settings: ServiceBusConnection, PayloadStorageConnection, QUEUE_NAME.
 */
import { createHash } from 'node:crypto';
import { app, type InvocationContext, trigger } from '@azure/functions';
import { BlobServiceClient } from '@azure/storage-blob';

interface PartProperties {
  readonly customer: string;
  readonly connection: string;
  readonly interchangeId: string;
  readonly partNumber: number;
  readonly partCount: number;
  readonly inboundFileName: string;
  readonly size: number;
  readonly sha256: string;
  readonly claimCheck?: string;
}

const payloadContainer = 'email-payloads';

app.generic('consumeMails', {
  trigger: trigger.generic({
    type: 'serviceBusTrigger',
    connection: 'ServiceBusConnection',
    queueName: '%QUEUE_NAME%',
    // Bytes. As a string, which is the default, every body that is no UTF-8 would be damaged.
    dataType: 'binary',
  }),
  handler: consumeMails,
});

/** Throwing abandons the message; after the queue's maxDeliveryCount it is a dead letter. */
async function consumeMails(body: unknown, context: InvocationContext): Promise<void> {
  const part = context.triggerMetadata?.applicationProperties as PartProperties | undefined;
  if (!Buffer.isBuffer(body) || part?.sha256 === undefined) {
    throw new Error('The message is none of the email inbound adapter, or is not bound as bytes.');
  }
  const bytes = part.claimCheck === undefined ? body : await readPayload(part.claimCheck);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (bytes.length !== part.size || sha256 !== part.sha256) {
    throw new Error(`Part ${part.partNumber} of ${part.interchangeId} is damaged.`);
  }
  // Here the part is yours.
  context.log(
    `${part.customer}/${part.connection} ${part.interchangeId}: part ${part.partNumber} of ${part.partCount}, ${part.inboundFileName}, ${bytes.length} bytes`,
  );
}

async function readPayload(claimCheck: string): Promise<Buffer> {
  const [container = '', ...blob] = claimCheck.split('/');
  if (container !== payloadContainer) throw new Error(`No payload is in ${container}.`);
  const storage = BlobServiceClient.fromConnectionString(process.env.PayloadStorageConnection ?? '');
  return await storage.getContainerClient(container).getBlobClient(blob.join('/')).downloadToBuffer();
}
