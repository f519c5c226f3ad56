import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, afterEach, type TestContext, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { AwaitableSender } from 'rhea-promise';
import type { Destinations } from '../../shared/destination/destination.ts';
import { Failure } from '../../shared/failure/failure.ts';
import { startBroker } from '../testbed/broker/broker.ts';
import { noFaults } from '../testbed/broker/faults.ts';
import { onClientSocket } from '../testbed/clientSockets.ts';
import { startProxy } from '../testbed/proxy.ts';
import { shortenSdkTimers } from './sdkTimers.ts';
import {
  bytesOf,
  destinationsFor,
  failureOf,
  mayWrite,
  messageOf,
  openQueue,
  quickRetry,
  until,
} from './support.ts';

shortenSdkTimers();
const broker = await startBroker();
after(() => broker.stop());
afterEach(() => {
  Object.assign(broker.faults, noFaults());
});

let queues = 0;

function newQueue() {
  queues += 1;
  return broker.createQueue({ name: `links-${queues}` });
}

/**
 * Destinations that are closed when the test ends, behind a proxy that counts bytes and connections, what becomes of
 * their links, and a queue.
 */
async function behindProxy(t: TestContext, options: Parameters<typeof destinationsFor>[1] = {}) {
  const proxy = await startProxy({ targetHost: '127.0.0.1', targetPort: broker.port });
  const destinations = destinationsFor(broker.connectionStringFor(proxy.port), options);
  t.after(async () => {
    await destinations.close();
    await proxy.stop();
  });
  const queue = newQueue();
  return { destinations, proxy, links: watchLinks(t), queue, name: queue.name };
}

/** Counts the links that the SDK is asked for from now on, and how many of them are not closed. */
function watchLinks(t: TestContext): { readonly opened: number; readonly open: number } {
  const counts = { opened: 0, open: 0 };
  const createSender = ServiceBusClient.prototype.createSender;
  t.mock.method(ServiceBusClient.prototype, 'createSender', function (this: ServiceBusClient, name: string) {
    const sender = createSender.call(this, name);
    const close = sender.close.bind(sender);
    counts.opened += 1;
    counts.open += 1;
    sender.close = () => {
      counts.open -= 1;
      return close();
    };
    return sender;
  });
  return counts;
}

/** Counts what this process has its sockets write to a port, on connections that it makes from now on. */
function watchWrites(t: TestContext, port: number): () => number {
  const sockets: Socket[] = [];
  t.after(onClientSocket((socket) => sockets.push(socket)));
  return () =>
    sockets
      .filter(({ remotePort }) => remotePort === port)
      .reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);
}

const turn = () => new Promise(setImmediate);

const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;

const send = async (destinations: Destinations, queueName: string) =>
  await (await destinations.open(queueName)).send(messageOf(bytesOf(10)), mayWrite);

test('ten opens at once make one connection and one link, and all give the same sender', async (t) => {
  const { destinations, proxy, links, name } = await behindProxy(t);
  const senders = await Promise.all(Array.from({ length: 10 }, () => destinations.open(name)));
  assert.equal(new Set(senders).size, 1);
  assert.deepEqual([proxy.connections.total, links.opened], [1, 1]);
});

test('of a queue that is not there ten opens at once make one try, which costs no other its connection', async (t) => {
  const { destinations, proxy, links, name } = await behindProxy(t);
  await destinations.open(name);
  await Promise.all(Array.from({ length: 10 }, () => failureOf(destinations.open('nowhere'))));
  await destinations.open(newQueue().name);
  assert.deepEqual([proxy.connections.total, links.opened], [1, 3]);
});

test('queues opened at once share one connection', async (t) => {
  const { destinations, proxy, links } = await behindProxy(t);
  const names = Array.from({ length: 5 }, () => newQueue().name);
  await Promise.all(names.map((name) => send(destinations, name)));
  assert.deepEqual([proxy.connections.total, links.opened], [1, 5]);
});

test('an open of a link that is open sends nothing, and the link is kept from send to send', async (t) => {
  const { destinations, proxy, links, name } = await behindProxy(t);
  const writtenBytes = watchWrites(t, proxy.port);
  for (let run = 0; run < 3; run += 1) await send(destinations, name);
  // That the last outcome is known is written in the turn of the event loop in which it came.
  await turn();
  const before = writtenBytes();
  assert.ok(before > 0);
  await Promise.all(Array.from({ length: 10 }, () => destinations.open(name)));
  await turn();
  assert.equal(writtenBytes(), before);
  assert.deepEqual([proxy.connections.total, links.opened], [1, 1]);
});

