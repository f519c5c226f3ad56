import { app } from '@azure/functions';
import { adapter } from './adapter.ts';
import { callOf } from './hostCall.ts';

app.http('mails', {
  route: 'mails',
  methods: ['GET', 'PUT', 'POST', 'DELETE'],
  authLevel: 'function',
  handler: (request, context) => adapter.answerHttp('mails', request, callOf(context)),
});
