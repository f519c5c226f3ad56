import { app } from '@azure/functions';
import { logTo } from '../shared/telemetry/contextLog.ts';
import { adapter } from './adapter.ts';

app.storageQueue('pollMailbox', {
  queueName: 'email-polls',
  connection: 'AzureWebJobsStorage',
  handler: (order, context) => adapter.pollMailbox(order, logTo(context)),
});