test('after a dropped connection all who wait get one new link, once', async (t) => {
  const { destinations, proxy, links, name } = await behindProxy(t);
  await destinations.open(name);
  proxy.dropAll('rst');
  await until('no connection', () => proxy.connections.open === 0);
  await Promise.all(Array.from({ length: 10 }, () => destinations.open(name)));
  assert.deepEqual([proxy.connections.total, links.opened], [2, 2]);
  await send(destinations, name);
  assert.equal(broker.queue(name).accepted, 1);
});

test('messages that were on their way over a connection that is lost wait for their answers no longer', async (t) => {
  const { destinations, proxy, name, queue } = await behindProxy(t);
  const sender = await destinations.open(name);
  const before = timers();
  broker.faults.silentTransfers = true;
  const sends = Array.from({ length: 4 }, () => sender.send(messageOf(bytesOf(100_000)), mayWrite));
  await until('all are on their way', () => queue.transfers === 4);
  broker.faults.silentTransfers = false;
  proxy.dropAll('rst');
  await Promise.all(sends);
  await until('no more timers than before', () => timers() <= before);
});

test('links that were lost, and tries to open one that failed, leave nothing behind', async (t) => {
  const { destinations, proxy, links, name } = await behindProxy(t, { idleMs: 400 });
  for (let loss = 0; loss < 3; loss += 1) {
    await destinations.open(name);
    proxy.dropAll('rst');
    await until('no connection', () => proxy.connections.open === 0);
  }
  for (let run = 0; run < 3; run += 1) await failureOf(destinations.open('nowhere'));
  await destinations.open(name);
  await until('one link', () => links.open === 1);
  await until('the idle link is closed, and the connection with it', () => {
    return links.open === 0 && proxy.connections.open === 0;
  });
});

/** Counts the sockets to a port that this process makes from now on and has not ended. */
function watchSockets(t: TestContext, port: number): () => number {
  const sockets: Socket[] = [];
  t.after(onClientSocket((socket) => sockets.push(socket)));
  return () => sockets.filter(({ destroyed, remotePort }) => !destroyed && remotePort === port).length;
}

test('a namespace that takes connections and says nothing is left no socket, and no timer', async (t) => {
  const { destinations, proxy, name } = await behindProxy(t);
  const [open, before] = [watchSockets(t, proxy.port), timers()];
  proxy.silenceNew(true);
  const opening = failureOf(destinations.open(name));
  await until('it is connected', () => open() > 0);
  await opening;
  await until('no socket and no timer', () => open() === 0 && timers() <= before);
});

test('a namespace that falls silent before its connection is closed is left no socket', async (t) => {
  const { destinations, proxy, name } = await behindProxy(t);
  const open = watchSockets(t, proxy.port);
  await destinations.open(name);
  assert.equal(open(), 1);
  proxy.dropAll('silence');
  await destinations.close();
  await until('no socket', () => open() === 0);
});

test('a link that opens when its try is over, and is lost as it is closed, leaves its rejection to nobody', async (t) => {
  const retry = { ...quickRetry, openTotalMs: quickRetry.tryMs };
  const { destinations, proxy, name } = await behindProxy(t, { retry });
  const other = newQueue();
  // The connection stays for this one.
  await destinations.open(other.name);
  const { close } = AwaitableSender.prototype;
  let closings = 0;
  t.mock.method(AwaitableSender.prototype, 'close', function (this: AwaitableSender) {
    closings += 1;
    if (closings === 1) broker.delete(name);
    return close.call(this);
  });
  // The try ends after the token's answer and before the link's.
  proxy.setDelay(350);
  await failureOf(destinations.open(name));
  await until('the late link is being closed', () => closings > 0);
  proxy.setDelay(0);
  // Behind the word of the queue's end; the test's own process hears of what nobody handles.
  await send(destinations, other.name);
});

test('an open and sends that try a queue anew side by side leave one link', async (t) => {
  const retry = { ...quickRetry, openTotalMs: 4_000, firstDelayMs: 100, maxDelayMs: 200 };
  const links = watchLinks(t);
  const { queue, destinations, sender } = await openQueue(t, broker, { retry });
  for (let outage = 0; outage < 3; outage += 1) {
    await broker.stop();
    const sends = Array.from({ length: 4 }, (_, n) => sender.send(messageOf(bytesOf(70_000, n)), mayWrite));
    const triedAnew = async () => {
      const before = links.opened;
      await until('it is tried anew', () => links.opened > before + 1);
    };
    await triedAnew();
    const opening = destinations.open(queue.name);
    await triedAnew();
    await broker.restart();
    await Promise.all([opening, ...sends]);
  }
  await until('one link', () => links.open === 1);
});

test('a connection that fell silent is replaced for a queue that is opened next, whatever links are on it', async (t) => {
  const { destinations, proxy, queue, name } = await behindProxy(t);
  await Promise.all([destinations.open(newQueue().name), destinations.open(newQueue().name)]);
  proxy.dropAll('silence');
  await send(destinations, name);
  assert.deepEqual([queue.accepted, proxy.connections.total], [1, 2]);
});

