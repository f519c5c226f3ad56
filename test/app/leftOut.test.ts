import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { entity } from '../mail/build.ts';
import { attached, countUnsettled, mixedMail } from '../reliability/mails.ts';
import { type AppTestbed, protocols, queueName, startAppTestbed, userOf, usersOf } from './testbed.ts';

let bed: AppTestbed;
before(async () => {
  bed = await startAppTestbed({ users: usersOf('all') });
});
after(() => bed.stop());

const textOnly = Buffer.from('From: a@example.com\r\nSubject: only text\r\n\r\nHello\r\n');
const withPicture = mixedMail('From: a@example.com\r\nSubject: a picture', [
  entity('Content-Type: text/plain', 'Look'),
  attached('image/png', 'logo.png', Buffer.from('hello')),
]);

for (const protocol of protocols) {
  test(`${protocol}: a mail of which a rule leaves out all is settled, told of, and no delivered mail`, async () => {
    const user = userOf('all', protocol);
    await bed.addMailbox(user, protocol, [textOnly, withPicture], { sendMessageBody: false });
    const sent = bed.broker.queue(queueName).accepted;
    const state = await bed.poll(user);
    assert.equal(state.lastStatus, 'ok');
    assert.equal(state.lastMailCount, 1, 'the picture alone counts');
    assert.equal(bed.broker.queue(queueName).accepted - sent, 1);
    assert.equal(await countUnsettled(bed, user, protocol), 0);
    const mails = (await bed.journal(user)).filter(({ kind }) => kind === 'mail');
    assert.deepEqual(
      mails.map(({ emailSubject, outcome, reason }) => [emailSubject, outcome, reason]).toSorted(),
      [
        ['a picture', 'delivered', undefined],
        ['only text', 'left-out', 'sendMessageBody'],
      ],
    );
    assert.equal((await bed.poll(user)).lastMailCount, 0, 'it does not come again');
  });
}
