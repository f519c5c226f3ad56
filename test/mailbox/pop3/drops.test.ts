import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Failure } from '../../../shared/failure/failure.ts';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { forEachOf } from '../../../shared/wait/parallel.ts';
import { CountedMemory, type Fetched, fetched } from '../memory.ts';
import { timeoutsOf } from '../outcomes.ts';
import { type Delivery, fullCapabilities } from './scriptedServer.ts';
import { threeMails as mails, measured, pop3Options, sources, withServer } from './sessions.ts';

const atOnce = 24;

/** A whole session, as a poll has it, against a server that goes away; gives how much that has sent. */
const poll = (delivery: Delivery, capa: readonly string[], silenceMs: number): Promise<number> =>
  withServer({ capa, delivery }, async ({ port, deleted, sentBytes }) => {
    const where = `after byte ${delivery.dropAt}`;
    const timeouts = timeoutsOf(silenceMs);
    const memory = new CountedMemory();
    const came: Fetched[] = [];
    let failure: unknown;
    const fail = (error: unknown): undefined => {
      failure = error;
    };
    const session = await openPop3Mailbox(pop3Options(port, { timeouts })).catch(fail);
    try {
      for await (const answer of session ? fetched(session, await measured(session), memory) : [])
        came.push(answer);
      await session?.settle(came.map(({ mail }) => mail));
    } catch (error) {
      fail(error);
    }
    const confirmed = await session?.close();

    assert.deepEqual(sources(came), mails.slice(0, came.length), where);
    assert.equal(memory.heldBytes, 0, where);
    if (failure !== undefined) {
      assert.ok(failure instanceof Failure, `${where}: ${failure}`);
      assert.match(failure.reason, /^(connection-lost|timeout)$/, `${where}: ${failure}`);
    } else {
      assert.equal(came.length, mails.length, where);
      // What the client counts as deleted is deleted; what it doesn't may be, when only the answer was lost.
      if (confirmed) assert.equal(deleted(), mails.length, where);
    }
    return sentBytes();
  });

describe('POP3 when the connection is lost', () => {
  for (const drop of ['fin', 'rst', 'silence'] as const) {
    for (const capa of [fullCapabilities, ['UIDL', 'USER']]) {
      const manner = capa.includes('PIPELINING') ? 'pipelined' : 'sequential';

      it(`ends in a failure, with no mail cut short, after every byte (${drop}, ${manner})`, async () => {
        const sentBytes = await poll({}, capa, 10_000);
        const bytes = Array.from({ length: sentBytes - 1 }, (_, index) => index + 1);
        const silenceMs = drop === 'silence' ? 60 : 10_000;
        await forEachOf(bytes, atOnce, (dropAt) => poll({ dropAt, drop }, capa, silenceMs));
      });
    }
  }
});