test('a send over a connection that fell silent goes over a new one with its second try', async (t) => {
  const { destinations, proxy, links, queue, name } = await behindProxy(t);
  const [sender] = [await destinations.open(name), await destinations.open(newQueue().name)];
  proxy.dropAll('silence');
  await sender.send(messageOf(bytesOf(10)), mayWrite);
  assert.deepEqual([queue.transfers, proxy.connections.total, links.opened], [1, 2, 3]);
});

test('a connection that was replaced since one queue hung brings the answer to what is on its wire for another', async (t) => {
  const { destinations, proxy, queue: hanging } = await behindProxy(t);
  const slow = broker.createQueue({ name: 'slow', maxMessageSizeBytes: 2_000_000 });
  const [toHanging, toSlow] = [await destinations.open(hanging.name), await destinations.open(slow.name)];
  broker.faults.silentTransfers = true;
  const hung = toHanging.send(messageOf(bytesOf(10)), mayWrite);
  await until('it is on the wire', () => hanging.transfers === 1);
  Object.assign(broker.faults, { silentTransfers: false, acceptDelayMs: 1_500, onlyQueue: slow.name });
  // Two seconds more than the other has, for its bytes.
  await Promise.all([hung, toSlow.send(messageOf(bytesOf(1_000_000)), mayWrite)]);
  assert.deepEqual([hanging.transfers, slow.transfers, proxy.connections.total], [2, 1, 2]);
});

test('a send whose time is over leaves a link that is being opened to the others that wait for it', async (t) => {
  const retry = { ...quickRetry, sendTotalMs: 3_000, tryMs: 8_000 };
  const { destinations, proxy, links } = await behindProxy(t, { retry });
  const queue = broker.createQueue({ name: 'waited-for', maxMessageSizeBytes: 5_000_000 });
  const sender = await destinations.open(queue.name);
  proxy.dropAll('rst');
  await until('no connection', () => proxy.connections.open === 0);
  proxy.setDelay(1_000);
  // The time that its bytes need at 0.5 MB/s comes on top.
  const [small, large] = [10, 4_000_000].map((size) => sender.send(messageOf(bytesOf(size)), mayWrite));
  assert.ok(small && large);
  assert.match((await failureOf(small)).message, /did not answer in time/);
  proxy.setDelay(0);
  await large;
  assert.deepEqual([queue.accepted, links.opened], [1, 2]);
});

test('a queue that is deleted is named by the next open, and found again when it was made anew', async (t) => {
  const { destinations, name } = await behindProxy(t);
  await send(destinations, name);
  broker.delete(name);
  await until('the loss is noticed', async () => {
    const failure = await destinations.open(name).catch((error: unknown) => error);
    return failure instanceof Failure && failure.message.startsWith(`Service Bus queue ${name} doesn't`);
  });
  broker.createQueue({ name });
  await send(destinations, name);
  assert.equal(broker.queue(name).accepted, 1);
});

test('a queue that is made anew with a lower limit, while a batch is under way, gets all of the batch', async (t) => {
  const { destinations, links } = await behindProxy(t);
  const name = 'made-anew';
  const before = broker.createQueue({ name, maxMessageSizeBytes: 1_000_000 });
  const sender = await destinations.open(name);
  broker.faults.silentTransfers = true;
  const messages = Array.from({ length: 100 }, (_, n) => messageOf(bytesOf(3_000, n)));
  const sending = Promise.all(messages.map((message) => sender.send(message, mayWrite)));
  await until('the batch is on the wire', () => before.transfers === 1);
  broker.faults.silentTransfers = false;
  broker.delete(name);
  const after = broker.createQueue({ name, maxMessageSizeBytes: 100_000 });
  await sending;
  assert.deepEqual([after.accepted, links.opened], [100, 2]);
});

for (const next of ['run, which opens it', 'send, which comes without an open'] as const) {
  test(`a link that nothing is asked of is closed, and opened anew for the next ${next}`, async (t) => {
    const { destinations, proxy, links, queue, name } = await behindProxy(t, { idleMs: 200 });
    const sender = await destinations.open(name);
    await until('no link, no connection', () => links.open === 0 && proxy.connections.open === 0);
    if (next === 'run, which opens it') await send(destinations, name);
    else await sender.send(messageOf(bytesOf(10)), mayWrite);
    assert.deepEqual([queue.accepted, links.opened], [1, 2]);
  });
}

