import { app } from '@azure/functions';
import { adapter } from './adapter.ts';
import { callOf } from './hostCall.ts';

app.http('undelivered', {
  route: 'undelivered/{id?}/{action?}',
  methods: ['GET', 'PUT', 'POST', 'DELETE'],
  authLevel: 'function',
  handler: (request, context) => adapter.answerHttp('undelivered', request, callOf(context)),
});
