import { DuplicateDetection } from './duplicateDetection.ts';
import { BrokerQueue, type Entity, type QueueOptions } from './queue.ts';
import { ScheduledMessages } from './scheduledMessages.ts';
import { parseSqlFilter } from './sqlFilter.ts';
import { decodeContent, type MessageContent, readRouting } from './wireMessage.ts';

/** Which messages a rule lets through. A correlation filter takes a message that has all that it names. */
export type RuleFilter =
  | { readonly kind: 'true' }
  | { readonly kind: 'false' }
  | { readonly kind: 'sql'; readonly expression: string }
  | ({ readonly kind: 'correlation' } & CorrelationFilter);

/** What a correlation filter may name besides application properties, as Service Bus has them. */
const systemFields = [
  'correlationId',
  'messageId',
  'to',
  'replyTo',
  'subject',
  'sessionId',
  'replyToSessionId',
  'contentType',
] as const;

/** All that it names must be equal. */
export interface CorrelationFilter extends Partial<Pick<MessageContent, (typeof systemFields)[number]>> {
  readonly applicationProperties?: MessageContent['applicationProperties'];
}

export interface Rule {
  readonly name: string;
  readonly filter: RuleFilter;
}

/** Without `rules` it has the one that Service Bus gives it, `$Default`, which takes everything. */
export interface SubscriptionOptions extends Omit<QueueOptions, 'duplicateDetectionWindowMs'> {
  readonly rules?: readonly Rule[];
}

export interface TopicOptions {
  readonly name: string;
  readonly duplicateDetectionWindowMs?: number;
  readonly subscriptions: readonly SubscriptionOptions[];
}

/** A queue that a topic puts copies on, by rules. */
export class Subscription extends BrokerQueue {
  readonly #rules = new Map<string, Rule & { matches(message: MessageContent): boolean }>();

  /** `topicName` becomes a part of its name, as in its address. Throws an `Error` on a filter that can't be read. */
  constructor(topicName: string, { rules, ...options }: SubscriptionOptions) {
    super({ ...options, name: `${topicName}/Subscriptions/${options.name}` });
    for (const rule of rules ?? [{ name: '$Default', filter: { kind: 'true' } }]) this.addRule(rule);
  }

  get rules(): readonly Rule[] {
    return [...this.#rules.values()].map(({ name, filter }) => ({ name, filter }));
  }

  /** Answers false when there is one of that name. Throws an `Error` on a filter that can't be read. */
  addRule(rule: Rule): boolean {
    if (this.#rules.has(rule.name)) return false;
    this.#rules.set(rule.name, { ...rule, matches: matcherOf(rule.filter) });
    return true;
  }

  /** Answers false when there is none of that name. */
  removeRule(name: string): boolean {
    return this.#rules.delete(name);
  }

  wants(message: MessageContent): boolean {
    return [...this.#rules.values()].some((rule) => rule.matches(message));
  }
}

/** A Service Bus topic: what comes goes on each subscription with a rule that takes it. */
export class Topic implements Entity {
  readonly name: string;
  readonly maxMessageSizeBytes = 262_144;
  readonly subscriptions: readonly Subscription[];
  disabled = false;
  transfers = 0;
  readonly #seen: DuplicateDetection;
  readonly #scheduled = new ScheduledMessages(({ raw }) => this.#distribute(raw, Date.now()));
  #nextSequenceNumber = 1;

  constructor(options: TopicOptions) {
    this.name = options.name;
    this.subscriptions = options.subscriptions.map(
      (subscription) => new Subscription(options.name, subscription),
    );
    this.#seen = new DuplicateDetection(options.duplicateDetectionWindowMs);
  }

  offer(encoded: readonly Buffer[], nowMs: number): readonly number[] {
    const arrivals = encoded.map((raw) => ({ raw, routing: readRouting(raw) }));
    return arrivals.map(({ raw, routing }) => {
      if (this.#seen.isRepeat(routing.messageId, nowMs)) return 0;
      const sequenceNumber = this.#nextSequenceNumber++;
      const dueMs = routing.scheduledFor?.getTime() ?? nowMs;
      if (dueMs > nowMs) this.#scheduled.add({ sequenceNumber, raw, dueMs });
      else this.#distribute(raw, nowMs);
      return sequenceNumber;
    });
  }

  cancelScheduled(sequenceNumbers: readonly number[]): boolean {
    return this.#scheduled.cancel(sequenceNumbers);
  }

  /** A subscription that can't take its copy has it among its dead letters; the others are none the wiser. */
  #distribute(raw: Buffer, nowMs: number): void {
    const message = decodeContent(raw);
    for (const subscription of this.subscriptions) {
      if (!subscription.wants(message)) continue;
      const refusal = subscription.offer([raw], nowMs);
      if ('condition' in refusal) subscription.offerDead(raw, nowMs, refusal.condition, refusal.description);
    }
  }
}

function matcherOf(filter: RuleFilter): (message: MessageContent) => boolean {
  switch (filter.kind) {
    case 'true':
      return () => true;
    case 'false':
      return () => false;
    case 'sql':
      return parseSqlFilter(filter.expression);
    case 'correlation':
      return (message) => correlates(filter, message);
  }
}

function correlates(
  { applicationProperties = {}, ...fields }: CorrelationFilter,
  message: MessageContent,
): boolean {
  return (
    systemFields.every((name) => fields[name] === undefined || fields[name] === message[name]) &&
    Object.entries(applicationProperties).every(
      ([name, value]) => message.applicationProperties[name] === value,
    )
  );
}
