import type { Typed } from 'rhea';
import {
  describedList,
  entriesOf,
  entryOf,
  int,
  longArray,
  plain,
  type TypedEntries,
  text,
  timestamp,
  timestampArray,
  uuid,
} from './amqpValues.ts';
import { conditions } from './faults.ts';
import type { LockedMessage } from './messageLocks.ts';
import { stamps } from './outlet.ts';
import { BrokerQueue, type Entity, type StoredMessage } from './queue.ts';
import type { ServiceAnswer, ServiceRequest } from './requests.ts';
import { type CorrelationFilter, type Rule, type RuleFilter, Subscription } from './topic.ts';
import { encodeForDelivery, isRecord } from './wireMessage.ts';

type Body = Readonly<Record<string, unknown>>;

/**
 * The `$management` node of a queue, topic or subscription, as Service Bus documents it:
 * https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response
 * What it doesn't know is answered with 501, as the service does.
 */
export function manage(entity: Entity, request: ServiceRequest): ServiceAnswer {
  const body = isRecord(request.body) ? request.body : {};
  const answer =
    manageSending(entity, request, body) ??
    (entity instanceof BrokerQueue ? manageQueue(entity, request, body) : undefined) ??
    (entity instanceof BrokerQueue ? manageSessions(entity, request, body) : undefined) ??
    (entity instanceof Subscription ? manageRules(entity, request, body) : undefined);
  const operation = String(request.operation);
  return answer ?? failure(501, 'amqp:not-implemented', `The operation '${operation}' is not implemented.`);
}

function manageSending(entity: Entity, request: ServiceRequest, body: Body): ServiceAnswer | undefined {
  switch (request.operation) {
    case 'com.microsoft:schedule-message': {
      const messages = recordsIn(body.messages).map(({ message }) => message);
      const taken = entity.offer(messages.filter(Buffer.isBuffer), Date.now());
      return 'condition' in taken
        ? failure(400, taken.condition, taken.description)
        : success({ 'sequence-numbers': longArray(taken) });
    }
    case 'com.microsoft:cancel-scheduled-message':
      return entity.cancelScheduled(numbersIn(body['sequence-numbers'])) ? success() : messageNotFound();
    default:
      return undefined;
  }
}

function manageQueue(queue: BrokerQueue, request: ServiceRequest, body: Body): ServiceAnswer | undefined {
  switch (request.operation) {
    case 'com.microsoft:renew-lock':
      return renewLocks(queue, body);
    case 'com.microsoft:peek-message':
      return peek(queue, body);
    case 'com.microsoft:receive-by-sequence-number':
      return receiveDeferred(queue, body);
    case 'com.microsoft:update-disposition':
      return settle(queue, body, entriesOf(request.typed('properties-to-modify')));
    default:
      return undefined;
  }
}

function renewLocks(queue: BrokerQueue, body: Body): ServiceAnswer {
  const expirations: Date[] = [];
  for (const tag of tagsIn(body)) {
    const until = queue.renewLock(tag, Date.now());
    if (until === undefined) return lockLost();
    expirations.push(until);
  }
  return success({ expirations: timestampArray(expirations) });
}

function peek(queue: BrokerQueue, body: Body): ServiceAnswer {
  const from = Number(body['from-sequence-number']);
  const found = queue.peek(from, Number(body['message-count']), sessionIn(body));
  if (found.length === 0) return { status: 204, description: 'No content' };
  return success({ messages: found.map((message) => ({ message: encode(message) })) });
}

function receiveDeferred(queue: BrokerQueue, body: Body): ServiceAnswer {
  const numbers = numbersIn(body['sequence-numbers']);
  if (body['receiver-settle-mode'] === 0) {
    const taken = queue.takeDeferred(numbers);
    if (taken === undefined) return messageNotFound();
    return success({ messages: taken.map((message) => ({ message: encode(message) })) });
  }
  const locked = queue.lockDeferred(numbers, Date.now());
  if (locked === undefined) return messageNotFound();
  return success({
    messages: locked.map((lock) => ({
      message: encode(lock.message, lock),
      'lock-token': uuid(flipGuid(lock.tag)),
    })),
  });
}

