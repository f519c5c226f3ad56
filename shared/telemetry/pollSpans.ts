import {
  type Context,
  createContextKey,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { ReadableSpan, SpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { Failure } from '../failure/failure.ts';
import type { ConnectionLabels, PollOutcome, PollStep, Step } from './telemetry.ts';

/** A poll of a thousand mails has no more spans of one step than this. */
const maxSpansOfAStep = 50;

const kinds: Readonly<Record<PollStep, SpanKind>> = {
  connect: SpanKind.CLIENT,
  list: SpanKind.CLIENT,
  fetch: SpanKind.CLIENT,
  parse: SpanKind.INTERNAL,
  push: SpanKind.PRODUCER,
  settle: SpanKind.CLIENT,
};

/** Where, in its context, the spans of a poll are kept until it is known how it went. */
const spansKey = createContextKey('spans of the poll');

/** Keeps each span with those of its poll. */
export const spanCollector: SpanProcessor = {
  onStart(span, context) {
    const spans = context.getValue(spansKey);
    if (Array.isArray(spans)) spans.push(span);
  },
  onEnd() {},
  forceFlush: async () => undefined,
  shutdown: async () => undefined,
};

export type PollSpans = ReturnType<typeof startPollSpans>;

/** Begins the spans of one poll, below `parent`: its own, and below it one a step, bounded. */
export function startPollSpans(tracer: Tracer, parent: Context, labels: ConnectionLabels, runId: string) {
  const spans: ReadableSpan[] = [];
  const collecting = parent.setValue(spansKey, spans);
  const root = tracer.startSpan(
    'poll',
    // The exporter takes the name of what isn't HTTP from this attribute.
    { kind: SpanKind.CONSUMER, attributes: { ...labels, runId, 'ai.operation.name': 'poll' } },
    collecting,
  );
  const context = trace.setSpan(collecting, root);
  const beyond: Step = { traceparent: traceparentOf(root), end() {} };
  const started = new Map<PollStep, number>();
  return {
    context,
    startStep(step: PollStep): Step {
      const count = (started.get(step) ?? 0) + 1;
      started.set(step, count);
      if (count > maxSpansOfAStep) return beyond;
      const span = tracer.startSpan(step, { kind: kinds[step] }, context);
      return {
        traceparent: traceparentOf(span),
        end(failure) {
          if (failure) markFailed(span, failure);
          span.end();
        },
      };
    },
    /** Gives all spans that have ended; later ones are lost. */
    end({ mails, messages, bytes, failure }: PollOutcome): readonly ReadableSpan[] {
      root.setAttributes({ mails, messages, bytes });
      for (const [step, count] of started) {
        if (count > maxSpansOfAStep) root.setAttribute(`${step}.count`, count);
      }
      if (failure) markFailed(root, failure);
      else root.setStatus({ code: SpanStatusCode.OK });
      root.end();
      return spans.filter(({ ended }) => ended);
    },
  };
}

function markFailed(span: Span, failure: Failure): void {
  span.setAttributes({ reason: failure.reason, error: failure.message });
  span.setStatus({ code: SpanStatusCode.ERROR, message: failure.message });
}

/** W3C Trace Context, version 00; always with the flag `sampled`, as the decision falls at the end. */
function traceparentOf(span: Span): string {
  const { traceId, spanId } = span.spanContext();
  return `00-${traceId}-${spanId}-01`;
}
