import { randomBytes, randomUUID } from 'node:crypto';
import type { LoadedApp } from './coreApi.ts';
import type { InvocationRequest, InvocationResponse, LogLevel } from './coreTypes.ts';

export interface LogEntry {
  readonly level: LogLevel;
  /** `user` for what the function logged, `system` for what library and host did. */
  readonly category: string;
  readonly message: string;
  readonly functionName?: string;
}

const maxLogEntries = 20_000;

/** Keeps the last 20,000 entries. */
export function keepLogs(onLog: ((entry: LogEntry) => void) | undefined) {
  const logs: LogEntry[] = [];
  const log = (entry: LogEntry): void => {
    logs.push(entry);
    if (logs.length > maxLogEntries) logs.splice(0, maxLogEntries / 10);
    onLog?.(entry);
  };
  return { logs: logs as readonly LogEntry[], log };
}

/**
 * Runs one invocation as the worker does: arguments made by the library's own invocation model, then its answer.
 * Hooks around invocations, which the app has none of, are not called. Rejects with what the function threw.
 */
export async function invoke(
  app: LoadedApp,
  functionName: string,
  request: InvocationRequest,
  log: (entry: LogEntry) => void,
): Promise<InvocationResponse> {
  const registered = app.functions.get(functionName);
  if (registered === undefined) throw new Error(`There is no function ${functionName}.`);
  let isAnswered = false;
  const model = app.model.getInvocationModel({
    invocationId: randomUUID(),
    request: { traceContext: newTraceContext(), ...request },
    metadata: registered.metadata,
    state: 'invocation',
    log: (level, category, message) => {
      // What a function logs behind its end the real host drops; the library says so in a line of its own.
      if (category === 'user' && isAnswered) return;
      log({ level, category, message, functionName });
    },
  });
  try {
    const { context, inputs } = await model.getArguments();
    return await model.getResponse(context, await model.invokeFunction(context, inputs, registered.callback));
  } finally {
    isAnswered = true;
  }
}

/** A new W3C trace for each invocation, sampled, as the host starts one. */
function newTraceContext(): { traceParent: string; traceState: string } {
  const hex = (bytes: number) => randomBytes(bytes).toString('hex');
  return { traceParent: `00-${hex(16)}-${hex(8)}-01`, traceState: '' };
}
