import { type Context, type Span, SpanKind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api';
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

/** Keeps the ended spans of each poll together until it is known how the poll went. */
export class SpanCollector implements SpanProcessor {
  /** By the id of the poll's own span: the host may give several polls the same trace. */
  readonly #byPoll = new Map<string, ReadableSpan[]>();

  /** Begins to keep the spans of a poll: its own, and those right below it. */
  open(root: Span): () => readonly ReadableSpan[] {
    const spans: ReadableSpan[] = [];
    const { spanId } = root.spanContext();
    this.#byPoll.set(spanId, spans);
    return () => {
      this.#byPoll.delete(spanId);
      return spans;
    };
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    const parentId = span.parentSpanContext?.spanId;
    const spans =
      this.#byPoll.get(span.spanContext().spanId) ??
      (parentId === undefined ? undefined : this.#byPoll.get(parentId));
    spans?.push(span);
  }

  async forceFlush(): Promise<void> {}

  async shutdown(): Promise<void> {}
}

export type PollSpans = ReturnType<typeof startPollSpans>;

/** Begins the spans of one poll, below `parent`: its own, and below it one a step, bounded. */
export function startPollSpans(
  tracer: Tracer,
  collector: SpanCollector,
  parent: Context,
  labels: ConnectionLabels,
  runId: string,
) {
  const root = tracer.startSpan(
    'poll',
    // The exporter takes the name of what isn't HTTP from this attribute.
    { kind: SpanKind.CONSUMER, attributes: { ...labels, runId, 'ai.operation.name': 'poll' } },
    parent,
  );
  const context = trace.setSpan(parent, root);
  const takeSpans = collector.open(root);
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
      return takeSpans();
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
