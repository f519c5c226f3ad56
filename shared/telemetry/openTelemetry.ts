import type { TokenCredential } from '@azure/identity';
import { type Context, ROOT_CONTEXT, TraceFlags, trace } from '@opentelemetry/api';
import { type Logger, SeverityNumber } from '@opentelemetry/api-logs';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { withDeadline } from '../wait/deadline.ts';
import { createExporters } from './azureExporters.ts';
import type { Log } from './log.ts';
import { Meters, maxLabelledConnections } from './meters.ts';
import { type PollSpans, spanCollector, startPollSpans } from './pollSpans.ts';
import type { ConnectionLabels, Invocation, PollTrace, Telemetry } from './telemetry.ts';
import { createTraceSampler } from './traceSampler.ts';

const scope = 'email-inbound-adapter';
/** Spans that wait to be sent, at most: those of polls that went well take no room from those of failed ones. */
const maxWaitingSpans = { failed: 16_000, fine: 4_000 } as const;
const defaultRequestMs = 20_000;
const tracesPerMinute = { busy: 300, idle: 10 } as const;
const metricsEveryMs = 60_000;
const exportTimeoutMs = 20_000;
/** Every connection with every reason of a failure stays below it. */
const maxSeries = 20 * maxLabelledConnections;

export interface OpenTelemetryOptions {
  /** As `readInsightsString` writes it. */
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
  /** That telemetry is refused can't be told by telemetry: the log of the next function that runs says it, once. */
  let refusal: string | undefined;
  let isRefusalSaid = false;
  const exporters = createExporters({
    connectionString: options.connectionString,
    requestMs: options.requestMs ?? defaultRequestMs,
    onRefusal: (sentence) => {
      refusal ??= sentence;
    },
    ...(options.credential === undefined ? {} : { credential: options.credential }),
  });
  const resource = resourceFromAttributes({
    'service.name': options.appName ?? scope,
    ...(options.instance === undefined ? {} : { 'service.instance.id': options.instance }),
  });
  const sending = (maxQueueSize: number) => new BatchSpanProcessor(exporters.spans, { maxQueueSize });
  const [failed, fine] = [sending(maxWaitingSpans.failed), sending(maxWaitingSpans.fine)];
  const keepsTrace = createTraceSampler(tracesPerMinute, Date.now);
  const tracers = new BasicTracerProvider({ resource, spanProcessors: [spanCollector] });
  const meterProvider = new MeterProvider({
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
  const tracer = tracers.getTracer(scope);
  const logger = loggers.getLogger(scope);
  const meters = new Meters(meterProvider.getMeter(scope));

  const watch = (spans: PollSpans, labels: ConnectionLabels): PollTrace => {
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
        if (keepsTrace(kind)) for (const span of ended) (kind === 'failed' ? failed : fine).onEnd(span);
      },
    };
  };

  return {
    follow: (log, traceparent) => {
      if (refusal !== undefined && !isRefusalSaid) log.error(refusal, { reason: 'setting' });
      isRefusalSaid = refusal !== undefined;
      let context = contextFrom(traceparent);
      return {
        log: alsoTo(logger, log, () => context),
        startPoll(labels, runId) {
          const spans = startPollSpans(tracer, context, labels, runId);
          context = spans.context;
          return watch(spans, labels);
        },
        skipPoll: (labels) => meters.countSkip(labels),
        reportBacklog: (backlog) => meters.reportBacklog(backlog),
      } satisfies Invocation;
    },
    async shutdown(timeoutMs) {
      const sent = Promise.allSettled([failed.forceFlush(), fine.forceFlush()]);
      const spans = sent.then(() => exporters.spans.shutdown());
      const stopped = Promise.allSettled([spans, meterProvider.shutdown(), loggers.shutdown()]);
      await Promise.allSettled([withDeadline(stopped, timeoutMs, () => new Error('late'))]);
    },
  };
}

/** Says everything twice: to `log`, and as a record that stands with the trace of `context`. */
function alsoTo(logger: Logger, log: Log, context: () => Context): Log {
  const twice =
    (level: keyof Log, severityNumber: SeverityNumber): Log['info'] =>
    (sentence, fields) => {
      log[level](sentence, fields);
      logger.emit({ severityNumber, body: sentence, attributes: { ...fields }, context: context() });
    };
  return {
    info: twice('info', SeverityNumber.INFO),
    warn: twice('warn', SeverityNumber.WARN),
    error: twice('error', SeverityNumber.ERROR),
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
