/** What the broker does wrong on purpose; every field may be set at any time, and counters run down by themselves. */
export interface BrokerFaults {
  /** What goes wrong with transfers does so for the queue of this name alone. */
  onlyQueue: string | undefined;
  /** `$cbs` answers every token with 401. */
  refuseCredentials: boolean;
  /** `$cbs` takes tokens and never answers; the SDK's `close` then waits for its own minute. */
  silentCredentials: boolean;
  /** The next so many transfers are rejected as `com.microsoft:server-busy` (SDK: ServiceBusy). */
  serverBusyTransfers: number;
  /** Milliseconds between taking a transfer in and telling its sender the outcome. */
  acceptDelayMs: number;
  /**
   * The next so many transfers are stored, and the connection is dropped before their sender is told.
   * Outcomes of earlier transfers that were still to be written are lost with them.
   */
  loseDispositionTransfers: number;
  /** The connection is dropped when this many more transfers have come (1 is the next), before the last is stored. */
  dropOnTransfer: number | undefined;
  /** Links to queues are never answered. */
  silentAttach: boolean;
  /** Transfers are taken in, neither stored nor answered. */
  silentTransfers: boolean;
  /** Transfers are rejected as `amqp:resource-limit-exceeded` (SDK: QuotaExceeded). */
  quotaExceeded: boolean;
  /** Every queue is as if disabled. */
  entityDisabled: boolean;
}

/** A broker that does nothing wrong. */
export function noFaults(): BrokerFaults {
  return {
    onlyQueue: undefined,
    refuseCredentials: false,
    silentCredentials: false,
    serverBusyTransfers: 0,
    acceptDelayMs: 0,
    loseDispositionTransfers: 0,
    dropOnTransfer: undefined,
    silentAttach: false,
    silentTransfers: false,
    quotaExceeded: false,
    entityDisabled: false,
  };
}

/** An AMQP error, as a link or a disposition carries it. */
export interface AmqpCondition {
  readonly condition: string;
  readonly description: string;
}

/** The conditions Service Bus uses, with the SDK's name for each. */
export const conditions = {
  /** MessagingEntityNotFound */
  notFound: (queue: string): AmqpCondition => ({
    condition: 'amqp:not-found',
    description: `The messaging entity '${queue}' could not be found.`,
  }),
  /** MessagingEntityDisabled */
  disabled: (queue: string): AmqpCondition => ({
    condition: 'com.microsoft:entity-disabled',
    description: `The messaging entity '${queue}' is disabled.`,
  }),
  /** UnauthorizedAccess */
  unauthorized: (queue: string): AmqpCondition => ({
    condition: 'amqp:unauthorized-access',
    description: `No valid token for '${queue}' on this connection.`,
  }),
  /** ServiceBusy */
  serverBusy: (): AmqpCondition => ({
    condition: 'com.microsoft:server-busy',
    description: 'The request was terminated because the entity is being throttled.',
  }),
  /** QuotaExceeded */
  quotaExceeded: (queue: string): AmqpCondition => ({
    condition: 'amqp:resource-limit-exceeded',
    description: `The maximum size of '${queue}' has been reached.`,
  }),
  /** MessageSizeExceeded */
  messageSize: (sizeBytes: number, limitBytes: number): AmqpCondition => ({
    condition: 'amqp:link:message-size-exceeded',
    description: `The message of ${sizeBytes} bytes exceeds the limit of ${limitBytes} bytes.`,
  }),
  /** InvalidOperationError */
  sessionMissing: (queue: string): AmqpCondition => ({
    condition: 'amqp:not-allowed',
    description: `'${queue}' requires sessions, and a message has no sessionId.`,
  }),
  /** A receiver without a session on a queue that requires sessions, or the other way round. */
  sessionMismatch: (queue: string): AmqpCondition => ({
    condition: 'amqp:not-allowed',
    description: `The receiver does not fit '${queue}': one of the two uses sessions.`,
  }),
  topicCanNotBeRead: (topic: string): AmqpCondition => ({
    condition: 'amqp:not-allowed',
    description: `'${topic}' is a topic. Messages are received from its subscriptions.`,
  }),
  /** SessionCannotBeLocked */
  sessionLocked: (sessionId: string): AmqpCondition => ({
    condition: 'com.microsoft:session-cannot-be-locked',
    description: `The session '${sessionId}' is locked by another receiver.`,
  }),
  /** SessionLockLost */
  sessionLost: (queue: string): AmqpCondition => ({
    condition: 'com.microsoft:session-lock-lost',
    description: `The lock of a session of '${queue}' has expired.`,
  }),
  /** A link that nothing came or went on for a while; the SDKs open another when they need it. */
  idle: (linkName: string, idleMs: number): AmqpCondition => ({
    condition: 'amqp:link:detach-forced',
    description: `The link '${linkName}' is detached: it was idle for ${idleMs} ms.`,
  }),
  /** ServiceTimeout: no session came free in time. */
  timeout: (): AmqpCondition => ({
    condition: 'com.microsoft:timeout',
    description: 'No session became available in time.',
  }),
  /** MessageLockLost */
  lockLost: (): AmqpCondition => ({
    condition: 'com.microsoft:message-lock-lost',
    description: 'The lock has expired, or the message has been settled already.',
  }),
  /** What Service Bus has and this broker has not. */
  notImplemented: (what: string): AmqpCondition => ({
    condition: 'amqp:not-implemented',
    description: `${what} not implemented.`,
  }),
  malformed: (): AmqpCondition => ({
    condition: 'amqp:decode-error',
    description: 'The message could not be decoded.',
  }),
} as const;
