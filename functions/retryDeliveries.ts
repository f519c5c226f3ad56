import { app } from '@azure/functions';
import { adapter } from './adapter.ts';
import { callOf } from './hostCall.ts';

app.timer('retryDeliveries', {
  schedule: '%RETRY_SCHEDULE%',
  handler: (_timer, context) => adapter.retryDeliveries(callOf(context)),
});
