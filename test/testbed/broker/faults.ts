/** A broker that does nothing wrong. */
export function noFaults() {
  return {
    /** What goes wrong with transfers does so for the queue of this name alone. */
    onlyQueue: undefined as string | undefined,
    /** `$cbs` answers every token with 401. */
    refuseCredentials: false,
    /** `$cbs` takes tokens and never answers; the SDK's `close` then waits for its own minute. */
    silentCredentials: false,
    /** The next so many transfers are rejected as `com.microsoft:server-busy` (SDK: ServiceBusy). */
    serverBusyTransfers: 0,
    /** Milliseconds between taking a transfer in and telling its sender the outcome. */
    acceptDelayMs: 0,
    /**
     * The next so many transfers are stored, and the connection is dropped before their sender is told.
     * Outcomes of earlier transfers that were still to be written are lost with them.
     */
    loseDispositionTransfers: 0,
    /** The connection is dropped when this many more transfers have come (1 is the next), before the last is stored. */
    dropOnTransfer: undefined as number | undefined,
    /** Links to queues are never answered. */
    silentAttach: false,
    /** A link that is opened may send one transfer at a time, and the next one so many milliseconds later. */
    creditDelayMs: 0,
    /** Transfers are taken in, neither stored nor answered. */
    silentTransfers: false,
    /** Transfers are rejected as `amqp:resource-limit-exceeded` (SDK: QuotaExceeded). */
    quotaExceeded: false,
    /** Transfers are rejected as `amqp:internal-error` (SDK: GeneralError). */
    internalErrors: false,
    /** Every queue is as if disabled. */
    entityDisabled: false,
  };
}

/** What the broker does wrong on purpose; every field may be set at any time, and counters run down by themselves. */
export type BrokerFaults = ReturnType<typeof noFaults>;

/** An AMQP error, as a link or a disposition carries it. */
export interface AmqpCondition {
  readonly condition: string;
  readonly description: string;
}

/** The conditions Service Bus uses, with the SDK's name for each. */
export const conditions = {
  /** MessagingEntityNotFound */
  notFound: (queue: string) =>
    amqpError('amqp:not-found', `The messaging entity '${queue}' could not be found.`),
  /** MessagingEntityDisabled */
  disabled: (queue: string) =>
    amqpError('com.microsoft:entity-disabled', `The messaging entity '${queue}' is disabled.`),
  /** UnauthorizedAccess */
  unauthorized: (queue: string) =>
    amqpError('amqp:unauthorized-access', `No valid token for '${queue}' on this connection.`),
  /** ServiceBusy */
  serverBusy: () =>
    amqpError(
      'com.microsoft:server-busy',
      'The request was terminated because the entity is being throttled.',
    ),
  /** QuotaExceeded */
  quotaExceeded: (queue: string) =>
    amqpError('amqp:resource-limit-exceeded', `The maximum size of '${queue}' has been reached.`),
  /** GeneralError: the SDK has no code of its own for it. */
  internalError: () =>
    amqpError('amqp:internal-error', 'The service was unable to process the request; retry the operation.'),
  /** MessageSizeExceeded */
  messageSize: (sizeBytes: number, limitBytes: number) =>
    amqpError(
      'amqp:link:message-size-exceeded',
      `The message of ${sizeBytes} bytes exceeds the limit of ${limitBytes} bytes.`,
    ),
  /** InvalidOperationError */
  sessionMissing: (queue: string) =>
    amqpError('amqp:not-allowed', `'${queue}' requires sessions, and a message has no sessionId.`),
  /** InvalidOperationError */
  batchAcrossPartitions: (queue: string) =>
    amqpError(
      'amqp:not-allowed',
      `Batching messages of more than one SessionId, PartitionKey, or MessageId is not supported for '${queue}', an entity with partitioning and duplicate detection.`,
    ),
  /** A receiver without a session on a queue that requires sessions, or the other way round. */
  sessionMismatch: (queue: string) =>
    amqpError('amqp:not-allowed', `The receiver does not fit '${queue}': one of the two uses sessions.`),
  topicCanNotBeRead: (topic: string) =>
    amqpError('amqp:not-allowed', `'${topic}' is a topic. Messages are received from its subscriptions.`),
  /** SessionCannotBeLocked */
  sessionLocked: (sessionId: string) =>
    amqpError(
      'com.microsoft:session-cannot-be-locked',
      `The session '${sessionId}' is locked by another receiver.`,
    ),
  /** SessionLockLost */
  sessionLost: (queue: string) =>
    amqpError('com.microsoft:session-lock-lost', `The lock of a session of '${queue}' has expired.`),
  /** A link that nothing came or went on for a while; the SDKs open another when they need it. */
  idle: (linkName: string, idleMs: number) =>
    amqpError('amqp:link:detach-forced', `The link '${linkName}' is detached: it was idle for ${idleMs} ms.`),
  /** ServiceTimeout: no session came free in time. */
  timeout: () => amqpError('com.microsoft:timeout', 'No session became available in time.'),
  /** MessageLockLost */
  lockLost: () =>
    amqpError(
      'com.microsoft:message-lock-lost',
      'The lock has expired, or the message has been settled already.',
    ),
  /** What Service Bus has and this broker has not. */
  notImplemented: (what: string) => amqpError('amqp:not-implemented', `${what} not implemented.`),
  malformed: () => amqpError('amqp:decode-error', 'The message could not be decoded.'),
} as const;

function amqpError(condition: string, description: string): AmqpCondition {
  return { condition, description };
}
