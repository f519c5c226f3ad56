import { app } from '@azure/functions';
import { createAdapter } from '../shared/app/adapter.ts';
import { callOf } from '../shared/app/hostCall.ts';

/** The one adapter of this process, behind all triggers. */
const adapter = createAdapter(process.env);

app.timer('schedulePolls', {
  schedule: '%POLL_SCHEDULE%',
  handler: (_timer, context) => adapter.schedulePolls(callOf(context)),
});

app.storageQueue('pollMailbox', {
  queueName: 'email-polls',
  connection: 'AzureWebJobsStorage',
  handler: (order, context) => adapter.pollMailbox(order, callOf(context)),
});

app.timer('retryDeliveries', {
  schedule: '%RETRY_SCHEDULE%',
  handler: (_timer, context) => adapter.retryDeliveries(callOf(context)),
});

for (const [name, route] of [
  ['connections', 'connections/{customer?}/{connection?}/{action?}'],
  ['undelivered', 'undelivered/{id?}/{action?}'],
  ['mails', 'mails'],
  ['runs', 'runs'],
  ['openapi', 'openapi.json'],
] as const) {
  app.http(name, {
    route,
    methods: name === 'openapi' ? ['GET'] : ['GET', 'PUT', 'POST', 'DELETE'],
    authLevel: 'function',
    handler: (request, context) => adapter.answerHttp(name, request, callOf(context)),
  });
}

app.http('ui', {
  route: 'ui',
  methods: ['GET'],
  authLevel: 'anonymous',
  handler: async (request) => (await import('../shared/ui/answer.ts')).answerPage(request),
});

app.hook.appStart(() => {
  // The Functions host takes what comes on stderr for information, unless the text says otherwise.
  if (adapter.settingsError !== undefined) console.error(`Error: ${adapter.settingsError}`);
});

app.hook.appTerminate(() => adapter.shutdown());

if (adapter.sendsTelemetry) app.setup({ capabilities: { WorkerOpenTelemetryEnabled: true } });
