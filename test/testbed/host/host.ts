import { setTimeout as delay } from 'node:timers/promises';
import { loadApp } from './coreApi.ts';
import type { BindingInfo, InvocationRequest, InvocationResponse } from './coreTypes.ts';
import { applyEnv } from './env.ts';
import { readHostConfig, resolveSettings } from './hostConfig.ts';
import {
  answer,
  type HttpAnswer,
  type HttpRequestOptions,
  type HttpRoute,
  httpAnswer,
  httpRequest,
  matchRoute,
} from './http.ts';
import { type HttpCall, type HttpServerOptions, type RunningHttpServer, serveHttp } from './httpServer.ts';
import { invoke, keepLogs, type LogEntry } from './invoke.ts';
import { makeQueueTrigger, type QueueTally, type QueueTrigger } from './queue.ts';
import { makeTimer, type Timer } from './timers.ts';

export interface HostOptions {
  /** The app's entry file, CommonJS, as `dist/main.cjs`. */
  readonly main: string;
  /** App settings. They are put into `process.env` while the host runs, as in the real worker. */
  readonly env: Readonly<Record<string, string>>;
  /** Where the host itself polls queues; also the app's `AzureWebJobsStorage` where `env` sets none. */
  readonly storageConnectionString: string;
  /** `manual`: only `fireTimer` fires them. */
  readonly timers?: 'manual' | 'schedule';
  readonly onLog?: (entry: LogEntry) => void;
}

export interface Host {
  /** The bindings of each function, as the app registered them, in order. */
  readonly functions: Readonly<Record<string, readonly BindingInfo[]>>;
  /** What functions, library and host logged, the last 20,000 entries. */
  readonly logs: readonly LogEntry[];
  /** Rejects with what the function threw. */
  fireTimer(name: string): Promise<'ran' | 'skipped'>;
  /** Takes one batch from each queue and works it off; gives how many messages that were. */
  runQueueOnce(): Promise<number>;
  /** Works all queues off until they are empty and idle. */
  drainQueue(): Promise<QueueTally>;
  startQueueListener(): void;
  /** Resolves when the messages in work are done. */
  stopQueueListener(): Promise<void>;
  /** `target` is `METHOD /api/route`. Answers 500 when the function throws, as the host does. */
  invokeHttp(target: string, request?: HttpRequestOptions): Promise<HttpAnswer>;
  /** Serves the HTTP functions on a real port. */
  serveHttp(options?: HttpServerOptions): Promise<RunningHttpServer>;
  /** Stops triggers, waits for what runs (at most `graceMs`), runs the appTerminate hooks. */
  stop(graceMs?: number): Promise<void>;
}

/**
 * A local Functions host for the built app: registers through the real `@azure/functions`, and fires timers,
 * queue and HTTP triggers as the Functions host does. There is one in a process at a time. Timers know nothing of
 * other hosts, while in Azure one instance alone runs them.
 */
export async function startHost(options: HostOptions): Promise<Host> {
  const env = withStorage(options.env, options.storageConnectionString);
  const restoreEnv = applyEnv(env);
  try {
    return await makeHost(options, env, restoreEnv);
  } catch (error) {
    restoreEnv();
    throw error;
  }
}