function settle(queue: BrokerQueue, body: Body, properties: TypedEntries): ServiceAnswer {
  for (const tag of tagsIn(body)) {
    if (!settleOne(queue, tag, body, properties)) return lockLost();
  }
  return success();
}

function settleOne(queue: BrokerQueue, tag: Buffer, body: Body, properties: TypedEntries): boolean {
  switch (body['disposition-status']) {
    case 'completed':
      return queue.complete(tag);
    case 'abandoned':
      return queue.abandon(tag, properties);
    case 'defered':
      return queue.defer(tag, properties);
    case 'suspended': {
      const why: TypedEntries = [
        ...named('DeadLetterReason', body['deadletter-reason']),
        ...named('DeadLetterErrorDescription', body['deadletter-description']),
      ];
      return queue.deadLetter(tag, [...properties, ...why]);
    }
    default:
      return false;
  }
}

function manageSessions(queue: BrokerQueue, request: ServiceRequest, body: Body): ServiceAnswer | undefined {
  const sessionId = sessionIn(body) ?? '';
  switch (request.operation) {
    case 'com.microsoft:renew-session-lock': {
      const until = queue.renewSession(sessionId, Date.now());
      return until === undefined ? sessionLost() : success({ expiration: timestamp(until) });
    }
    case 'com.microsoft:get-session-state':
      if (!queue.isSessionLocked(sessionId)) return sessionLost();
      return success({ 'session-state': queue.sessionState(sessionId) });
    case 'com.microsoft:set-session-state': {
      if (!queue.isSessionLocked(sessionId)) return sessionLost();
      const state = body['session-state'];
      queue.setSessionState(sessionId, Buffer.isBuffer(state) ? state : undefined);
      return success();
    }
    default:
      return undefined;
  }
}

function manageRules(
  subscription: Subscription,
  request: ServiceRequest,
  body: Body,
): ServiceAnswer | undefined {
  const name = String(body['rule-name']);
  switch (request.operation) {
    case 'com.microsoft:add-rule':
      return addRule(subscription, name, body['rule-description'], request);
    case 'com.microsoft:remove-rule': {
      if (subscription.removeRule(name)) return success();
      const { condition, description } = conditions.notFound(`${subscription.name}/Rules/${name}`);
      return failure(404, condition, description);
    }
    case 'com.microsoft:enumerate-rules': {
      const skip = Number(body.skip ?? 0);
      const rules = subscription.rules.slice(skip, skip + Number(body.top ?? Infinity));
      if (rules.length === 0) return { status: 204, description: 'No content' };
      return success({
        rules: rules.map((rule) => ({ 'rule-name': rule.name, 'rule-description': describeRule(rule) })),
      });
    }
    default:
      return undefined;
  }
}

function addRule(
  subscription: Subscription,
  name: string,
  description: unknown,
  request: ServiceRequest,
): ServiceAnswer {
  const fields = isRecord(description) ? description : {};
  const action = fields['sql-rule-action'];
  if (isRecord(action) && typeof action.expression === 'string' && action.expression !== '') {
    return failure(
      501,
      'amqp:not-implemented',
      `Actions of rules are not implemented: '${action.expression}'.`,
    );
  }
  const filter = filterIn(fields, request);
  if (filter === undefined) return failure(400, 'amqp:invalid-field', 'The rule has no filter.');
  try {
    return subscription.addRule({ name, filter })
      ? success()
      : failure(409, 'com.microsoft:entity-already-exists', `There is a rule '${name}' already.`);
  } catch (error) {
    return failure(400, 'amqp:invalid-field', error instanceof Error ? error.message : String(error));
  }
}

