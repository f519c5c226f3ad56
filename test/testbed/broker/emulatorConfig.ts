import { z } from 'zod';
import type { QueueOptions } from './queue.ts';
import type { Rule, SubscriptionOptions, TopicOptions } from './topic.ts';

/** What a namespace holds. */
export interface Entities {
  readonly queues: readonly QueueOptions[];
  readonly topics: readonly TopicOptions[];
}

const duration = z.string().transform((text, context) => {
  const durationMs = durationMsOf(text);
  if (durationMs === undefined) context.addIssue(`${JSON.stringify(text)} is no duration, such as PT1M`);
  return durationMs ?? 0;
});

const duplicatesSchema = z.object({
  RequiresDuplicateDetection: z.boolean().default(false),
  DuplicateDetectionHistoryTimeWindow: duration.default(600_000),
});

const deliveriesSchema = z.object({
  LockDuration: duration.optional(),
  MaxDeliveryCount: z.int().positive().optional(),
  RequiresSession: z.boolean().optional(),
});

const queueSchema = z.object({
  Name: z.string().min(1),
  Properties: duplicatesSchema.extend(deliveriesSchema.shape).prefault({}),
});

const ruleSchema = z.object({
  Name: z.string().min(1),
  Properties: z.discriminatedUnion('FilterType', [
    z.object({ FilterType: z.literal('Sql'), SqlFilter: z.object({ SqlExpression: z.string() }) }),
    z.object({
      FilterType: z.literal('Correlation'),
      CorrelationFilter: z.object({
        ContentType: z.string().optional(),
        CorrelationId: z.string().optional(),
        Label: z.string().optional(),
        MessageId: z.string().optional(),
        ReplyTo: z.string().optional(),
        ReplyToSessionId: z.string().optional(),
        SessionId: z.string().optional(),
        To: z.string().optional(),
        Properties: z.record(z.string(), z.unknown()).optional(),
      }),
    }),
  ]),
});

const subscriptionSchema = z.object({
  Name: z.string().min(1),
  Properties: deliveriesSchema.prefault({}),
  Rules: z.array(ruleSchema).default([]),
});

const topicSchema = z.object({
  Name: z.string().min(1),
  Properties: duplicatesSchema.prefault({}),
  Subscriptions: z.array(subscriptionSchema).default([]),
});

const configSchema = z.object({
  UserConfig: z.object({
    Namespaces: z
      .array(z.object({ Queues: z.array(queueSchema).default([]), Topics: z.array(topicSchema).default([]) }))
      .length(1),
  }),
});

/**
 * Reads the configuration of the official emulator, so that one file does for both. What this broker does not do
 * (expiry, forwarding, actions of rules) is passed over. Throws an `Error` with one sentence that says what is wrong.
 * https://learn.microsoft.com/azure/service-bus-messaging/test-locally-with-service-bus-emulator
 */
export function readEmulatorConfig(text: string): Entities {
  const parsed = configSchema.safeParse(JSON.parse(text));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new Error(`${issue?.path.join('.') || 'The configuration'}: ${issue?.message}.`);
  }
  const [namespace] = parsed.data.UserConfig.Namespaces;
  return {
    queues: (namespace?.Queues ?? []).map(({ Name, Properties }) => ({
      name: Name,
      ...detectionOf(Properties),
      ...deliveryOf(Properties),
    })),
    topics: (namespace?.Topics ?? []).map(({ Name, Properties, Subscriptions }) => ({
      name: Name,
      ...detectionOf(Properties),
      subscriptions: Subscriptions.map(subscriptionOf),
    })),
  };
}

function subscriptionOf({
  Name,
  Properties,
  Rules,
}: z.output<typeof subscriptionSchema>): SubscriptionOptions {
  const rules = Rules.length === 0 ? undefined : Rules.map(ruleOf);
  return { name: Name, ...deliveryOf(Properties), ...given({ rules }) };
}

function ruleOf({ Name, Properties }: z.output<typeof ruleSchema>): Rule {
  if (Properties.FilterType === 'Sql') {
    return { name: Name, filter: { kind: 'sql', expression: Properties.SqlFilter.SqlExpression } };
  }
  const filter = Properties.CorrelationFilter;
  const fields = given({
    contentType: filter.ContentType,
    correlationId: filter.CorrelationId,
    subject: filter.Label,
    messageId: filter.MessageId,
    replyTo: filter.ReplyTo,
    replyToSessionId: filter.ReplyToSessionId,
    sessionId: filter.SessionId,
    to: filter.To,
    applicationProperties: filter.Properties,
  });
  return { name: Name, filter: { kind: 'correlation', ...fields } };
}

function detectionOf(properties: z.output<typeof duplicatesSchema>) {
  const windowMs = properties.DuplicateDetectionHistoryTimeWindow;
  return given({ duplicateDetectionWindowMs: properties.RequiresDuplicateDetection ? windowMs : undefined });
}

function deliveryOf(properties: z.output<typeof deliveriesSchema>) {
  return given({
    lockDurationMs: properties.LockDuration,
    maxDeliveryCount: properties.MaxDeliveryCount,
    requiresSession: properties.RequiresSession,
  });
}

/** Without the fields that are undefined. */
function given<Fields extends object>(
  fields: Fields,
): { [Name in keyof Fields]?: Exclude<Fields[Name], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Fields;
}

/** ISO 8601, in days and less: `P7D`, `PT1H30M`, `PT20S`. */
function durationMsOf(text: string): number | undefined {
  const parts = /^P(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(text);
  if (parts === null || text === 'P') return undefined;
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = parts.slice(1).map((part) => Number(part ?? 0));
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1_000;
}