async function makeHost(
  options: HostOptions,
  env: Readonly<Record<string, string>>,
  restoreEnv: () => void,
): Promise<Host> {
  const config = readHostConfig(options.main);
  const { logs, log } = keepLogs(options.onLog);
  const app = loadApp(options.main, (level, category, message) => log({ level, category, message }));
  await app.model.getCapabilities({});

  const running = new Set<Promise<unknown>>();
  const run = (name: string, request: InvocationRequest): Promise<InvocationResponse> => {
    const invocation: Promise<InvocationResponse> = invoke(app, name, request, log)
      .catch((error: unknown) => {
        log({ level: 'error', category: 'system', functionName: name, message: describe(error) });
        throw error;
      })
      .finally(() => running.delete(invocation));
    running.add(invocation);
    return invocation;
  };

  const functions: Record<string, readonly BindingInfo[]> = {};
  const timers = new Map<string, Timer>();
  const queues: QueueTrigger[] = [];
  const routes: HttpRoute[] = [];
  for (const [name, { metadata }] of app.functions) {
    const bindings = Object.entries(metadata.bindings);
    const trigger = bindings.find(([, binding]) => /trigger$/i.test(binding.type));
    if (trigger === undefined) throw new Error(`Function ${name} has no trigger.`);
    const [bindingName, binding] = trigger;
    functions[name] = bindings.map(([, each]) => each);
    const setting = (property: string) => resolveSettings(String(binding[property]), env);
    if (binding.type === 'timerTrigger') {
      const timer = makeTimer({
        schedule: setting('schedule'),
        run: async () => void (await run(name, { inputData: [{ name: bindingName, data: { json: '{}' } }] })),
      });
      timers.set(name, timer);
    } else if (binding.type === 'queueTrigger') {
      const queue = makeQueueTrigger({
        connectionString: options.storageConnectionString,
        queueName: setting('queueName'),
        config,
        bindingName,
        run: async (request) => void (await run(name, request)),
        warn: (message) => log({ level: 'warning', category: 'system', functionName: name, message }),
      });
      queues.push(queue);
    } else if (binding.type === 'httpTrigger') {
      routes.push(httpRoute(name, bindingName, binding));
    } else throw new Error(`Function ${name} has a ${binding.type}, which this host does not fire.`);
  }
  for (const hook of app.hooks('appStart')) await hook({});
  if (options.timers === 'schedule') for (const timer of timers.values()) timer.start();

  const prefix = '/api/';
  const call = async (request: HttpCall, functionKey: string | undefined): Promise<HttpAnswer> => {
    const method = request.method ?? 'GET';
    const { pathname } = request.url;
    const path = pathname.startsWith(prefix) ? pathname.slice(prefix.length) : undefined;
    const match = path === undefined ? undefined : matchRoute(routes, method, path);
    if (match === undefined) return answer(404, {}, Buffer.alloc(0));
    const open = functionKey === undefined || match.route.authLevel === 'anonymous';
    if (!open && request.key !== functionKey) return answer(401, {}, Buffer.alloc(0));
    try {
      const made = httpRequest(match.route, request.url, match.params, request);
      return httpAnswer(await run(match.route.functionName, made));
    } catch {
      return answer(500, {}, Buffer.alloc(0));
    }
  };

  let stopped = false;
  return {
    functions,
    logs,
    fireTimer: async (name) => {
      const timer = timers.get(name);
      if (timer === undefined) throw new Error(`There is no timer function ${name}.`);
      return timer.fire();
    },
    runQueueOnce: async () => {
      const taken = await Promise.all(queues.map((queue) => queue.runOnce()));
      return taken.reduce((sum, count) => sum + count, 0);
    },
    drainQueue: async () => {
      const tallies = await Promise.all(queues.map((queue) => queue.drain()));
      const sum = (field: keyof QueueTally) => tallies.reduce((total, tally) => total + tally[field], 0);
      return { succeeded: sum('succeeded'), failed: sum('failed'), poisoned: sum('poisoned') };
    },
    startQueueListener: () => {
      for (const queue of queues) queue.start();
    },
    stopQueueListener: async () => void (await Promise.all(queues.map((queue) => queue.stop()))),
    invokeHttp: (target, request = {}) => {
      const [method = '', path = ''] = target.split(' ');
      const url = new URL(path, 'http://127.0.0.1');
      for (const [name, value] of Object.entries(request.query ?? {})) url.searchParams.set(name, value);
      return call({ ...request, method, url, key: undefined }, undefined);
    },
    serveHttp: (serverOptions = {}) =>
      serveHttp(serverOptions, (request) => call(request, serverOptions.functionKey)),
    stop: async (graceMs = 10_000) => {
      if (stopped) return;
      stopped = true;
      for (const timer of timers.values()) timer.stop();
      const idle = (async () => {
        await Promise.all(queues.map((queue) => queue.stop()));
        await Promise.allSettled(running);
      })();
      const grace = new AbortController();
      await Promise.race([idle, delay(graceMs, undefined, { signal: grace.signal }).catch(() => undefined)]);
      grace.abort();
      for (const hook of app.hooks('appTerminate')) await hook({});
      restoreEnv();
    },
  };
}

function withStorage(
  env: Readonly<Record<string, string>>,
  connectionString: string,
): Readonly<Record<string, string>> {
  const hasStorage = Object.keys(env).some((name) => /^AzureWebJobsStorage(__|$)/.test(name));
  return hasStorage ? env : { ...env, AzureWebJobsStorage: connectionString };
}

function httpRoute(functionName: string, bindingName: string, binding: BindingInfo): HttpRoute {
  const methods = Array.isArray(binding.methods) ? binding.methods.map(String) : ['GET', 'POST'];
  return {
    functionName,
    bindingName,
    methods: methods.map((method) => method.toUpperCase()),
    route: typeof binding.route === 'string' ? binding.route : functionName,
    authLevel: typeof binding.authLevel === 'string' ? binding.authLevel : 'anonymous',
  };
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