test('a link with a message on its way is not idle', async (t) => {
  const { destinations, links, name } = await behindProxy(t, {
    idleMs: 100,
    retry: { ...quickRetry, tryMs: 3_000 },
  });
  const sender = await destinations.open(name);
  broker.faults.acceptDelayMs = 800;
  await sender.send(messageOf(bytesOf(10)), mayWrite);
  assert.deepEqual([broker.queue(name).transfers, links.opened], [1, 1]);
});

for (const fault of ['quotaExceeded', 'entityDisabled', 'internalErrors'] as const) {
  test(`after a send that failed for the queue's sake, or for no known reason (${fault}), the next open proves the queue anew`, async (t) => {
    const { destinations, links, name } = await behindProxy(t);
    const sender = await destinations.open(name);
    broker.faults[fault] = true;
    await failureOf(sender.send(messageOf(bytesOf(10)), mayWrite));
    broker.faults[fault] = false;
    await Promise.all([1, 2, 3].map(() => destinations.open(name)));
    assert.deepEqual([links.opened, links.open], [2, 1]);
    await send(destinations, name);
    assert.equal(links.opened, 2);
  });
}

test('a message refused for its own sake does not cost the link', async (t) => {
  const { destinations, links, name } = await behindProxy(t);
  const sender = await destinations.open(name);
  await failureOf(sender.send(messageOf(bytesOf(10), { messageId: 'x'.repeat(200) }), mayWrite));
  await send(destinations, name);
  assert.equal(links.opened, 1);
});

test('a message refused for no known reason costs the others on its link nothing: none of them is repeated', async (t) => {
  const { destinations, links, queue, name } = await behindProxy(t, {
    retry: { ...quickRetry, tryMs: 3_000 },
  });
  const sender = await destinations.open(name);
  Object.assign(broker.faults, { internalErrors: true, acceptDelayMs: 1_000 });
  const refused = sender.send(messageOf(bytesOf(100_000)), mayWrite);
  await until('it is on the wire', () => queue.transfers === 1);
  broker.faults.internalErrors = false;
  await Promise.all([refused, ...[1, 2, 3, 4].map(() => sender.send(messageOf(bytesOf(100_000)), mayWrite))]);
  assert.deepEqual([queue.accepted, queue.transfers, links.opened], [5, 6, 1]);
});

test('a queue that is full meanwhile takes what was on the wire once, and says so', async (t) => {
  const { destinations, queue, name } = await behindProxy(t, { retry: { ...quickRetry, tryMs: 3_000 } });
  const sender = await destinations.open(name);
  broker.faults.acceptDelayMs = 1_000;
  const taken = Promise.all([1, 2, 3, 4].map(() => sender.send(messageOf(bytesOf(100_000)), mayWrite)));
  await until('they are on the wire', () => queue.transfers === 4);
  Object.assign(broker.faults, { quotaExceeded: true, acceptDelayMs: 0 });
  await failureOf(sender.send(messageOf(bytesOf(100_000)), mayWrite));
  await taken;
  assert.deepEqual([queue.accepted, queue.transfers], [4, 5]);
});

test('a refusal that is older than what the queue has accepted since refuses none that wait', async (t) => {
  const { destinations, queue, name } = await behindProxy(t, { retry: { ...quickRetry, tryMs: 3_000 } });
  const sender = await destinations.open(name);
  Object.assign(broker.faults, { quotaExceeded: true, acceptDelayMs: 1_000 });
  const inSession = (id: string) => messageOf(bytesOf(10), { messageId: id, sessionId: 'one' });
  const refused = failureOf(sender.send(inSession('refused'), mayWrite));
  await until('it is on the wire', () => queue.transfers === 1);
  const waiting = sender.send(inSession('waiting'), mayWrite);
  Object.assign(broker.faults, noFaults());
  await sender.send(messageOf(bytesOf(10)), mayWrite);
  await Promise.all([refused, waiting]);
  assert.equal(queue.accepted, 2);
});

test('a queue that hangs costs no other queue its link, and no message of theirs is repeated', async (t) => {
  const { destinations, proxy, links, queue: hanging } = await behindProxy(t);
  const healthy = newQueue();
  const toHanging = await destinations.open(hanging.name);
  const toHealthy = await destinations.open(healthy.name);
  broker.faults.silentTransfers = true;
  const hung = toHanging.send(messageOf(bytesOf(10)), mayWrite);
  await until('the message is on the wire', () => hanging.transfers === 1);
  broker.faults.silentTransfers = false;
  let sent = 0;
  let isOver = false;
  void hung.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    await toHealthy.send(messageOf(bytesOf(10)), mayWrite);
    sent += 1;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await hung;
  assert.deepEqual([hanging.transfers, hanging.accepted], [2, 1]);
  assert.deepEqual([healthy.accepted, healthy.transfers], [sent, sent]);
  assert.deepEqual([links.opened, proxy.connections.total], [3, 1]);
});
