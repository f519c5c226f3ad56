import { type Answer, problem } from './answer.ts';
import type { HttpDependencies } from './dependencies.ts';
import type { ApiRequest } from './request.ts';

/** The HTTP functions, by name. */
export type Resource = 'connections' | 'undelivered' | 'openapi';

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
  const handle = Object.hasOwn(methods, request.method) ? methods[request.method] : undefined;
  if (handle !== undefined) return await handle(request, dependencies);
  const allowed = Object.keys(methods).join(', ');
  return problem(405, `${request.method} is not possible here; use ${allowed}.`, { Allow: allowed });
}

type Handler = (request: ApiRequest, dependencies: HttpDependencies) => Promise<Answer>;
type Methods = Readonly<Record<string, Handler>>;

/** Undefined for an address that is none. */
async function methodsOf(resource: Resource, { params }: ApiRequest): Promise<Methods | undefined> {
  if (resource === 'openapi') {
    return { GET: async () => (await import('./openapi/document.ts')).answerDocument() };
  }
  // The host gives an optional parameter that is not there as missing or as empty.
  const { action } = params;
  if (resource === 'undelivered') {
    const { listUndelivered, readUndelivered, resendUndelivered } = await import('./undelivered.ts');
    if (!params.id) return { GET: listUndelivered };
    if (!action) return { GET: readUndelivered };
    return action === 'resend' ? { POST: resendUndelivered } : undefined;
  }
  const connections = await import('./connections.ts');
  if (!params.customer) return { GET: connections.listConnections };
  if (!params.connection) return undefined;
  if (action === 'test') return { POST: (await import('./testConnection.ts')).testConnection };
  if (action === 'poll') return { POST: connections.orderPoll };
  if (action) return undefined;
  const { readConnection, putConnection, deleteConnection } = connections;
  return { GET: readConnection, PUT: putConnection, DELETE: deleteConnection };
}
