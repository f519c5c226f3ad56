import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createStorage } from '../../shared/app/storage.ts';
import { openJournal } from '../../shared/journal/journal.ts';
import type { MailLine, RunLine } from '../../shared/journal/lines.ts';
import type { RunningApp } from '../app/testbed.ts';
import { accessTo } from '../destination/support.ts';

/** Writes mails, and what the run came to, into the journal of a connection of customer `acme`, as a poll does. */
export async function writeJournal(
  { azurite }: Pick<RunningApp, 'azurite'>,
  connection: string,
  mails: readonly MailLine[],
  run?: RunLine,
  runId: string = randomUUID(),
): Promise<void> {
  const journal = openJournal({
    ...{ customer: 'acme', connection, mode: 'full', runId },
    container: () => createStorage(accessTo(azurite.connectionString)).container('email-journal'),
  });
  for (const mail of mails) journal.addMail(mail);
  assert.equal(await journal.end(run), undefined);
}
