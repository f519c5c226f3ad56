import { app } from '@azure/functions';
import { adapter } from './adapter.ts';
import { callOf } from './hostCall.ts';

app.timer('schedulePolls', {
  schedule: '%POLL_SCHEDULE%',
  handler: (_timer, context) => adapter.schedulePolls(callOf(context)),
});
