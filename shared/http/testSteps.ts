import type { ConnectionConfig } from '../connection/config.ts';
import { type Failure, type FailureReason, toFailure } from '../failure/failure.ts';
import type { Content, ContentStore } from '../mail/mail.ts';
import type { MailboxSample, MailboxSession } from '../mailbox/mailbox.ts';
import type { HttpDependencies } from './dependencies.ts';
import {
  type Folders,
  type MailPreview,
  type SteppedOutcome,
  type TestStep,
  type TestStepName,
  testStepNames,
} from './testOutcome.ts';

const previewMails = 3;
/** Of those that filters may take or leave out. */
const filteredPreviewMails = 10;
const previewBytes = 256 * 1_024;
const warnDays = 14;
const dayMs = 86_400_000;

/** Which step a failure of the session belongs to; those before it went well. */
const stepOfReason: Partial<Record<FailureReason, TestStepName>> = {
  'host-denied': 'name',
  'unknown-host': 'name',
  refused: 'connection',
  timeout: 'connection',
  'connection-lost': 'connection',
  protocol: 'connection',
  tls: 'certificate',
  folder: 'folder',
};

/**
 * Tests a connection step by step: name, connection, certificate, login, folder, queue, and the mails that wait; over
 * IMAP the first of them as they would be sent, by their first 256 KiB, and whether the filters take them; over POP3 by
 * their headers, where those may be asked for. Marks, deletes, retrieves and sends nothing.
 */
export async function testInSteps(
  config: ConnectionConfig,
  dependencies: HttpDependencies,
): Promise<SteppedOutcome> {
  const [checked, opened] = await Promise.all([
    dependencies.checkServer(config),
    dependencies.openSession(config).then(
      (session) => ({ session }),
      (error: unknown) => ({ failure: toFailure(error, 'testing the connection') }),
    ),
  ]);
  const { addresses, certificateEndsAt } = checked;
  const isTls = config.security !== 'plain';
  const all: TestStep[] = [
    ok(
      'name',
      addresses.length === 0 ? config.host : `${config.host} is ${addresses.slice(0, 4).join(', ')}.`,
    ),
    ok('connection', `${config.protocol.toUpperCase()} on port ${config.port}.`),
    ...(isTls ? [certificateStep(certificateEndsAt, dependencies.now())] : []),
    ok('login', `Logged in as ${config.username}.`),
  ];
  if ('failure' in opened) {
    const { reason } = opened.failure;
    const failed = failedAt(stepOfReason[reason] ?? 'login', all, opened.failure);
    if (reason !== 'folder' || config.protocol !== 'imap') return failed;
    return { ...failed, ...(await foldersBesides(config, dependencies)) };
  }
  const { session } = opened;
  if (config.protocol === 'imap') all.push(ok('folder', `${config.folder} is open.`));
  let step: TestStepName = 'queue';
  try {
    const queueName = await dependencies.openQueue(config.queueName);
    step = 'mails';
    all.push(ok('queue', `${queueName} is reached.`));
    const limit = config.filters === undefined ? previewMails : filteredPreviewMails;
    const sample = await session.sample(limit, previewBytes);
    const preview = await previewOf(sample, config);
    const steps = [...all, ok('mails', describeMails(sample.count, preview))];
    return { ok: true, mails: sample.count, steps, preview, ...(await foldersOf(session)) };
  } catch (error) {
    const doing = step === 'queue' ? 'reaching the queue' : 'testing the connection';
    return failedAt(step, all, toFailure(error, doing));
  } finally {
    await session.close();
  }
}

/** The folders of a mailbox whose configured one can't be opened: INBOX is there always (RFC 3501, 5.1). */
async function foldersBesides(config: ConnectionConfig, dependencies: HttpDependencies): Promise<Folders> {
  const { moveToFolder: _, ...rest } = config;
  const session = await dependencies.openSession({ ...rest, folder: 'INBOX' }).catch(() => undefined);
  if (session === undefined) return {};
  try {
    return await foldersOf(session);
  } finally {
    await session.close();
  }
}

