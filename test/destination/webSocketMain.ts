// Sends one message to queue `orders` by the app's own destinations, over WebSockets.
import { createDestinations } from '../../shared/destination/destinations.ts';
import { mayWrite, messageOf, noCredential } from './support.ts';

const connectionString = process.env.ServiceBusConnection ?? '';
const destinations = createDestinations(
  { kind: 'connectionString', connectionString, transport: 'webSockets' },
  { getCredential: noCredential, maxMessageBytes: 1_000_000 },
);
const sender = await destinations.open('orders');
await sender.send(messageOf(Buffer.from('through the proxy')), mayWrite);
await destinations.close();
