import type { StoredPart } from '../undelivered/manifest.ts';
import type { UndeliveredRecord } from '../undelivered/record.ts';
import { type Answer, refuse } from './answer.ts';
import type { HttpDependencies } from './dependencies.ts';
import { readPage } from './query.ts';
import type { ApiRequest } from './request.ts';

export const undeliveredQuery = ['customer', 'connection', 'limit', 'after'] as const;

/** `GET /api/undelivered`: newest first, a page at a time. */
export async function listUndelivered(request: ApiRequest, dependencies: HttpDependencies): Promise<Answer> {
  const page = readPage(request);
  const { records, next } = await (await dependencies.undelivered()).list(page);
  return { status: 200, json: { undelivered: records.map(recordJson), next } };
}

/** `GET /api/undelivered/{id}`: one with its parts. */
export async function readUndelivered(
  { params: { id = '' } }: ApiRequest,
  dependencies: HttpDependencies,
): Promise<Answer> {
  const store = await dependencies.undelivered();
  const record = (await store.get(id)) ?? refuseMissing();
  const parts = await store.parts.read(id).catch(async (error: unknown) => {
    // It may have been delivered or given up between the two.
    if ((await store.get(id)) === undefined) refuseMissing();
    throw error;
  });
  return { status: 200, json: { ...recordJson(record), parts: parts.map(partJson) } };
}

/** `POST /api/undelivered/{id}/resend`: due now, also an abandoned one. */
export async function resendUndelivered(
  { params: { id = '' } }: ApiRequest,
  dependencies: HttpDependencies,
): Promise<Answer> {
  if (!(await (await dependencies.undelivered()).resend(id))) refuseMissing();
  return { status: 202, json: { id } };
}

/** `DELETE /api/undelivered/{id}`: given up for good, and said so in the journal. */
export async function giveUpUndelivered(
  { params: { id = '' } }: ApiRequest,
  dependencies: HttpDependencies,
): Promise<Answer> {
  const record = (await (await dependencies.undelivered()).giveUp(id)) ?? refuseMissing();
  const { customer, connection, storedAt: mailAt, interchangeId } = record;
  const { addLaterOutcomes } = await import('../journal/journal.ts');
  const warning = await addLaterOutcomes(dependencies.journal, [
    { customer, connection, mailAt, at: dependencies.now(), interchangeId, outcome: 'given-up' },
  ]);
  if (warning !== undefined) dependencies.log.warn(warning, { customer, connection });
  return { status: 204 };
}

function refuseMissing(): never {
  return refuse(404, 'There is no undelivered mail of this id; it may have been delivered meanwhile.');
}

function recordJson({ protocol: _, ...record }: UndeliveredRecord): Record<string, unknown> {
  return record;
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
