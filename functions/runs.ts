import { app } from '@azure/functions';
import { adapter } from './adapter.ts';
import { callOf } from './hostCall.ts';

app.http('runs', {
  route: 'runs',
  methods: ['GET', 'PUT', 'POST', 'DELETE'],
  authLevel: 'function',
  handler: (request, context) => adapter.answerHttp('runs', request, callOf(context)),
});
