import { app } from '@azure/functions';
import { adapter } from './adapter.ts';
import { callOf } from './hostCall.ts';

app.http('connections', {
  route: 'connections/{customer?}/{connection?}/{action?}',
  methods: ['GET', 'PUT', 'POST', 'DELETE'],
  authLevel: 'function',
  handler: (request, context) => adapter.answerHttp('connections', request, callOf(context)),
});
