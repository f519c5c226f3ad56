import { randomBytes, randomUUID } from 'node:crypto';
import type { LoadedApp } from './coreApi.ts';
import type { CoreInvocationContext, InvocationRequest, InvocationResponse, LogLevel } from './coreTypes.ts';

export interface LogEntry {
  readonly level: LogLevel;
  /** `user` for what the function logged, `system` for what library and host did. */
  readonly category: string;
  readonly message: string;
  readonly functionName?: string;
  readonly invocationId?: string;
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
 * Runs one invocation as the worker does: arguments made by the library's own invocation model, hooks
 * before and after, then its answer. Rejects with what the function threw.
 */
export async function invoke(
  app: LoadedApp,
  functionName: string,
  request: InvocationRequest,
  appHookData: object,
  log: (entry: LogEntry) => void,
): Promise<InvocationResponse> {
  const registered = app.functions.get(functionName);
  if (registered === undefined) throw new Error(`There is no function ${functionName}.`);
  const invocationId = randomUUID();
  const hookData = {};
  let invocationContext: unknown;
  const coreContext: CoreInvocationContext = {
    invocationId,
    request: { traceContext: newTraceContext(), ...request },
    metadata: registered.metadata,
    state: undefined,
    log: (level, category, message) => {
      for (const hook of app.hooks('log')) {
        hook({ level, message, category, hookData, appHookData, invocationContext });
      }
      log({ level, category, message, functionName, invocationId });
    },
  };
  const model = app.model.getInvocationModel(coreContext);
  const { context, inputs } = await model.getArguments();
  invocationContext = context;

  coreContext.state = 'preInvocationHooks';
  const before = {
    hookData,
    appHookData,
    invocationContext: context,
    functionCallback: registered.callback,
    inputs,
  };
  for (const hook of app.hooks('preInvocation')) await hook(before);

  coreContext.state = 'invocation';
  const after: { result: unknown; error: unknown } & Record<string, unknown> = {
    hookData,
    appHookData,
    invocationContext: context,
    inputs: before.inputs,
    result: null,
    error: null,
  };
  try {
    after.result = await model.invokeFunction(context, before.inputs, before.functionCallback);
  } catch (error) {
    after.error = error ?? new Error('The function threw nothing.');
  }
  coreContext.state = 'postInvocationHooks';
  for (const hook of app.hooks('postInvocation')) await hook(after);
  if (after.error !== null && after.error !== undefined) throw after.error;
  return model.getResponse(context, after.result);
}

/** A new W3C trace for each invocation, sampled, as the host starts one. */
function newTraceContext(): { traceParent: string; traceState: string } {
  const hex = (bytes: number) => randomBytes(bytes).toString('hex');
  return { traceParent: `00-${hex(16)}-${hex(8)}-01`, traceState: '' };
}
