import packageJson from '../../../package.json' with { type: 'json' };
import type { Answer } from '../answer.ts';
import { paths } from './paths.ts';
import { schemas } from './schemas.ts';

// Imports zod (100 ms to load): reach this module by a dynamic import.

const description = `Mailboxes that are polled into Azure Service Bus, what became of each mail, and those that could not be sent.

Columns mean what they mean in the table EmailConnections. Secrets are never returned. Every answer has
Cache-Control: no-store; what is wrong is said in one sentence, as \`error\` or, column by column, as \`errors\`.`;

const document = {
  openapi: '3.1.0',
  info: {
    title: 'Email Inbound Adapter',
    version: packageJson.version,
    description,
    license: { name: 'MIT', identifier: 'MIT' },
  },
  servers: [{ url: '/', description: 'The function app.' }],
  security: [{ functionKey: [] }, { functionKeyInQuery: [] }],
  tags: [
    { name: 'connections', description: 'Mailboxes and how they are polled.' },
    { name: 'undelivered', description: 'Mails that were picked up and could not be sent.' },
    { name: 'journal', description: 'What became of each mail, and what each run did.' },
    { name: 'description', description: 'This document.' },
  ],
  paths,
  components: {
    securitySchemes: {
      functionKey: {
        type: 'apiKey',
        in: 'header',
        name: 'x-functions-key',
        description: 'A function key or host key.',
      },
      functionKeyInQuery: {
        type: 'apiKey',
        in: 'query',
        name: 'code',
        description: 'The same in the address; prefer the header, since addresses are logged.',
      },
    },
    schemas,
  },
};

/** `GET /api/openapi.json` */
export function answerDocument(): Answer {
  return { status: 200, json: document };
}
