import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Failure } from '../../shared/failure/failure.ts';
import { passMinutes, retryBed, storeMails } from './retryBed.ts';
import { onlyParts, undeliveredMail } from './storage.ts';

const bed = retryBed();

test('three instances at once send nothing twice', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  await storeMails(storage, queue.name, 9);
  passMinutes(storage, 1);
  const summaries = await Promise.all([bed.tick(storage), bed.tick(storage), bed.tick(storage)]);
  assert.equal(
    summaries.reduce((sum, { delivered }) => sum + delivered, 0),
    9,
  );
  assert.equal(queue.accepted, 18);
  assert.deepEqual([await storage.rows(), await storage.blobs()], [[], []]);
});

test('the record of a taker that died is free again within ten minutes', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  await storeMails(storage, queue.name, 1);
  passMinutes(storage, 1);
  const [due] = (await storage.queue.findDue(1)).records;
  assert.ok(due && (await storage.queue.take(due)));
  passMinutes(storage, 9);
  assert.equal((await bed.tick(storage)).due, 0);
  passMinutes(storage, 1);
  assert.equal((await bed.tick(storage)).delivered, 1);
  assert.equal(queue.count, 2);
});

test('a death between the last acceptance and the end of the blobs leads to no second send', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  await storeMails(storage, queue.name, 1);
  passMinutes(storage, 1);
  const removeFolder = () => Promise.reject(new Failure('storage', 'Storage is away.'));
  await bed.tick(storage, { store: storage.queueOver({}, { removeFolder }) });
  assert.deepEqual(await storage.store.list(10), []);
  assert.equal((await storage.blobs()).length, 3);
  passMinutes(storage, 10);
  await bed.tick(storage);
  assert.equal(queue.accepted, 2);
  assert.deepEqual([await storage.rows(), await storage.blobs()], [[], []]);
});

test('a death between the end of the blobs and that of the row leads to no second send', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  await storeMails(storage, queue.name, 1);
  passMinutes(storage, 1);
  const remove = () => Promise.reject(new Failure('storage', 'Storage is away.'));
  await bed.tick(storage, { store: storage.queueOver({ remove }, {}) });
  passMinutes(storage, 10);
  await bed.tick(storage);
  assert.equal(queue.accepted, 2);
  assert.deepEqual([await storage.rows(), await storage.blobs()], [[], []]);
});

test('a resend while the record is being sent is not lost and sends nothing twice', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  const mail = undeliveredMail(['x', 'y'], { queueName: queue.name });
  await storage.store.store(mail);
  passMinutes(storage, 1);
  const openDestination = bed.sendingBy(async (send, message) => {
    await storage.store.resend(mail.interchangeId);
    await send(message);
  });
  assert.equal((await bed.tick(storage, { openDestination })).delivered, 1);
  await bed.tick(storage);
  assert.equal(queue.accepted, 2);
  assert.deepEqual(await storage.rows(), []);
});

test('a store of the same mail while it fails again keeps what either got accepted', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  const mail = undeliveredMail(['one', 'two', 'three'], { queueName: queue.name });
  await storage.store.store(mail);
  passMinutes(storage, 1);
  const openDestination = bed.sendingBy(async (send, message) => {
    if (message.applicationProperties.partNumber !== 1) throw new Failure('delivery', 'Away.');
    await send(message);
    await storage.store.store(onlyParts(mail, [1, 2]));
  });
  assert.equal((await bed.tick(storage, { openDestination })).failed, 1);
  const [left] = await storage.rows();
  assert.equal(left?.unsent, '2');
});
