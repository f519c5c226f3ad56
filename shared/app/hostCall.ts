import type { InvocationContext } from '@azure/functions';
import type { Log, LogFields } from '../telemetry/log.ts';

/** What the host gives along when it calls a function. */
export interface HostCall {
  /** The host's own, so that a line stands with the invocation wherever the host sends its log. */
  readonly log: Log;
  /** Of the host's span; W3C Trace Context. */
  readonly traceparent?: string;
}

/** What the adapter needs of the host's context. */
export function callOf(context: InvocationContext): HostCall {
  const { traceParent } = context.traceContext ?? {};
  const log: Log = {
    info: (sentence, fields) => context.info(format(sentence, fields)),
    warn: (sentence, fields) => context.warn(format(sentence, fields)),
    error: (sentence, fields) => context.error(format(sentence, fields)),
  };
  return { log, ...(traceParent ? { traceparent: traceParent } : {}) };
}

function format(sentence: string, fields: LogFields | undefined): string {
  return fields === undefined ? sentence : `${sentence} ${JSON.stringify(fields)}`;
}