/** To be asked for last: what fails here ends the session, and is no failure of the connection. */
async function foldersOf(session: MailboxSession): Promise<Folders> {
  const folders = await session.listFolders().catch(() => []);
  return folders.length === 0 ? {} : { folders };
}

function describeMails(mails: number, preview: readonly MailPreview[]): string {
  const waiting = mails === 0 ? 'None waits.' : mails === 1 ? 'One waits.' : `${mails} wait.`;
  const judged = preview.filter(({ isTaken }) => isTaken !== undefined);
  if (judged.length === 0) return waiting;
  const taken = judged.filter(({ isTaken }) => isTaken).length;
  return `${waiting} Of the first ${judged.length} the filters take ${taken}.`;
}

function ok(step: TestStepName, text: string): TestStep {
  return { step, result: 'ok', text };
}

/** The steps up to the one that failed; what comes after it was not tried. */
function failedAt(step: TestStepName, before: readonly TestStep[], { message }: Failure): SteppedOutcome {
  const at = testStepNames.indexOf(step);
  const steps = before.filter((each) => testStepNames.indexOf(each.step) < at);
  return { ok: false, error: message, steps: [...steps, { step, result: 'failed', text: message }] };
}

function certificateStep(endsAt: Date | undefined, now: Date): TestStep {
  if (endsAt === undefined) return ok('certificate', 'Its certificate is trusted.');
  const days = Math.floor((endsAt.getTime() - now.getTime()) / dayMs);
  const lastDay = endsAt.toISOString().slice(0, 10);
  if (days >= warnDays) return ok('certificate', `Its certificate is trusted, and good until ${lastDay}.`);
  const text = `Its certificate ends on ${lastDay}: the polls fail then. Tell the server’s owner.`;
  return { step: 'certificate', result: 'warning', text };
}

async function previewOf(
  { heads }: MailboxSample,
  { protocol, rules, filters }: ConnectionConfig,
): Promise<readonly MailPreview[]> {
  if (heads.length === 0) return [];
  const [{ splitMail }, { createHeaderFilter }] = await Promise.all([
    import('../mail/splitMail.ts'),
    import('../mail/headerFilter.ts'),
  ]);
  const filter = filters === undefined ? undefined : createHeaderFilter(filters);
  const isHeader = protocol === 'pop3';
  const previews: MailPreview[] = [];
  for (const bytes of heads) {
    const source = {
      sizeBytes: bytes.length,
      open: async () =>
        (async function* () {
          yield bytes;
        })(),
    };
    const limits = { ...rules, maxMailBytes: previewBytes * 2 };
    const { envelope, parts } = await splitMail(source, limits, sizesOnly);
    const { subject, from, date } = envelope;
    const shown = parts
      .slice(0, 100)
      .map(({ kind, fileName, contentType }) => ({ partKind: kind, fileName, contentType }));
    previews.push({
      ...(subject === undefined ? {} : { subject: subject.slice(0, 1_024) }),
      ...(from === undefined ? {} : { from: from.slice(0, 1_024) }),
      ...(date === undefined ? {} : { date }),
      parts: isHeader ? [] : shown,
      isCut: isHeader || bytes.length >= previewBytes,
      ...(filter === undefined ? {} : { isTaken: filter.takes(bytes) }),
    });
  }
  return previews;
}

/** A preview says how large the parts are and holds none of them. */
const sizesOnly: ContentStore = {
  put: async ({ length }) => sized(length),
  begin() {
    let sizeBytes = 0;
    return {
      write(piece) {
        sizeBytes += piece.length;
      },
      end: async () => sized(sizeBytes),
      abort: async () => undefined,
    };
  },
};

function sized(sizeBytes: number): Content {
  return { kind: 'bytes', bytes: Buffer.alloc(0), sizeBytes, sha256: '' };
}
