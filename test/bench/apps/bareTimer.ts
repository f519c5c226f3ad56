import { app } from '@azure/functions';

/** The least an app with a timer can be. */
app.timer('schedulePolls', { schedule: '%POLL_SCHEDULE%', handler: () => undefined });