function filterIn(fields: Body, request: ServiceRequest): RuleFilter | undefined {
  const sql = fields['sql-filter'];
  if (isRecord(sql)) return { kind: 'sql', expression: String(sql.expression) };
  const correlation = fields['correlation-filter'];
  if (!isRecord(correlation)) return undefined;
  const given = Object.entries(correlationFields).flatMap(([wire, field]) => {
    const value = correlation[wire];
    return value === undefined || value === null ? [] : [[field, value] as const];
  });
  const filter = entryOf(request.typed('rule-description'), 'correlation-filter');
  const properties = entriesOf(entryOf(filter, 'properties'));
  return {
    kind: 'correlation',
    ...(Object.fromEntries(given) as CorrelationFilter),
    applicationProperties: Object.fromEntries(properties.map(([name, value]) => [name, plain(value)])),
  };
}

/** In the order of the described list (a correlation filter's ninth field is the properties). */
const correlationFields = {
  'correlation-id': 'correlationId',
  'message-id': 'messageId',
  to: 'to',
  'reply-to': 'replyTo',
  label: 'subject',
  'session-id': 'sessionId',
  'reply-to-session-id': 'replyToSessionId',
  'content-type': 'contentType',
} as const;

const ruleCodes = {
  rule: 0x13700000004,
  noAction: 0x13700000005,
  sql: 0x1370000006,
  true: 0x1370000007,
  false: 0x1370000008,
  correlation: 0x1370000009,
} as const;
const sqlCompatibilityLevel = 20;

function describeRule({ name, filter }: Rule): Typed {
  const noAction = describedList(ruleCodes.noAction, []);
  return describedList(ruleCodes.rule, [describeFilter(filter), noAction, text(name), timestamp(new Date())]);
}

function describeFilter(filter: RuleFilter): Typed {
  switch (filter.kind) {
    case 'true':
    case 'false':
      return describedList(ruleCodes[filter.kind], []);
    case 'sql':
      return describedList(ruleCodes.sql, [text(filter.expression), int(sqlCompatibilityLevel)]);
    case 'correlation': {
      const fields = Object.values(correlationFields).map((field) => filter[field] ?? null);
      return describedList(ruleCodes.correlation, [...fields, filter.applicationProperties ?? {}]);
    }
  }
}

function encode(message: StoredMessage, lock?: LockedMessage): Buffer {
  return encodeForDelivery(message.raw, message.deliveryCount, stamps(message, lock?.untilMs));
}

function named(name: string, value: unknown): TypedEntries {
  return typeof value === 'string' ? [[name, text(value)]] : [];
}

/** Lock tokens are UUIDs here, and delivery tags on a link. */
function tagsIn(body: Body): Buffer[] {
  const tokens = body['lock-tokens'];
  return Array.isArray(tokens) ? tokens.filter((token) => Buffer.isBuffer(token)).map(flipGuid) : [];
}

function numbersIn(value: unknown): number[] {
  return Array.isArray(value) ? value.map(Number) : [];
}

function recordsIn(value: unknown): Body[] {
  return Array.isArray(value) ? value.map(plain).filter(isRecord) : [];
}

function sessionIn(body: Body): string | undefined {
  const sessionId = body['session-id'];
  return typeof sessionId === 'string' ? sessionId : undefined;
}

function success(body: unknown = {}): ServiceAnswer {
  return { status: 200, description: 'OK', body };
}

function failure(status: number, condition: string, description: string): ServiceAnswer {
  return { status, condition, description };
}

function lockLost(): ServiceAnswer {
  return failure(410, 'com.microsoft:message-lock-lost', 'The lock has expired or was never held.');
}

function sessionLost(): ServiceAnswer {
  return failure(410, 'com.microsoft:session-lock-lost', 'The session is not locked.');
}

function messageNotFound(): ServiceAnswer {
  return failure(404, 'com.microsoft:message-not-found', 'There is no such message, or it is locked.');
}

/** Between a delivery tag and the UUID of its lock token: .NET flips the first three groups. Its own inverse. */
function flipGuid(bytes: Buffer): Buffer {
  const flipped = Buffer.from(bytes);
  flipped.subarray(0, 4).reverse();
  flipped.subarray(4, 6).reverse();
  flipped.subarray(6, 8).reverse();
  return flipped;
}
