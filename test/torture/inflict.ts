import { setTimeout as delay } from 'node:timers/promises';
import type { TcpProxy } from '../testbed/proxy.ts';
import type { Fault } from './faults.ts';
import { mailboxes, type Rig } from './rig.ts';

/** A fault of the parts, not of the app itself. */
export type Interruption = Exclude<Fault, { kind: 'kill the app' }>;

type Inflict<Kind> = (fault: Extract<Interruption, { kind: Kind }>, rig: Rig) => unknown;

const inflictions: { readonly [Kind in Interruption['kind']]: Inflict<Kind> } = {
  'drop mail connections': ({ protocol, how }, { mail }) => mail[protocol].dropAll(how),
  'cut a mail connection': ({ protocol, direction, afterBytes, how }, { mail }) =>
    mail[protocol].cutAfterBytes(direction, afterBytes, how),
  'refuse mail connections': ({ protocol, forMs }, { mail }) => refuseFor(mail[protocol], forMs),
  async 'silence mail connections'({ protocol, forMs }, { mail }) {
    mail[protocol].silenceNew(true);
    mail[protocol].dropAll('silence');
    await delay(forMs);
    mail[protocol].silenceNew(false);
    mail[protocol].dropAll('rst');
  },
  async 'stop the mail server'({ forMs }, { dovecot }) {
    dovecot.pause();
    await delay(forMs);
    dovecot.resume();
  },
  'restart the mail server': (_, { dovecot }) => dovecot.restart(),
  'drop queue connections': (_, { broker }) => broker.dropConnections(),
  async 'take the queue away'({ forMs }, { broker }) {
    await broker.pause();
    await delay(forMs);
    await broker.resume();
  },
  async 'stop the broker'({ forMs }, { broker }) {
    process.kill(broker.pid, 'SIGSTOP');
    await delay(forMs);
    process.kill(broker.pid, 'SIGCONT');
  },
  'lose acceptances': ({ transfers }, { broker }) =>
    broker.setFaults({ loseDispositionTransfers: transfers }),
  'lose a transfer': (_, { broker }) => broker.setFaults({ dropOnTransfer: 1 }),
  throttle: ({ transfers }, { broker }) => broker.setFaults({ serverBusyTransfers: transfers }),
  async 'fill the queue'({ forMs }, { broker }) {
    await broker.setFaults({ quotaExceeded: true });
    await delay(forMs);
    await broker.setFaults({ quotaExceeded: false });
  },
  async 'slow the queue down'({ byMs, forMs }, { broker }) {
    await broker.setFaults({ acceptDelayMs: byMs });
    await delay(forMs);
    await broker.setFaults({ acceptDelayMs: 0 });
  },
  'drop storage connections': ({ service }, { storage }) => storage[service].dropAll('rst'),
  'refuse storage connections': ({ service, forMs }, { storage }) => refuseFor(storage[service], forMs),
  async 'stop storage'({ forMs }, { azurite }) {
    azurite.pause();
    await delay(forMs);
    azurite.resume();
  },
  async 'break a lease'({ mailbox }, rig) {
    const named = mailboxes[mailbox];
    if (named) await rig.breakLease(named);
  },
};

/** Does it, and ends what lasts when its time is over. */
export async function inflict(fault: Interruption, rig: Rig): Promise<void> {
  await (inflictions[fault.kind] as Inflict<Interruption['kind']>)(fault, rig);
}

async function refuseFor(proxy: TcpProxy, forMs: number): Promise<void> {
  await proxy.refuse(true);
  proxy.dropAll('rst');
  await delay(forMs);
  await proxy.refuse(false);
}
