import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mailboxColumns } from '../app/testbed.ts';
import { seedMaildir } from '../testbed/seed.ts';
import { startUiTestbed, type UiTestbed } from './browser.ts';

let ui: UiTestbed;

before(async () => {
  ui = await startUiTestbed({ users: ['anna'], settings: { JOURNAL: 'ids' } });
});
after(() => ui.stop());

const mail = Buffer.from(
  [
    'From: Xaver <xaver@example.org>',
    'Subject: Invoice 4711',
    'Message-ID: <4711@example.org>',
    'Content-Type: text/plain',
    '',
    'As agreed.',
    '',
  ].join('\r\n'),
);

test('with JOURNAL at ids the mails say why there is no subject, and are found by their Message-ID', async (context) => {
  await seedMaildir(ui.bed.dovecot.maildir('anna'), [mail]);
  await ui.bed.addConnection('ids', mailboxColumns(ui.bed.dovecot, 'IMAP', 'anna'));
  await ui.bed.poll('ids');
  const { page } = await ui.open(context);
  await page.getByRole('link', { name: 'Mails', exact: true }).click();
  await page
    .getByText('The app setting JOURNAL is ids: subjects, addresses and file names are not kept')
    .waitFor();
  const row = page.locator('tbody.mail');
  await row
    .filter({ hasText: /\(no subject\).*acme\/ids.*Delivered.*1 message to email-inbound/s })
    .waitFor();
  const search = page.getByRole('searchbox');
  assert.equal(await search.getAttribute('placeholder'), 'A whole Message-ID');
  assert.doesNotMatch(String(await page.locator('main').textContent()), /Invoice|xaver/i);

  await search.fill('Invoice 4711');
  await page.getByText('No such mail was picked up').waitFor();
  await search.fill('<4711@example.org>');
  await row.waitFor();
  await page.getByText('JOURNAL is ids').waitFor();
});
