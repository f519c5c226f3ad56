import { app } from '@azure/functions';
import { logTo } from '../shared/telemetry/contextLog.ts';
import { adapter } from './adapter.ts';

app.timer('schedulePolls', {
  schedule: '%POLL_SCHEDULE%',
  handler: (_timer, context) => adapter.schedulePolls(logTo(context)),
});
