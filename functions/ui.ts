import { app } from '@azure/functions';

app.http('ui', {
  route: 'ui',
  methods: ['GET'],
  authLevel: 'anonymous',
  handler: async (request) => (await import('../shared/ui/answer.ts')).answerPage(request),
});
