import type { StoredPart } from '../undelivered/manifest.ts';
import type { UndeliveredRecord } from '../undelivered/record.ts';
import { type Answer, problem } from './answer.ts';
import type { HttpDependencies } from './dependencies.ts';
import { queryText, readLimit } from './query.ts';
import { type ApiRequest, parameter } from './request.ts';

export const undeliveredQuery = ['customer', 'connection', 'limit', 'after'] as const;

/** `GET /api/undelivered`: newest first, a page at a time. */
export async function listUndelivered(request: ApiRequest, dependencies: HttpDependencies): Promise<Answer> {
  const limit = readLimit(request, { usual: 100, most: 1_000 });
  if (!limit.ok) return limit.answer;
  const [customer, connection, after] = ['customer', 'connection', 'after'].map((name) =>
    queryText(request, name),
  );
  const { records, next } = await (await dependencies.undelivered()).list({
    limit: limit.value,
    ...(customer === undefined ? {} : { customer }),
    ...(connection === undefined ? {} : { connection }),
    ...(after === undefined ? {} : { after }),
  });
  return { status: 200, json: { undelivered: records.map(recordJson), next } };
}

/** `GET /api/undelivered/{id}`: one with its parts. */
export async function readUndelivered(request: ApiRequest, dependencies: HttpDependencies): Promise<Answer> {
  const id = parameter(request, 'id') ?? '';
  const store = await dependencies.undelivered();
  const record = await store.get(id);
  if (record === undefined) return missing();
  const parts = await store.parts.read(id).catch(async (error: unknown) => {
    // It may have been delivered or given up between the two.
    if ((await store.get(id)) !== undefined) throw error;
    return undefined;
  });
  if (parts === undefined) return missing();
  return { status: 200, json: { ...recordJson(record), parts: parts.map(partJson) } };
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

/** `DELETE /api/undelivered/{id}`: given up for good, and said so in the journal. */
export async function giveUpUndelivered(
  request: ApiRequest,
  dependencies: HttpDependencies,
): Promise<Answer> {
  const id = parameter(request, 'id') ?? '';
  const record = await (await dependencies.undelivered()).giveUp(id);
  if (record === undefined) return missing();
  const { customer, connection, storedAt, interchangeId } = record;
  const { addLaterOutcomes } = await import('../journal/journal.ts');
  const outcome = {
    customer,
    connection,
    mailAt: storedAt,
    at: dependencies.now(),
    interchangeId,
    outcome: 'given-up',
  } as const;
  const warning = await addLaterOutcomes(dependencies.journal, [outcome]);
  if (warning !== undefined) dependencies.log.warn(warning, { customer, connection });
  return { status: 204 };
}

function missing(): Answer {
  return problem(404, 'There is no undelivered mail of this id; it may have been delivered meanwhile.');
}

function recordJson(record: UndeliveredRecord): Record<string, unknown> {
  const { storedAt, nextTryAt, lastTryAt, protocol: _, ...rest } = record;
  return {
    ...rest,
    storedAt: storedAt.toISOString(),
    nextTryAt: nextTryAt?.toISOString(),
    lastTryAt: lastTryAt?.toISOString(),
  };
}

/** What its message says. */
function partJson({ partNumber, head, content }: StoredPart): Record<string, unknown> {
  const { inboundFileName } = head.applicationProperties;
  return {
    partNumber,
    messageId: head.messageId,
    partKind: head.subject,
    inboundFileName,
    contentType: head.contentType,
    size: content.sizeBytes,
    sha256: content.sha256,
  };
}
