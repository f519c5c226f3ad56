import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Failure } from '../../../shared/failure/failure.ts';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import type { Fetched } from '../memory.ts';
import {
  type Delivery,
  fullCapabilities,
  type ScriptedServer,
  startScriptedServer,
} from './scriptedServer.ts';
import { fetched, measured, pop3Options } from './sessions.ts';

const mails = ['one\r\n', '.two\r\n', '3\r\n..\r\n'].map((text) => Buffer.from(text));
const atOnce = 24;

interface Outcome {
  readonly came: readonly Fetched[];
  readonly failure: Failure | undefined;
  readonly settled: boolean;
  readonly confirmed: boolean;
  readonly deletedAtServer: number;
  readonly sentBytes: number;
}

/** A whole session, as a poll has it, against a server that goes away. */
async function poll(delivery: Delivery, capa: readonly string[], silenceMs: number): Promise<Outcome> {
  const server = await startScriptedServer({ mails, capa, delivery });
  try {
    return await pollServer(server, silenceMs);
  } finally {
    await server.stop();
  }
}

async function pollServer(server: ScriptedServer, silenceMs: number): Promise<Outcome> {
  const timeouts = { connectMs: silenceMs, openMs: silenceMs, commandMs: silenceMs };
  const came: Fetched[] = [];
  let failure: Failure | undefined;
  let settled = false;
  let confirmed = false;
  const fail = (error: unknown) => {
    assert.ok(error instanceof Failure, `not a Failure: ${String(error)}`);
    failure = error;
  };
  const session = await openPop3Mailbox(pop3Options(server.port, { timeouts })).catch(fail);
  if (session !== undefined) {
    try {
      for await (const answer of fetched(session, await measured(session))) came.push(answer);
      await session.settle(came.map(({ mail }) => mail));
      settled = true;
    } catch (error) {
      fail(error);
    }
    confirmed = await session.close();
  }
  return {
    came,
    failure,
    settled,
    confirmed,
    deletedAtServer: server.deleted(),
    sentBytes: server.sentBytes(),
  };
}

describe('POP3 when the connection is lost', () => {
  for (const drop of ['fin', 'rst', 'silence'] as const) {
    for (const capa of [fullCapabilities, ['UIDL', 'USER']]) {
      const manner = capa.includes('PIPELINING') ? 'pipelined' : 'sequential';

      it(`ends in a failure, with no mail cut short, after every byte (${drop}, ${manner})`, async () => {
        const { sentBytes } = await poll({}, capa, 10_000);
        let next = 1;
        const pollOn = async () => {
          for (let dropAt = next++; dropAt < sentBytes; dropAt = next++) {
            const outcome = await poll({ dropAt, drop }, capa, drop === 'silence' ? 60 : 10_000);
            check(outcome, `after byte ${dropAt}`);
          }
        };
        await Promise.all(Array.from({ length: atOnce }, pollOn));
      });
    }
  }
});

function check({ came, failure, settled, confirmed, deletedAtServer }: Outcome, where: string): void {
  for (const [index, answer] of came.entries()) {
    assert.equal(answer.kind, 'mail', where);
    if (answer.kind === 'mail') assert.deepEqual(answer.source, mails[index], where);
  }
  assert.equal(failure === undefined, settled, where);
  if (settled) assert.equal(came.length, mails.length, where);
  // What the client counts as deleted is deleted; what it doesn't may be, when only the answer was lost.
  if (confirmed && settled) assert.equal(deletedAtServer, mails.length, where);
  if (failure !== undefined) {
    assert.match(failure.reason, /^(connection-lost|timeout)$/, `${where}: ${failure.message}`);
  }
}
