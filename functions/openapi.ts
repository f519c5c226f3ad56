import { app } from '@azure/functions';
import { adapter } from './adapter.ts';
import { callOf } from './hostCall.ts';

app.http('openapi', {
  route: 'openapi.json',
  methods: ['GET'],
  authLevel: 'function',
  handler: (request, context) => adapter.answerHttp('openapi', request, callOf(context)),
});
