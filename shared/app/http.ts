import type { HttpResponseInit } from '@azure/functions';
import { toFailure } from '../failure/failure.ts';
import { problem, toResponse } from '../http/answer.ts';
import type { HttpDependencies } from '../http/dependencies.ts';
import type { ApiRequest } from '../http/request.ts';
import { type Resource, route } from '../http/router.ts';
import type { Log } from '../telemetry/log.ts';
import type { Process } from './process.ts';
import { hostRules, secretSources } from './secrets.ts';

/** Below the 230 s after which Azure's front end gives a request up. */
const testTimeoutMs = 60_000;
const lookUpMs = 10_000;

/** Answers one HTTP call; never rejects. What keeps it from an answer is logged and said in one sentence. */
export async function answerHttp(
  resource: Resource,
  request: ApiRequest,
  log: Log,
  wire: () => Promise<Process>,
): Promise<HttpResponseInit> {
  try {
    return toResponse(await route(resource, request, createDependencies(await wire(), log)));
  } catch (error) {
    const { reason, message } = toFailure(error, `answering ${request.method} of ${resource}`);
    log.error(message, { reason });
    return toResponse(
      reason === 'storage' ? problem(503, message, { 'Retry-After': '10' }) : problem(500, message),
    );
  }
}

function createDependencies({ settings, storage, env, destinations }: Process, log: Log): HttpDependencies {
  return {
    connections: storage.connections,
    orderQueue: storage.orderQueue,
    undelivered: storage.undelivered,
    journal: { container: () => storage.container('email-journal'), mode: settings.journal },
    async openSession(config) {
      const { createSessions } = await import('./sessions.ts');
      return await createSessions(settings, storage)(config, log);
    },
    async checkServer(config) {
      const [{ checkServer }, { resolveHost }] = await Promise.all([
        import('../mailbox/serverCheck.ts'),
        import('../mailbox/hostGuard.ts'),
      ]);
      // A host that is denied is not looked at; the session says why.
      const guarded = await resolveHost(config.host, hostRules(settings), lookUpMs).catch(() => undefined);
      return guarded === undefined ? { addresses: [] } : await checkServer({ ...config, ...guarded });
    },
    async openQueue(queueName = settings.queueName) {
      await destinations.open(queueName);
      return queueName;
    },
    secrets: secretSources(settings, env),
    now: () => new Date(),
    log,
    async forget({ customer, connection }) {
      try {
        const { forgetConnection } = await import('../delivered/deliveredMails.ts');
        await forgetConnection(await storage.delivered(), customer, connection);
        const undelivered = await storage.undelivered();
        const marks = await undelivered.readMarks(customer, connection);
        const ids = marks.map(({ identityId }) => identityId);
        await undelivered.removeMarks(customer, connection, ids);
      } catch (error) {
        // They do no harm, and are only too old after a week.
        log.warn(toFailure(error, `forgetting connection ${customer}/${connection}`).message);
      }
    },
    testTimeoutMs,
  };
}
