import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base';
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base';
import { SpanOutbox } from '../../shared/telemetry/spanOutbox.ts';

const limits = { maxSpans: 10, batchSpans: 100, everyMs: 1_000_000, sendMs: 1_000 };

/** Ended spans of that name. */
function spansNamed(name: string, count: number): ReadableSpan[] {
  const spans: ReadableSpan[] = [];
  const tracer = new BasicTracerProvider({
    spanProcessors: [
      {
        onStart() {},
        onEnd: (span) => void spans.push(span),
        forceFlush: async () => undefined,
        shutdown: async () => undefined,
      },
    ],
  }).getTracer('test');
  for (let index = 0; index < count; index += 1) tracer.startSpan(name).end();
  return spans;
}

function keeping(sent: string[]): SpanExporter {
  return {
    export(spans, done) {
      sent.push(...spans.map(({ name }) => name));
      done({ code: 0 });
    },
    shutdown: async () => undefined,
  };
}

test('what is too much goes overboard, polls that went well first', async () => {
  const sent: string[] = [];
  const outbox = new SpanOutbox(keeping(sent), limits);
  outbox.add(spansNamed('fine', 8), false);
  outbox.add(spansNamed('failed', 7), true);
  outbox.add(spansNamed('fine', 8), false);
  await outbox.stop();
  assert.deepEqual(sent.filter((name) => name === 'failed').length, 7);
  assert.deepEqual(sent.filter((name) => name === 'fine').length, 3);
});

test('an exporter that throws costs its batch and nothing else', async () => {
  const outbox = new SpanOutbox(
    {
      export() {
        throw new Error('broken');
      },
      shutdown: async () => undefined,
    },
    limits,
  );
  outbox.add(spansNamed('failed', 3), true);
  await outbox.stop();
});
