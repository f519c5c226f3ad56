import { app } from '@azure/functions';
import { logTo } from '../shared/telemetry/contextLog.ts';
import { adapter } from './adapter.ts';

app.timer('retryDeliveries', {
  schedule: '%RETRY_SCHEDULE%',
  handler: (_timer, context) => adapter.retryDeliveries(logTo(context)),
});
