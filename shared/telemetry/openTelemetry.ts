import { setTimeout as delay } from 'node:timers/promises';
import type { TokenCredential } from '@azure/identity';
import { type Context, ROOT_CONTEXT, TraceFlags, type Tracer, trace } from '@opentelemetry/api';
import type { Logger } from '@opentelemetry/api-logs';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base';
import { createExporters } from './azureExporters.ts';
import { readInsightsString } from './insightsString.ts';
import type { Log } from './log.ts';
import { Meters, maxLabelledConnections } from './meters.ts';
import { PollSpans, SpanCollector } from './pollSpans.ts';
import { SpanOutbox } from './spanOutbox.ts';
import type { ConnectionLabels, Invocation, PollTrace, Telemetry } from './telemetry.ts';
import { alsoTo } from './telemetryLog.ts';
import { TraceSampler } from './traceSampler.ts';

const scope = 'email-inbound-adapter';
const outboxLimits = { maxSpans: 20_000, batchSpans: 512, everyMs: 5_000, sendMs: 30_000 } as const;
const defaultRequestMs = 20_000;
const sampleRates = { busyPerMinute: 300, idlePerMinute: 10 } as const;
const metricsEveryMs = 60_000;
const exportTimeoutMs = 20_000;
/** Every connection with every reason of a failure stays below it. */
const maxSeries = 20 * maxLabelledConnections;

export interface OpenTelemetryOptions {
  /** APPLICATIONINSIGHTS_CONNECTION_STRING. */
  readonly connectionString: string;
  /** Where the resource takes nothing without an identity. */
  readonly credential?: TokenCredential;
  /** How long the ingestion endpoint has for an answer. */
  readonly requestMs?: number;
  /** The function app's name, by which Application Insights tells apps apart. */
  readonly appName?: string;
  /** Which of its instances this is. */
  readonly instance?: string;
}

/** Telemetry to Application Insights. Throws when the connection string is not valid. */
export function openTelemetry(options: OpenTelemetryOptions): Telemetry {
  const insights = readInsightsString(options.connectionString);
  if (insights === undefined) throw new Error('The connection string has no valid instrumentation key.');
  const refusal = new Refusal();
  const exporters = createExporters({
    resource: insights,
    requestMs: options.requestMs ?? defaultRequestMs,
    onRefusal: (sentence) => refusal.note(sentence),
    ...(options.credential === undefined ? {} : { credential: options.credential }),
  });
  const resource = resourceFromAttributes({
    'service.name': options.appName ?? scope,
    ...(options.instance === undefined ? {} : { 'service.instance.id': options.instance }),
  });
  const collector = new SpanCollector();
  const outbox = new SpanOutbox(exporters.spans, outboxLimits);
  const sampler = new TraceSampler(sampleRates, Date.now);
  const tracers = new BasicTracerProvider({ resource, spanProcessors: [collector] });
  const meters = new MeterProvider({
    resource,
    views: [{ instrumentName: '*', aggregationCardinalityLimit: maxSeries }],
    readers: [
      new PeriodicExportingMetricReader({
        exporter: exporters.metrics,
        exportIntervalMillis: metricsEveryMs,
        exportTimeoutMillis: exportTimeoutMs,
      }),
    ],
  });
  const loggers = new LoggerProvider({
    resource,
    processors: [new BatchLogRecordProcessor({ exporter: exporters.logs })],
  });
  const tools: Tools = {
    tracer: tracers.getTracer(scope),
    logger: loggers.getLogger(scope),
    meters: new Meters(meters.getMeter(scope)),
    collector,
    outbox,
    sampler,
  };

  return {
    isOn: true,
    follow: (log, traceparent) => {
      refusal.sayOnce(log);
      let context = contextFrom(traceparent);
      return {
        log: alsoTo(tools.logger, log, () => context),
        startPoll(labels, runId) {
          const spans = new PollSpans(tools.tracer, collector, context, labels, runId);
          context = spans.context;
          return watchPoll(tools, spans, labels);
        },
        skipPoll: (labels) => tools.meters.countSkip(labels),
      } satisfies Invocation;
    },
    reportBacklog: (backlog) => tools.meters.reportBacklog(backlog),
    async shutdown(timeoutMs) {
      const timeout = new AbortController();
      const stopped = Promise.allSettled([outbox.stop(), meters.shutdown(), loggers.shutdown()]);
      const timedOut = delay(timeoutMs, undefined, { signal: timeout.signal }).catch(() => undefined);
      await Promise.race([stopped, timedOut]);
      timeout.abort();
    },
  };
}

/** That telemetry is refused can't be told by telemetry: it is said once, in the log of the next function that runs. */
class Refusal {
  #sentence: string | undefined;
  #isSaid = false;

  note(sentence: string): void {
    this.#sentence ??= sentence;
  }

  sayOnce(log: Log): void {
    if (this.#sentence === undefined || this.#isSaid) return;
    this.#isSaid = true;
    log.error(this.#sentence, { reason: 'setting' });
  }
}

interface Tools {
  readonly tracer: Tracer;
  readonly logger: Logger;
  readonly meters: Meters;
  readonly collector: SpanCollector;
  readonly outbox: SpanOutbox;
  readonly sampler: TraceSampler;
}

function watchPoll(
  { meters, outbox, sampler }: Tools,
  spans: PollSpans,
  labels: ConnectionLabels,
): PollTrace {
  let hasPickedUp = false;
  return {
    startStep: (step) => spans.startStep(step),
    pickUp(oldestReceivedAt) {
      if (hasPickedUp) return;
      hasPickedUp = true;
      meters.countLag(labels, Math.max(0, Date.now() - oldestReceivedAt.getTime()) / 1_000);
    },
    end(outcome) {
      meters.countPoll(labels, outcome);
      const ended = spans.end(outcome);
      const kind = outcome.failure ? 'failed' : outcome.mails > 0 ? 'busy' : 'idle';
      if (sampler.keeps(kind)) outbox.add(ended, kind === 'failed');
    },
  };
}

/** The host's span as the parent; a new trace where it has none. */
function contextFrom(traceparent: string | undefined): Context {
  const [, traceId, spanId] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/.exec(traceparent ?? '') ?? [];
  if (traceId === undefined || spanId === undefined) return ROOT_CONTEXT;
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: TraceFlags.SAMPLED,
    isRemote: true,
  });
}
