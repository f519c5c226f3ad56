// Sends one message to queue `orders` by the app's own destinations, over WebSockets.
import { createDestinations } from '../../shared/destination/destinations.ts';

const connectionString = process.env.ServiceBusConnection ?? '';
const destinations = createDestinations(
  { kind: 'connectionString', connectionString, transport: 'webSockets' },
  {
    getCredential: () => Promise.reject(new Error('A connection string needs no credential.')),
    maxMessageBytes: 1_000_000,
  },
);
const sender = await destinations.open('orders');
const message = {
  messageId: '1',
  correlationId: '2',
  subject: 'body',
  contentType: 'text/plain',
  applicationProperties: { partNumber: 1 },
  body: Buffer.from('through the proxy'),
} as const;
await sender.send(message, { mayWrite: () => true });
await destinations.close();
