import './connections.ts';
import './mails.ts';
import './openapi.ts';
import './pollMailbox.ts';
import './retryDeliveries.ts';
import './runs.ts';
import './schedulePolls.ts';
import './ui.ts';
import './undelivered.ts';
import { app } from '@azure/functions';
import { adapter } from './adapter.ts';

app.hook.appStart(() => {
  // The Functions host takes what comes on stderr for information, unless the text says otherwise.
  if (adapter.settingsError !== undefined) console.error(`Error: ${adapter.settingsError}`);
});

app.hook.appTerminate(() => adapter.shutdown());

if (adapter.sendsTelemetry) app.setup({ capabilities: { WorkerOpenTelemetryEnabled: true } });
