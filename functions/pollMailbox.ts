import { app } from '@azure/functions';
import { adapter } from './adapter.ts';
import { callOf } from './hostCall.ts';

app.storageQueue('pollMailbox', {
  queueName: 'email-polls',
  connection: 'AzureWebJobsStorage',
  handler: (order, context) => adapter.pollMailbox(order, callOf(context)),
});
