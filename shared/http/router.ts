import { type Answer, problem, Refusal } from './answer.ts';
import type { HttpDependencies } from './dependencies.ts';
import { refuseUnknownQuery } from './query.ts';
import type { ApiRequest } from './request.ts';

/** The HTTP functions, by name. */
export type Resource = 'connections' | 'undelivered' | 'mails' | 'runs' | 'openapi';

/** Answers one request; loads just what this call needs. Rejects with a `Failure` where storage is away. */
export async function route(
  resource: Resource,
  request: ApiRequest,
  dependencies: HttpDependencies,
): Promise<Answer> {
  if (Object.values(request.params).some((value) => !value.isWellFormed())) {
    return problem(400, 'The address holds half a character (a lone surrogate); correct it.');
  }
  const methods = await methodsOf(resource, request);
  if (methods === undefined) return problem(404, 'There is nothing at this address. See /api/openapi.json.');
  const method = Object.hasOwn(methods, request.method) ? methods[request.method] : undefined;
  if (method === undefined) {
    const allowed = Object.keys(methods).join(', ');
    return problem(405, `${request.method} is not possible here; use ${allowed}.`, { Allow: allowed });
  }
  try {
    refuseUnknownQuery(request, method.query ?? []);
    return await method.handle(request, dependencies);
  } catch (error) {
    if (error instanceof Refusal) return error.answer;
    throw error;
  }
}

interface Method {
  readonly handle: (request: ApiRequest, dependencies: HttpDependencies) => Promise<Answer>;
  /** The query parameters that it has. */
  readonly query?: readonly string[];
}
type Methods = Readonly<Record<string, Method>>;

/** Undefined for an address that is none. */
async function methodsOf(resource: Resource, { params }: ApiRequest): Promise<Methods | undefined> {
  if (resource === 'openapi') {
    return { GET: { handle: async () => (await import('./openapi/document.ts')).answerDocument() } };
  }
  if (resource === 'mails' || resource === 'runs') {
    const { listMails, listRuns, mailsQuery, runsQuery } = await import('./journal.ts');
    return resource === 'mails'
      ? { GET: { handle: listMails, query: mailsQuery } }
      : { GET: { handle: listRuns, query: runsQuery } };
  }
  // The host gives an optional parameter that is not there as missing or as empty.
  const { action } = params;
  if (resource === 'undelivered') {
    const undelivered = await import('./undelivered.ts');
    if (!params.id)
      return { GET: { handle: undelivered.listUndelivered, query: undelivered.undeliveredQuery } };
    const { readUndelivered, giveUpUndelivered, resendUndelivered } = undelivered;
    if (!action) return { GET: { handle: readUndelivered }, DELETE: { handle: giveUpUndelivered } };
    return action === 'resend' ? { POST: { handle: resendUndelivered } } : undefined;
  }
  const connections = await import('./connections.ts');
  if (!params.customer) {
    return { GET: { handle: connections.listConnections, query: connections.connectionsQuery } };
  }
  if (!params.connection) return undefined;
  if (action === 'test')
    return { POST: { handle: (await import('./testConnection.ts')).testConnection, query: ['steps'] } };
  if (action === 'poll') {
    const { orderPoll } = await import('./orderPoll.ts');
    return { POST: { handle: orderPoll, query: ['wait'] } };
  }
  if (action) return undefined;
  const { readConnection, putConnection, deleteConnection } = connections;
  return {
    GET: { handle: readConnection },
    PUT: { handle: putConnection },
    DELETE: { handle: deleteConnection },
  };
}
