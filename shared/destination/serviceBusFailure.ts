import { Failure, type FailureReason } from '../failure/failure.ts';
import { IdentityFailure } from '../storage/storageFailure.ts';
import { MessageRefused, MessageTooLarge } from './destination.ts';

/** Where a message was to go; what every sentence names. */
export interface QueueName {
  readonly queueName: string;
  /** The namespace's host. */
  readonly namespace: string;
}

/** What an error of the SDK means for the retry. */
export interface DeliveryProblem {
  /** `retry`: on the same link; `reconnect`: on a new one; `no`: it would only be refused again. */
  readonly retry: 'no' | 'retry' | 'reconnect';
  /** Whether one message is at fault, so that its neighbours in a batch may pass, or any batch, or all that is sent there. */
  readonly scope: 'message' | 'batch' | 'queue';
  readonly failure: Failure;
}

/** The link is no longer open; the SDK does not say so to those who wait for an answer on it. */
export class LinkLost extends Error {
  override readonly message = 'The link is no longer open.';
  readonly code = 'ServiceCommunicationProblem';
}

/** Our own deadline has passed; the SDK's own time-out has the code ServiceTimeout. */
export class TryTimedOut extends Error {
  override readonly message = 'No answer in time.';
  readonly code = 'ServiceTimeout';
}

interface Rule extends Omit<DeliveryProblem, 'failure'> {
  readonly reason: FailureReason;
  sentence(queue: QueueName, code: string): string;
}

/** Set up otherwise than the app needs it. */
const misconfigured = { retry: 'no', scope: 'queue', reason: 'queue' } as const;
/** Whatever else is sent there. */
const unfit = { retry: 'no', scope: 'message', reason: 'delivery' } as const;
/** It may come back by itself. */
const away = { retry: 'reconnect', scope: 'queue', reason: 'delivery' } as const;

const inNamespace = ({ queueName, namespace }: QueueName) =>
  `Service Bus queue ${queueName} in namespace ${namespace}`;

const rules = {
  missing: {
    ...misconfigured,
    sentence: ({ queueName, namespace }) =>
      `Service Bus queue ${queueName} doesn't exist in namespace ${namespace}. Create it or correct queueName.`,
  },
  unauthorized: {
    ...misconfigured,
    sentence: (queue) =>
      `${inNamespace(queue)} refused access. Check the key in ServiceBusConnection, or give the app's identity the role Azure Service Bus Data Sender.`,
  },
  disabled: {
    ...misconfigured,
    sentence: (queue) => `${inNamespace(queue)} is disabled for sending. Set its status to Active.`,
  },
  quota: {
    retry: 'no',
    scope: 'queue',
    reason: 'delivery',
    sentence: (queue) =>
      `${inNamespace(queue)} is full (QuotaExceeded). Let its consumers catch up or raise its maximum size.`,
  },
  links: {
    ...away,
    sentence: (queue) =>
      `${inNamespace(queue)} takes no further link (QuotaExceeded). Look who else holds links to it; the app tries again by itself.`,
  },
  connections: {
    ...away,
    sentence: ({ namespace }) =>
      `Service Bus namespace ${namespace} takes no further connection (QuotaExceeded). Look who else is connected, or lower the app's maximum number of instances; the app tries again by itself.`,
  },
  firewall: {
    ...misconfigured,
    sentence: ({ namespace }) =>
      `Service Bus namespace ${namespace} refuses the app's IP address. Let its outbound addresses through the namespace's firewall (Networking), or connect the app to its virtual network.`,
  },
  'too-large': {
    ...unfit,
    sentence: (queue) =>
      `${inNamespace(queue)} refused a message as too large. Set EMAIL_MAX_MESSAGE_BYTES to what the queue takes.`,
  },
  'no-batches': {
    retry: 'no',
    scope: 'batch',
    reason: 'delivery',
    sentence: (queue) =>
      `${inNamespace(queue)} took no message, for its partitions and duplicate detection. Make it without partitioning.`,
  },
  'session-missing': {
    ...unfit,
    reason: 'queue',
    sentence: (queue) =>
      `${inNamespace(queue)} requires sessions and got a message without one. Set the connection's sessions to connection or mail.`,
  },
  throttled: {
    retry: 'retry',
    scope: 'queue',
    reason: 'delivery',
    sentence: (queue, code) =>
      `${inNamespace(queue)} is throttling (${code}). Raise the namespace's tier or its messaging units, or poll less at once.`,
  },
  timeout: {
    ...away,
    sentence: (queue) =>
      `${inNamespace(queue)} did not answer in time. Check the namespace's health and the network; the app tries again by itself.`,
  },
  'unknown-host': {
    ...away,
    sentence: ({ namespace }, code) =>
      `Service Bus namespace ${namespace} was not found in DNS (${code}). Check ServiceBusConnection.`,
  },
  refused: {
    ...away,
    sentence: ({ namespace }, code) =>
      `Service Bus namespace ${namespace} refused the connection (${code}). Check ServiceBusConnection and the network.`,
  },
  lost: {
    ...away,
    sentence: (queue, code) =>
      `The connection to ${inNamespace(queue)} was lost (${code}). Check the network; the app tries again by itself.`,
  },
  unfit: {
    ...unfit,
    sentence: (queue, code) => `A message for ${inNamespace(queue)} could not be built (${code}).`,
  },
  unexpected: {
    retry: 'retry',
    scope: 'message',
    reason: 'delivery',
    sentence: (queue, code) => `${inNamespace(queue)} took no message (${code}).`,
  },
} satisfies Record<string, Rule>;

