import type { InvocationContext } from '@azure/functions';
import type { HostCall } from '../shared/app/adapter.ts';
import { logTo } from '../shared/telemetry/contextLog.ts';

/** What the adapter needs of the host's context. */
export function callOf(context: InvocationContext): HostCall {
  const { traceParent } = context.traceContext ?? {};
  return { log: logTo(context), ...(traceParent ? { traceparent: traceParent } : {}) };
}
