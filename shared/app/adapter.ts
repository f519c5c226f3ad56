import type { HttpResponseInit } from '@azure/functions';
import type { ApiRequest } from '../http/request.ts';
import type { Resource } from '../http/router.ts';
import type { Env } from '../settings/reader.ts';
import { readSettings } from '../settings/settings.ts';
import { loggingFailures } from '../telemetry/failures.ts';
import type { Invocation } from '../telemetry/telemetry.ts';
import { withDeadline } from '../wait/deadline.ts';
import { lazily } from '../wait/lazy.ts';
import type { HostCall } from './hostCall.ts';
import { createProcess } from './process.ts';
import { lazyTelemetry, sendsTelemetry } from './telemetry.ts';

/** What the host gives a process that it tells to go is about five seconds. */
const runsEndMs = 3_000;
const flushMs = 1_000;

export type Adapter = ReturnType<typeof createAdapter>;

/**
 * The whole app behind its triggers, wired from its settings. Nothing is opened, and no library loaded, before a
 * trigger needs it: an app that throws or dawdles while it loads looks to the Functions host like one without
 * functions. Every method rejects with a `Failure` that names a wrong setting.
 */
export function createAdapter(env: Env) {
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
      orderQueue: storage.orderQueue,
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
    /** The sentence for wrong settings, undefined when all are right. */
    settingsError: read.ok ? undefined : read.failure.message,

    /** Whether the app itself sends telemetry, so that the host need not send its log lines a second time. */
    sendsTelemetry: read.ok && sendsTelemetry(read.settings),

    schedulePolls: (call: HostCall) =>
      carryOut(call, 'scheduling polls', async ({ log }) => (await scheduling())(log)),

    pollMailbox: (order: unknown, call: HostCall) =>
      carryOut(call, 'polling a mailbox', async (invocation) => {
        const poll = await polling();
        await tracked(poll(order, invocation));
      }),

    retryDeliveries: (call: HostCall) =>
      carryOut(call, 'retrying deliveries', async (invocation) => {
        const { reportBacklog, retry } = await import('./retrying.ts');
        const process = await wired();
        try {
          await tracked(retry(process, invocation.log));
        } finally {
          await reportBacklog(process, invocation);
        }
      }),

    /** Answers a call of an HTTP function; says itself what is wrong, and never rejects. */
    async answerHttp(resource: Resource, request: ApiRequest, call: HostCall): Promise<HttpResponseInit> {
      const { answerHttp } = await import('./http.ts');
      // With wrong settings there is no telemetry, and the answer says so.
      const { log } = await follow(call).catch(() => call);
      return await answerHttp(resource, request, log, wired);
    },

    /**
     * Told to go: polls take no more mail and end, the retry gives back what it took, and what telemetry there still
     * is goes out. Resolves within four seconds.
     */
    async shutdown(): Promise<void> {
      going.abort();
      const late = () => new Error('late');
      await Promise.allSettled([withDeadline(Promise.allSettled(underWay), runsEndMs, late)]);
      const destinations = read.ok ? (await wired()).destinations : undefined;
      // What a queue kept waiting is refused then, and writes what became of it.
      const closing = Promise.all([destinations?.close(), Promise.allSettled(underWay)]);
      await Promise.allSettled([telemetry.shutdown(flushMs), withDeadline(closing, flushMs, late)]);
    },
  };
}
