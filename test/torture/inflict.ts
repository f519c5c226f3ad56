import { setTimeout as delay } from 'node:timers/promises';
import type { TcpProxy } from '../testbed/proxy.ts';
import type { Fault } from './faults.ts';
import { mailboxes, type Rig } from './rig.ts';

/** A fault of the parts, not of the app itself. */
export type Interruption = Exclude<Fault, { kind: 'kill the app' }>;

/** Does it, and ends what lasts when its time is over. */
export async function inflict(fault: Interruption, rig: Rig): Promise<void> {
  const { broker, dovecot, azurite } = rig;
  switch (fault.kind) {
    case 'drop mail connections':
      rig.mail[fault.protocol].dropAll(fault.how);
      return;
    case 'cut a mail connection':
      rig.mail[fault.protocol].cutAfterBytes(fault.direction, fault.afterBytes, fault.how);
      return;
    case 'refuse mail connections':
      await refuseFor(rig.mail[fault.protocol], fault.forMs);
      return;
    case 'silence mail connections':
      rig.mail[fault.protocol].silenceNew(true);
      rig.mail[fault.protocol].dropAll('silence');
      await delay(fault.forMs);
      rig.mail[fault.protocol].silenceNew(false);
      rig.mail[fault.protocol].dropAll('rst');
      return;
    case 'stop the mail server':
      dovecot.pause();
      await delay(fault.forMs);
      dovecot.resume();
      return;
    case 'restart the mail server':
      await dovecot.restart();
      return;
    case 'drop queue connections':
      await broker.dropConnections();
      return;
    case 'take the queue away':
      await broker.pause();
      await delay(fault.forMs);
      await broker.resume();
      return;
    case 'stop the broker':
      process.kill(broker.pid, 'SIGSTOP');
      await delay(fault.forMs);
      process.kill(broker.pid, 'SIGCONT');
      return;
    case 'lose acceptances':
      await broker.setFaults({ loseDispositionTransfers: fault.transfers });
      return;
    case 'lose a transfer':
      await broker.setFaults({ dropOnTransfer: 1 });
      return;
    case 'throttle':
      await broker.setFaults({ serverBusyTransfers: fault.transfers });
      return;
    case 'fill the queue':
      await broker.setFaults({ quotaExceeded: true });
      await delay(fault.forMs);
      await broker.setFaults({ quotaExceeded: false });
      return;
    case 'slow the queue down':
      await broker.setFaults({ acceptDelayMs: fault.byMs });
      await delay(fault.forMs);
      await broker.setFaults({ acceptDelayMs: 0 });
      return;
    case 'drop storage connections':
      rig.storage[fault.service].dropAll('rst');
      return;
    case 'refuse storage connections':
      await refuseFor(rig.storage[fault.service], fault.forMs);
      return;
    case 'stop storage':
      azurite.pause();
      await delay(fault.forMs);
      azurite.resume();
      return;
    case 'break a lease': {
      const mailbox = mailboxes[fault.mailbox];
      if (mailbox) await rig.breakLease(mailbox);
    }
  }
}

async function refuseFor(proxy: TcpProxy, forMs: number): Promise<void> {
  await proxy.refuse(true);
  proxy.dropAll('rst');
  await delay(forMs);
  await proxy.refuse(false);
}
