import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { BlobServiceClient, type ContainerClient } from '@azure/storage-blob';
import { leasesIn } from '../../shared/lease/blobLease.ts';
import type { Lease } from '../../shared/lease/lease.ts';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { startProxy } from '../testbed/proxy.ts';

let azurite: Azurite;
before(async () => {
  azurite = await startAzurite();
});
after(() => azurite.stop());

/** A container of its own, which is not there yet. */
function openContainer(connectionString = azurite.connectionString): ContainerClient {
  const options = { retryOptions: { maxTries: 1 } };
  return BlobServiceClient.fromConnectionString(connectionString, options).getContainerClient(
    `leases-${randomUUID()}`,
  );
}

async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, what);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function taken(taking: Promise<Lease | 'taken'>): Promise<Lease> {
  const lease = await taking;
  assert.ok(lease !== 'taken');
  return lease;
}

const leaseStateOf = async (container: ContainerClient) =>
  (await container.getBlobClient('acme/orders').getProperties()).leaseState;

test('of many takers at once just one gets it, also where container and blob are still to be made', async () => {
  const take = leasesIn(openContainer());
  const all = await Promise.all(Array.from({ length: 8 }, () => take('acme', 'orders')));
  const held = all.filter((each) => each !== 'taken');
  assert.equal(held.length, 1);
  await held[0]?.release();
});

test('another mailbox, of this customer or another, has a lease of its own', async () => {
  const take = leasesIn(openContainer());
  const leases = await Promise.all([
    taken(take('acme', 'orders')),
    taken(take('acme', 'invoices')),
    taken(take('globex', 'orders')),
  ]);
  await Promise.all(leases.map((lease) => lease.release()));
});

test('a released lease can be taken at once', async () => {
  const take = leasesIn(openContainer());
  const first = await taken(take('acme', 'orders'));
  assert.equal(await take('acme', 'orders'), 'taken');
  await first.release();
  await (await taken(take('acme', 'orders'))).release();
});

test('it is renewed as long as the run lasts', async () => {
  const container = openContainer();
  const proxy = await startProxy({ targetHost: '127.0.0.1', targetPort: azurite.blobPort });
  const through = azurite.connectionString.replace(`:${azurite.blobPort}/`, `:${proxy.port}/`);
  const ours = BlobServiceClient.fromConnectionString(through).getContainerClient(container.containerName);
  const lease = await taken(leasesIn(ours, { renewMs: 10 })('acme', 'orders'));
  lease.keepUntil(undefined);
  const { toServer } = proxy.bytes;
  await until('many renewals', () => proxy.bytes.toServer > toServer + 10_000);
  assert.equal(lease.state, 'held');
  await lease.release();
  assert.equal(lease.state, 'ended');
  await proxy.stop();
});

test('one that is to end sooner than a renewal would last is not renewed, ends in time and frees the mailbox', async () => {
  const container = openContainer();
  const take = leasesIn(container, { renewMs: 10 });
  const lease = await taken(take('acme', 'orders'));
  const startedMs = performance.now();
  lease.keepUntil(new Date(Date.now() + 300));
  assert.equal(lease.state, 'held');
  await until('the end', () => lease.state === 'ended');
  assert.ok(performance.now() - startedMs >= 290);
  await until('the mailbox is free', async () => (await leaseStateOf(container)) === 'available');
  const next = await taken(take('acme', 'orders'));
  await lease.release();
  assert.equal(await leaseStateOf(container), 'leased', 'the old one’s release leaves the new one alone');
  await next.release();
});

test('broken and taken by another, it is lost with the next renewal', async () => {
  const container = openContainer();
  const lease = await taken(leasesIn(container, { renewMs: 20 })('acme', 'orders'));
  const other = container.getBlobClient('acme/orders').getBlobLeaseClient();
  await other.breakLease(0);
  await other.acquireLease(60);
  await until('the loss', () => lease.state === 'lost');
  await lease.release();
  assert.equal(await leaseStateOf(container), 'leased');
});

test('a lease whose blob was removed is lost', async () => {
  const container = openContainer();
  const lease = await taken(leasesIn(container, { renewMs: 20 })('acme', 'orders'));
  await container.delete();
  await until('the loss', () => lease.state === 'lost');
  await lease.release();
});

test('storage that is away for less than the lease lasts loses nothing', async () => {
  const proxy = await startProxy({ targetHost: '127.0.0.1', targetPort: azurite.blobPort });
  const container = openContainer(
    azurite.connectionString.replace(`:${azurite.blobPort}/`, `:${proxy.port}/`),
  );
  const lease = await taken(leasesIn(container, { renewMs: 10 })('acme', 'orders'));
  proxy.silenceNew(true);
  proxy.dropAll('rst');
  const { total } = proxy.connections;
  await until('renewals that fail', () => proxy.connections.total > total + 3);
  assert.equal(lease.state, 'held');
  await proxy.restore();
  const { toClient } = proxy.bytes;
  await until('renewals again', () => proxy.bytes.toClient > toClient + 1_000);
  assert.equal(lease.state, 'held');
  await lease.release();
  await proxy.stop();
});

test('storage that is away is a failure that names it; a release then is none', async () => {
  const proxy = await startProxy({ targetHost: '127.0.0.1', targetPort: azurite.blobPort });
  const container = openContainer(
    azurite.connectionString.replace(`:${azurite.blobPort}/`, `:${proxy.port}/`),
  );
  const take = leasesIn(container);
  const lease = await taken(take('acme', 'orders'));
  await proxy.refuse(true);
  proxy.dropAll('rst');
  await assert.rejects(take('acme', 'invoices'), {
    name: 'Failure',
    reason: 'storage',
    message: /could not be reached .*taking the lease of acme\/invoices/,
  });
  await lease.release();
  await proxy.stop();
});
