import type { HttpResponseInit } from '@azure/functions';
import type { ApiRequest } from '../http/request.ts';
import type { Resource } from '../http/router.ts';
import { type Env, readSettings } from '../settings/settings.ts';
import { loggingFailures } from '../telemetry/failures.ts';
import type { Log } from '../telemetry/log.ts';
import type { Invocation } from '../telemetry/telemetry.ts';
import { withDeadline } from '../wait/deadline.ts';
import { lazily } from '../wait/lazy.ts';
import { createProcess } from './process.ts';
import { lazyTelemetry, sendsTelemetry } from './telemetry.ts';

/** The whole app behind its triggers. Every method rejects with a `Failure` that names a wrong setting. */
export interface Adapter {
  /** The sentence for wrong settings, undefined when all are right. */
  readonly settingsError: string | undefined;
  /** Whether the app itself sends telemetry, so that the host need not send its log lines a second time. */
  readonly sendsTelemetry: boolean;
  schedulePolls(call: HostCall): Promise<void>;
  pollMailbox(order: unknown, call: HostCall): Promise<void>;
  retryDeliveries(call: HostCall): Promise<void>;
  /** Answers a call of an HTTP function; says itself what is wrong, and never rejects. */
  answerHttp(resource: Resource, request: ApiRequest, call: HostCall): Promise<HttpResponseInit>;
  /**
   * Told to go: polls take no more mail and end, the retry gives back what it took, and what telemetry there still
   * is goes out. Resolves within four seconds.
   */
  shutdown(): Promise<void>;
}

/** What the host gives along when it calls a function. */
export interface HostCall {
  readonly log: Log;
  /** Of the host's span; W3C Trace Context. */
  readonly traceparent?: string;
}

/** What the host gives a process that it tells to go is about five seconds. */
const runsEndMs = 3_000;
const flushMs = 1_000;

/**
 * Wires the app from its settings. Nothing is opened, and no library loaded, before a trigger needs it: an
 * app that throws or dawdles while it loads looks to the Functions host like one without functions.
 */
export function createAdapter(env: Env): Adapter {
  const read = readSettings(env);
  const going = new AbortController();
  const underWay = new Set<Promise<unknown>>();
  const wired = lazily(async () => {
    if (!read.ok) throw read.failure;
    return createProcess(env, read.settings, going.signal);
  });
  const telemetry = lazyTelemetry(env);
  const follow = async ({ log, traceparent }: HostCall): Promise<Invocation> => {
    const { settings, storage } = await wired();
    return (await telemetry.open(settings, storage.getCredential, log)).follow(log, traceparent);
  };
  /** Does the work of a call; what it rejects with stands in the log, once, and goes on to the host. */
  const carryOut = async (
    call: HostCall,
    doing: string,
    work: (invocation: Invocation) => Promise<void>,
  ): Promise<void> => {
    const invocation = await follow(call);
    await loggingFailures(invocation.log, doing, () => work(invocation));
  };
  const scheduling = lazily(async () => {
    const [{ createScheduler }, { storage }] = await Promise.all([
      import('../schedule/schedulePolls.ts'),
      wired(),
    ]);
    return createScheduler({
      connections: await storage.connections(),
      openOrders: storage.orders,
      makeOrderQueue: storage.makeOrderQueue,
      now: () => new Date(),
    });
  });
  const polling = lazily(async () => {
    const { createPolling } = await import('./polling.ts');
    return createPolling(await wired());
  });
  /** Has the process's end wait for this work. */
  const tracked = async (work: Promise<void>): Promise<void> => {
    underWay.add(work);
    await work.finally(() => underWay.delete(work));
  };

  return {
    settingsError: read.ok ? undefined : read.failure.message,

    sendsTelemetry: read.ok && sendsTelemetry(read.settings),

    schedulePolls: (call) =>
      carryOut(call, 'scheduling polls', async ({ log }) => (await scheduling()).tick(log)),

    pollMailbox: (order, call) =>
      carryOut(call, 'polling a mailbox', async (invocation) => {
        const { poll } = await polling();
        await tracked(poll(order, invocation));
      }),

    retryDeliveries: (call) =>
      carryOut(call, 'retrying deliveries', async ({ log }) => {
        const { retry } = await import('./retrying.ts');
        const process = await wired();
        const { settings, storage } = process;
        try {
          await tracked(retry(process, log));
        } finally {
          const { reportBacklog } = await import('./backlog.ts');
          await reportBacklog(process, await telemetry.open(settings, storage.getCredential, log), log);
        }
      }),

    async answerHttp(resource, request, call) {
      const { answerHttp } = await import('./http.ts');
      // With wrong settings there is no telemetry, and the answer says so.
      const { log } = await follow(call).catch(() => call);
      return await answerHttp({ resource, request, log }, wired);
    },

    async shutdown() {
      going.abort();
      await withDeadline(Promise.allSettled(underWay), runsEndMs, () => new Error('late')).catch(
        () => undefined,
      );
      const destinations = read.ok ? (await wired()).destinations : undefined;
      const closing = withDeadline(
        destinations?.close() ?? Promise.resolve(),
        flushMs,
        () => new Error('late'),
      );
      await Promise.allSettled([telemetry.shutdown(flushMs), closing]);
    },
  };
}