type Kind = keyof typeof rules;

const kindByCode: Readonly<Record<string, Kind>> = {
  MessagingEntityNotFound: 'missing',
  UnauthorizedAccess: 'unauthorized',
  MessagingEntityDisabled: 'disabled',
  QuotaExceeded: 'quota',
  MessageSizeExceeded: 'too-large',
  ServiceBusy: 'throttled',
  // The service grants the link no credit.
  SenderBusyError: 'throttled',
  ServiceTimeout: 'timeout',
  OperationTimeoutError: 'timeout',
  ETIMEDOUT: 'timeout',
  ENOTFOUND: 'unknown-host',
  EAI_AGAIN: 'unknown-host',
  ECONNREFUSED: 'refused',
  ServiceCommunicationProblem: 'lost',
  AbortError: 'lost',
  ECONNRESET: 'lost',
  EPIPE: 'lost',
  EHOSTUNREACH: 'lost',
  ENETUNREACH: 'lost',
};

/** Says what an error of the SDK means. The sentence never quotes the error's own text. */
export function toDeliveryProblem(error: unknown, queue: QueueName): DeliveryProblem {
  if (error instanceof IdentityFailure) {
    const sentence = `Service Bus namespace ${queue.namespace} could not be used. ${error.message}`;
    return { retry: 'reconnect', scope: 'queue', failure: new Failure('token', sentence, error) };
  }
  if (error instanceof Failure) return { retry: 'no', scope: 'queue', failure: error };
  const cause = lastOf(error);
  const code = socketCodeOf(cause) ?? codeOf(cause);
  const kind = refine(kindByCode[code] ?? kindOf(cause), cause);
  const { retry, scope, reason, sentence }: Rule = rules[kind];
  const isRefusal = scope === 'message' && retry === 'no';
  const Kind = kind === 'too-large' ? MessageTooLarge : isRefusal ? MessageRefused : Failure;
  return { retry, scope, failure: new Kind(reason, sentence(queue, code), error) };
}

/** The SDK passes a socket's error on as text, under codes of its own. */
function socketCodeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  return /\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EPIPE)\b/.exec(
    error.message,
  )?.[0];
}

/** One code stands for several things, which only the service's own text tells apart. */
function refine(kind: Kind, error: unknown): Kind {
  // Not the queue's own name, which may be `links`.
  const text = error instanceof Error ? error.message.replaceAll(/'[^']*'|"[^"]*"/g, '') : '';
  if (kind === 'quota') {
    if (/\bhandles?\b|\blinks?\b|concurrent (senders|receivers)/i.test(text)) return 'links';
    if (/connections?\s*quota|concurrent connections|number of connections/i.test(text)) return 'connections';
  }
  if (
    kind === 'unauthorized' &&
    /\bip\b.{0,40}\b(prevented|denied|blocked)|public network access/i.test(text)
  ) {
    return 'firewall';
  }
  return kind;
}

function kindOf(error: unknown): Kind {
  if (!(error instanceof Error)) return 'unexpected';
  // What the SDK finds wrong with a message by itself has no code.
  const isFromWire = 'code' in error || error.name === 'MessagingError' || error.name === 'ServiceBusError';
  if (!isFromWire) return 'unfit';
  // What follows has no code of its own: a batch for several partitions of a queue with duplicate detection, ...
  if (/\bbatch.*\bpartition/i.test(error.message)) return 'no-batches';
  // ... and a message without a session on a queue that requires one.
  return /sessionId/i.test(error.message) ? 'session-missing' : 'unexpected';
}

/** After its last try the SDK throws an AggregateError without a text. */
function lastOf(error: unknown): unknown {
  return error instanceof AggregateError ? lastOf(error.errors.at(-1)) : error;
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  // The SDK's code for all that it has none for; it puts the name in front of the text.
  return (code === 'GeneralError' && /^(\w+Error): /.exec(error.message)?.[1]) || code;
}
