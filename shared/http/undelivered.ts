import type { UndeliveredRecord } from '../undelivered/record.ts';
import { type Answer, problem } from './answer.ts';
import type { HttpDependencies } from './dependencies.ts';
import { readLimit } from './paging.ts';
import { type ApiRequest, parameter } from './request.ts';

/** `GET /api/undelivered`: the newest records, newest first. */
export async function listUndelivered(request: ApiRequest, dependencies: HttpDependencies): Promise<Answer> {
  const limit = readLimit(request, { usual: 100, most: 1_000 });
  if (limit === undefined) return problem(400, 'limit must be a whole number from 1 to 1000.');
  const store = await dependencies.undelivered();
  return { status: 200, json: { undelivered: (await store.list({ limit })).records.map(recordJson) } };
}

/** `GET /api/undelivered/{id}` */
export async function readUndelivered(request: ApiRequest, dependencies: HttpDependencies): Promise<Answer> {
  const id = parameter(request, 'id') ?? '';
  const record = await (await dependencies.undelivered()).get(id);
  return record === undefined ? missing() : { status: 200, json: recordJson(record) };
}

/** `POST /api/undelivered/{id}/resend`: due now, also an abandoned one. */
export async function resendUndelivered(
  request: ApiRequest,
  dependencies: HttpDependencies,
): Promise<Answer> {
  const id = parameter(request, 'id') ?? '';
  const isThere = await (await dependencies.undelivered()).resend(id);
  return isThere ? { status: 202, json: { id } } : missing();
}

function missing(): Answer {
  return problem(404, 'There is no undelivered mail of this id; it may have been delivered meanwhile.');
}

function recordJson(record: UndeliveredRecord): Record<string, unknown> {
  const { storedAt, nextTryAt, lastTryAt, ...rest } = record;
  return {
    ...rest,
    storedAt: storedAt.toISOString(),
    nextTryAt: nextTryAt?.toISOString(),
    lastTryAt: lastTryAt?.toISOString(),
  };
}
