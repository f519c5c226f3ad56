/**
 * Takes the messages of the email inbound adapter off a queue, checks them and puts each mail together in a folder:
 * MAILS_FOLDER/{customer}/{connection}/{interchangeId}/part-{n}, beside a part-{n}.json with the properties, and a
 * mail.json once all parts are there. It may be stopped at any time and started again, also several times at once.
 *
 * ServiceBusConnection, PayloadStorageConnection: connection strings. QUEUE_NAME: default email-inbound.
 * MAILS_FOLDER: default mails.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ServiceBusClient, type ServiceBusReceivedMessage } from '@azure/service-bus';
import { BlobServiceClient, RestError } from '@azure/storage-blob';

/** What every message has. The others, such as emailSubject, are absent where the mail has none. */
interface PartProperties {
  readonly customer: string;
  readonly connection: string;
  /** Of one mail: the same for all its parts, and for every repeat of them. */
  readonly interchangeId: string;
  readonly partNumber: number;
  readonly partCount: number;
  readonly inboundFileName: string;
  readonly size: number;
  readonly sha256: string;
  /** `container/blob`, where the bytes did not fit into the message. */
  readonly claimCheck?: string;
}

/** A message that will not get better by trying again. */
class Damaged extends Error {
  readonly reason: string;

  constructor(reason: string, description: string) {
    super(description);
    this.reason = reason;
  }
}

const payloadContainer = 'email-payloads';
const queueName = process.env.QUEUE_NAME ?? 'email-inbound';
const mailsFolder = process.env.MAILS_FOLDER ?? 'mails';
const client = new ServiceBusClient(setting('ServiceBusConnection'));
const payloads = BlobServiceClient.fromConnectionString(setting('PayloadStorageConnection'));
const receiver = client.createReceiver(queueName, {
  // Else a body that happens to be JSON, such as a mail that says "42", comes as a number.
  skipParsingBodyAsJson: true,
  // As long as the largest payload may take.
  maxAutoLockRenewalDurationInMs: 15 * 60_000,
});

const subscription = receiver.subscribe(
  {
    // Returning completes the message; throwing abandons it, and it comes again, ten times by default.
    async processMessage(message) {
      try {
        await takePart(message);
      } catch (error) {
        if (!(error instanceof Damaged)) throw error;
        console.error(`Dead-lettered ${message.messageId}: ${error.message}`);
        const why = { deadLetterReason: error.reason, deadLetterErrorDescription: error.message };
        await receiver.deadLetterMessage(message, why);
      }
    },
    async processError({ error }) {
      console.error(error.message);
    },
  },
  { maxConcurrentCalls: 8 },
);
console.log(`Waiting for messages on ${queueName}.`);

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop());

/** Ends what is in hand; what was not begun stays on the queue. */
async function stop(): Promise<void> {
  await subscription.close();
  await client.close();
}

/** A repeat writes the same files once more. */
async function takePart(message: ServiceBusReceivedMessage): Promise<void> {
  const part = propertiesOf(message);
  const folder = join(mailsFolder, part.customer, part.connection, part.interchangeId);
  await mkdir(folder, { recursive: true });
  const file = join(folder, `part-${part.partNumber}`);
  const draft = `${file}.${randomUUID()}.tmp`;
  try {
    await writeContent(message, part, draft);
    await check(part, draft);
    await rename(draft, file);
  } finally {
    await rm(draft, { force: true });
  }
  const properties = { ...message.applicationProperties, contentType: message.contentType };
  await writeWhole(`${file}.json`, JSON.stringify(properties));
  await takeMailIfWhole(part, folder);
}

function propertiesOf(message: ServiceBusReceivedMessage): PartProperties {
  const properties: Readonly<Record<string, unknown>> = message.applicationProperties ?? {};
  const isName = (name: string) => /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(String(properties[name]));
  const isNumber = (name: string) => Number.isSafeInteger(properties[name]);
  // They become parts of a path, and the queue takes messages from whoever may send to it.
  const isOurs =
    ['customer', 'connection', 'interchangeId', 'sha256'].every(isName) &&
    ['partNumber', 'partCount', 'size'].every(isNumber);
  if (!isOurs) throw new Damaged('NotFromTheAdapter', 'The message lacks a property that every part has.');
  return properties as unknown as PartProperties;
}

/** Never through a string: most attachments, and mails in their own charset, are no UTF-8. */
async function writeContent(
  message: ServiceBusReceivedMessage,
  { claimCheck }: PartProperties,
  file: string,
): Promise<void> {
  if (claimCheck === undefined) {
    await writeFile(file, message.body);
    return;
  }
  const [container = '', ...blob] = claimCheck.split('/');
  if (container !== payloadContainer) throw new Damaged('PayloadElsewhere', `No payload is in ${container}.`);
  try {
    await payloads.getContainerClient(container).getBlobClient(blob.join('/')).downloadToFile(file);
  } catch (error) {
    if (!(error instanceof RestError) || error.statusCode !== 404) throw error;
    throw new Damaged('PayloadMissing', `There is no blob ${claimCheck}.`);
  }
}

async function check({ size, sha256 }: PartProperties, file: string): Promise<void> {
  const { size: found } = await stat(file);
  if (found !== size) throw new Damaged('SizeDiffers', `It has ${found} bytes and says ${size}.`);
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  if (hash.digest('hex') !== sha256) throw new Damaged('Sha256Differs', 'Its SHA-256 is not what it says.');
}

/** Parts may come in any order and at the same time; whoever makes mail.json has the whole mail. */
async function takeMailIfWhole({ partCount }: PartProperties, folder: string): Promise<void> {
  const files = new Set(await readdir(folder));
  const numbers = Array.from({ length: partCount }, (_, index) => index + 1);
  if (!numbers.every((number) => files.has(`part-${number}.json`))) return;
  const parts = await Promise.all(
    numbers.map(async (number): Promise<PartProperties> => {
      return JSON.parse(await readFile(join(folder, `part-${number}.json`), 'utf8'));
    }),
  );
  try {
    await writeFile(join(folder, 'mail.json'), JSON.stringify(parts), { flag: 'wx' });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return;
    throw error;
  }
  // Here the mail is yours: order it, book it, file it.
  const names = parts.map(({ inboundFileName, size }) => `${inboundFileName} (${size} bytes)`);
  console.log(`Mail ${folder}: ${names.join(', ')}`);
}

/** Whoever finds the file finds all of it. */
async function writeWhole(file: string, text: string): Promise<void> {
  const draft = `${file}.${randomUUID()}.tmp`;
  await writeFile(draft, text);
  await rename(draft, file);
}

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`The environment variable ${name} is not set.`);
  return value;
}
