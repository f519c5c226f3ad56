import type { Sender } from 'rhea';
import { long, plain } from './amqpValues.ts';
import { conditions } from './faults.ts';
import type { BrokerQueue } from './queue.ts';
import { announceProperties, answerAttach, isAlive, withholdAttach } from './rheaInternals.ts';
import { isRecord } from './wireMessage.ts';

const filterName = 'com.microsoft:session-filter';
const defaultWaitMs = 60_000;

/** The session that a receiver's link asks for: `none`, one by name, or the next free one. */
export type SessionWish = { kind: 'none' } | { kind: 'named'; sessionId: string } | { kind: 'next' };

/** Reads the session filter of a receiver's attach. */
export function sessionWishOf(sender: Sender): SessionWish {
  const filter: unknown = sender.source?.filter;
  if (!isRecord(filter) || !(filterName in filter)) return { kind: 'none' };
  const sessionId = plain(filter[filterName]);
  return typeof sessionId === 'string' ? { kind: 'named', sessionId } : { kind: 'next' };
}

/**
 * Locks the session wished for and answers the attach with its id; waits for one to come free as long as the
 * link says, then closes the link with a timeout. A named one that is taken is refused at once. `lost` is called when the
 * session's lock runs out.
 */
export function acceptSession(
  sender: Sender,
  queue: BrokerQueue,
  wish: SessionWish,
  lost: () => void,
  accepted: (sessionId: string) => void,
): void {
  const wanted = wish.kind === 'named' ? wish.sessionId : undefined;
  const tryNow = () => {
    const sessionId = queue.lockSession(wanted, lost);
    if (sessionId === undefined) return false;
    sender.set_source({ address: sender.source.address, filter: { [filterName]: sessionId } });
    sender.set_target({ address: '' });
    announceProperties(sender, {
      'com.microsoft:locked-until-utc': ticks(Date.now() + queue.lockDurationMs),
    });
    accepted(sessionId);
    return true;
  };
  if (tryNow()) return;
  if (wanted !== undefined) {
    sender.close(conditions.sessionLocked(wanted));
    return;
  }
  withholdAttach(sender);
  const finish = () => {
    stopWaiting();
    clearTimeout(deadline);
  };
  const stopWaiting = queue.whenAvailable(() => {
    if (!isAlive(sender.connection) || !sender.is_remote_open()) finish();
    else if (tryNow()) {
      finish();
      answerAttach(sender);
    }
  });
  const deadline = setTimeout(() => {
    finish();
    if (!isAlive(sender.connection)) return;
    answerAttach(sender);
    sender.close(conditions.timeout());
  }, waitMsOf(sender)).unref();
}

function waitMsOf(sender: Sender): number {
  const properties: unknown = sender.properties;
  const timeout = isRecord(properties) ? plain(properties['com.microsoft:timeout']) : undefined;
  return typeof timeout === 'number' ? timeout : defaultWaitMs;
}

/** .NET ticks: units of 100 ns since the year 1, as a signed 64-bit integer. */
function ticks(timeMs: number): unknown {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(timeMs) * 10_000n + 621_355_968_000_000_000n);
  return long(bytes);
}
