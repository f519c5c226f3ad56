import type { EventEmitter } from 'node:events';
import { Socket } from 'node:net';
import type { AmqpError, Connection, Delivery, link, Receiver, Sender, Session } from 'rhea';
import rhea from 'rhea';
import { plain } from './amqpValues.ts';

/** The parts of rhea's objects that its typings leave out and a broker needs. */
interface LinkInternals {
  readonly state: { local_open: boolean; open_requests: number };
  readonly local: {
    readonly attach: {
      max_message_size?: number;
      snd_settle_mode?: number;
      rcv_settle_mode?: number;
      properties?: Record<string, unknown>;
    };
  };
  readonly credit: number;
}

interface TransferFrame {
  readonly performative: { message_format?: number };
}

interface ConnectionInternals
  extends Record<
    'on_detach' | 'on_flow' | 'on_disposition' | 'on_end',
    (frame: { readonly channel: number }) => void
  > {
  readonly remote_channel_map: Readonly<Record<number, unknown>>;
}

/** What a raw message of AMQP's own format (0) is marked with, so that rhea hands it over undecoded. */
export const rawFormat = 0x7261_7700;

function internals(of: link): LinkInternals {
  return of as unknown as LinkInternals;
}

/** Makes rhea hand over messages of format 0 as the bytes that came; it would decode each of them otherwise. */
export function takeMessagesRaw(session: Session): void {
  const inner = session as unknown as { on_transfer(frame: TransferFrame): void };
  const original = inner.on_transfer.bind(session);
  inner.on_transfer = (frame) => {
    if (frame.performative.message_format === 0) frame.performative.message_format = rawFormat;
    original(frame);
  };
}

/**
 * Passes over what comes behind the end of its session, for which rhea drops the connection: the .NET SDK now and then
 * detaches a link there.
 */
export function passOverLateFrames(connection: Connection): void {
  const inner = connection as unknown as ConnectionInternals;
  for (const name of ['on_detach', 'on_flow', 'on_disposition', 'on_end'] as const) {
    const original = inner[name].bind(connection);
    inner[name] = (frame) => {
      if (inner.remote_channel_map[frame.channel] !== undefined) original(frame);
    };
  }
}

/** Leaves the peer's attach unanswered until `answerAttach`; to be called while the link opens. */
export function withholdAttach(of: link): void {
  const { state } = internals(of);
  state.local_open = false;
  state.open_requests = 0;
}

/** Answers an attach that was withheld. */
export function answerAttach(of: link): void {
  of.open();
}

/** Leaves a link that opens the credit for one transfer, and takes over from rhea to grant more: each call grants one. */
export function withholdCredit(of: Receiver): () => void {
  const grant = of.add_credit.bind(of);
  Object.assign(of, { credit: 1, flow: () => {} });
  return () => {
    if (isAlive(of.connection)) grant(1);
  };
}

/** Whether our attach has been written: rhea would write transfers before it. */
export function isAttached(of: link): boolean {
  const { state } = internals(of);
  return state.local_open && state.open_requests === 0;
}

/**
 * Announces the settle modes that the peer asks for (AMQP 1.0, 2.7.3), in the attach that is about to be written. A
 * sender then settles what it sends where the peer wants that.
 */
export function echoSettleMode(of: Sender | Receiver): void {
  const { attach } = internals(of).local;
  if (of.snd_settle_mode !== undefined) attach.snd_settle_mode = of.snd_settle_mode;
  // As a receiver we settle first, whatever the peer would take.
  if (of.is_sender() && of.rcv_settle_mode !== undefined) attach.rcv_settle_mode = of.rcv_settle_mode;
}

/** Announces the link's limit in the attach that is about to be written. */
export function announceMaxMessageSize(of: link, sizeBytes: number): void {
  internals(of).local.attach.max_message_size = sizeBytes;
}

/** Sets the properties of the attach that is about to be written. */
export function announceProperties(of: link, properties: Record<string, unknown>): void {
  internals(of).local.attach.properties = properties;
}

/** How many messages the peer still asks for. */
export function creditOf(sender: Sender): number {
  return internals(sender).credit;
}

/** How many deliveries the session has room for. */
export function roomOf(sender: Sender): number {
  return (sender.session as unknown as { outgoing: { available(): number } }).outgoing.available();
}

/** Writes what senders are told, now: rhea joins an answer that waits with the next one, whatever that says. */
export function writeAnswers({ session }: Receiver): void {
  const { incoming } = session as unknown as { incoming: { process(session: Session): void } };
  incoming.process(session);
}

/** Tells a receiver that its way of settling was carried out. */
export function settleAccepted(delivery: Delivery): void {
  settle(delivery, outcomes.accepted({}));
}

/** Tells a receiver why its way of settling was not carried out. */
export function settleRejected(delivery: Delivery, error: AmqpError): void {
  settle(delivery, outcomes.rejected({ error }));
}

const outcomes = rhea.message as unknown as {
  accepted(fields: object): { described(): unknown };
  rejected(fields: { error: AmqpError }): { described(): unknown };
};

/** The SDK sends no disposition after ours, so rhea would hold the delivery for ever if it weren't told. */
function settle(delivery: Delivery, outcome: { described(): unknown }): void {
  delivery.update(true, outcome.described());
  (delivery as unknown as { remote_settled: boolean }).remote_settled = true;
  // By itself, for the same reason; it is called while rhea goes through what was updated.
  const { outgoing } = delivery.link.session as unknown as {
    outgoing: { updated: unknown[]; process(): void };
  };
  const { updated } = outgoing;
  outgoing.updated = [];
  outgoing.process();
  outgoing.updated = updated;
}

/** The annotations that a receiver gives with `modified`, typed. */
export function annotationsOf(delivery: Delivery): unknown {
  return fieldOf(delivery.remote_state, 2);
}

/** Whether `modified` says that the message is not for this receiver: Service Bus takes that as a deferral. */
export function isUndeliverableHere(delivery: Delivery): boolean {
  return plain(fieldOf(delivery.remote_state, 1)) === true;
}

/** The info map of the error that a receiver gives with `rejected`, typed. */
export function errorInfoOf(delivery: Delivery): unknown {
  return fieldOf(fieldOf(delivery.remote_state, 0), 2);
}

function fieldOf(composite: unknown, index: number): unknown {
  const fields = (composite as { readonly value?: unknown } | undefined)?.value;
  return Array.isArray(fields) ? fields[index] : undefined;
}

/** Calls back for whatever comes on the link. */
export function onTraffic(of: link, used: () => void): void {
  const { observers } = of as unknown as { observers: EventEmitter };
  for (const event of trafficEvents) observers.on(event, used);
}

const trafficEvents = [
  'message',
  'sender_flow',
  'receiver_flow',
  'accepted',
  'released',
  'modified',
  'rejected',
  'settled',
];

/** The socket under a connection. */
export function socketOf(connection: Connection): Socket | undefined {
  const socket: unknown = connection.socket;
  return socket instanceof Socket ? socket : undefined;
}

/** Cuts a connection at once, with whatever was still to be written. The error makes rhea stop its timers. */
export function cut(connection: Connection): void {
  socketOf(connection)?.destroy(new Error('The broker dropped the connection.'));
}

/** Whether the connection can still carry an answer. */
export function isAlive(connection: Connection): boolean {
  const socket = socketOf(connection);
  return socket !== undefined && !socket.destroyed && socket.writable;
}
