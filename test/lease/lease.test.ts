import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, type TestContext, test } from 'node:test';
import { BlobLeaseClient, BlobServiceClient, type ContainerClient } from '@azure/storage-blob';
import { defaultLeaseTimes, type Lease, type LeaseTimes, leasesIn } from '../../shared/lease/lease.ts';
import { until } from '../destination/support.ts';
import { startAzurite } from '../testbed/azurite.ts';
import { startProxy, type TcpProxy } from '../testbed/proxy.ts';

const azurite = await startAzurite();
after(() => azurite.stop());

/** A container of its own, which is not there yet. */
function openContainer(connectionString = azurite.connectionString): ContainerClient {
  const options = { retryOptions: { maxTries: 1 } };
  return BlobServiceClient.fromConnectionString(connectionString, options).getContainerClient(
    `leases-${randomUUID()}`,
  );
}

/** A container behind a proxy, which ends with the test. */
async function behindProxy(t: TestContext): Promise<{ container: ContainerClient; proxy: TcpProxy }> {
  const proxy = await startProxy({ targetHost: '127.0.0.1', targetPort: azurite.blobPort });
  t.after(() => proxy.stop());
  const through = azurite.connectionString.replace(`:${azurite.blobPort}/`, `:${proxy.port}/`);
  return { container: openContainer(through), proxy };
}

const clocks = ['monotonic', 'wall'] as const;

/** Clocks that stand still until they are moved. */
function movedClock() {
  return {
    monotonic: 1_000,
    wall: 5_000_000,
    read() {
      return { monotonicMs: this.monotonic, wallMs: this.wall };
    },
  };
}

/** Never renews by itself within a test. */
const rarely = { renewMs: 3_600_000 };

/** Has timers stand still until the test ticks them, and counts what is asked of the service then. */
function watchRenewals(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { mock } = t.mock.method(BlobLeaseClient.prototype, 'renewLease');
  return {
    get count() {
      return mock.callCount();
    },
    /** Resolves when the lease knows of every answer so far. */
    async answered(): Promise<void> {
      await Promise.all(mock.calls.map(({ result }) => result));
      await new Promise(setImmediate);
    },
  };
}

async function taken(taking: Promise<Lease | 'taken'>): Promise<Lease> {
  const lease = await taking;
  assert.ok(lease !== 'taken');
  return lease;
}

/** The lease of `acme/orders`, with these of its times. */
const takeFrom = (container: ContainerClient, times: Partial<LeaseTimes> = {}) =>
  taken(leasesIn(container, { ...defaultLeaseTimes, ...times })('acme', 'orders'));

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

test('it lasts a minute, and a released one can be taken at once', async () => {
  const container = openContainer();
  const take = leasesIn(container);
  const first = await taken(take('acme', 'orders'));
  const { leaseDuration, leaseState } = await container.getBlobClient('acme/orders').getProperties();
  assert.deepEqual([leaseDuration, leaseState, defaultLeaseTimes.leaseSeconds], ['fixed', 'leased', 60]);
  assert.equal(await take('acme', 'orders'), 'taken');
  await first.release();
  assert.equal(await leaseStateOf(container), 'available');
  await (await taken(take('acme', 'orders'))).release();
});

test('one that a person is breaking is still taken', async () => {
  const container = openContainer();
  const take = leasesIn(container);
  const lease = await taken(take('acme', 'orders'));
  await container.getBlobClient('acme/orders').getBlobLeaseClient().breakLease(30);
  assert.equal(await take('acme', 'orders'), 'taken');
  await lease.release();
});

test('it is renewed as long as the run lasts, and no more after the release', async (t) => {
  const renewals = watchRenewals(t);
  const lease = await takeFrom(openContainer());
  for (let count = 1; count <= 5; count += 1) {
    t.mock.timers.tick(defaultLeaseTimes.renewMs - 1);
    assert.equal(renewals.count, count - 1);
    t.mock.timers.tick(1);
    assert.equal(renewals.count, count);
    await renewals.answered();
  }
  assert.equal(lease.isHeld(), true);
  await lease.release();
  t.mock.timers.tick(3_600_000);
  assert.equal(renewals.count, 5);
  assert.equal(lease.lost.aborted, false, 'a release is no loss');
});

test('its release waits for no renewal that storage keeps waiting', async (t) => {
  const { mock } = t.mock.method(BlobLeaseClient.prototype, 'renewLease');
  const { container, proxy } = await behindProxy(t);
  const lease = await takeFrom(container, { renewMs: 1_000 });
  proxy.silenceNew(true);
  proxy.dropAll('rst');
  await until('a renewal', () => mock.callCount() === 1);
  await proxy.restore();
  let isAnswered = false;
  const [renewal] = mock.calls;
  const answered = renewal?.result?.catch(() => {
    isAnswered = true;
  });
  await lease.release();
  assert.equal(isAnswered, false);
  assert.equal(await leaseStateOf(container), 'available');
  await answered;
});

for (const which of clocks) {
  test(`when the ${which} clock alone has gone as far as the lease lasts, it is not held any more`, async () => {
    const clock = movedClock();
    const lease = await takeFrom(openContainer(), { ...rarely, clock });
    clock[which] += 59_999;
    assert.equal(lease.isHeld(), true);
    assert.equal(lease.lost.aborted, false);
    clock[which] += 1;
    assert.equal(lease.isHeld(), false);
    assert.equal(lease.lost.aborted, true);
    await lease.release();
  });
}

test('a lapsed lease stays lost, whatever the clocks say later and though the service would still renew it', async (t) => {
  const renewals = watchRenewals(t);
  const container = openContainer();
  const clock = movedClock();
  const lease = await takeFrom(container, { clock });
  clock.wall += 60_000;
  assert.equal(lease.isHeld(), false);
  clock.wall -= 60_000;
  for (let round = 0; round < 3; round += 1) {
    t.mock.timers.tick(defaultLeaseTimes.renewMs);
    await renewals.answered();
    assert.equal(lease.isHeld(), false);
  }
  assert.equal(renewals.count, 0, 'nor is it kept from the next run');
  assert.equal(await leaseStateOf(container), 'leased');
  await lease.release();
  assert.equal(await leaseStateOf(container), 'available');
});

test('it lapses by itself: `lost` fires without anyone asking', async (t) => {
  const { container, proxy } = await behindProxy(t);
  const startedMs = performance.now();
  const clock = {
    // A clock that goes fifteen times as fast.
    read: () => ({ monotonicMs: 15 * (performance.now() - startedMs), wallMs: 0 }),
  };
  const lease = await takeFrom(container, { leaseSeconds: 15, renewMs: 200, clock });
  proxy.silenceNew(true);
  proxy.dropAll('rst');
  await until('the loss', () => lease.lost.aborted);
  assert.ok(performance.now() - startedMs < 3_000);
  await proxy.restore();
  await lease.release();
});

test('the lapse counts from the moment it was asked for, not from the answer', async (t) => {
  const { container, proxy } = await behindProxy(t);
  const clock = movedClock();
  await (await takeFrom(container)).release();
  proxy.setDelay(150);
  const { toServer } = proxy.bytes;
  const taking = takeFrom(container, { ...rarely, clock });
  await until('the question is on its way', () => proxy.bytes.toServer > toServer);
  clock.monotonic += 40_000;
  const lease = await taking;
  assert.equal(lease.isHeld(), true);
  clock.monotonic += 20_000;
  assert.equal(lease.isHeld(), false);
  proxy.setDelay(0);
  await lease.release();
});

for (const which of clocks) {
  test(`a renewal moves its end, and counts from the moment it was asked for, too, by the ${which} clock`, async (t) => {
    const renewals = watchRenewals(t);
    const clock = movedClock();
    const lease = await takeFrom(openContainer(), { clock });
    clock[which] += 10_000;
    t.mock.timers.tick(defaultLeaseTimes.renewMs);
    clock[which] += 30_000;
    await renewals.answered();
    // Asked for at 10 s and answered at 40 s, it ends at 70 s.
    clock[which] += 29_999;
    assert.equal(lease.isHeld(), true);
    clock[which] += 1;
    assert.equal(lease.isHeld(), false);
    await lease.release();
  });
}

test('an answer that comes after the lapse gives nothing back', async (t) => {
  const renewals = watchRenewals(t);
  const clock = movedClock();
  const lease = await takeFrom(openContainer(), { clock });
  clock.wall += 30_000;
  t.mock.timers.tick(defaultLeaseTimes.renewMs);
  clock.wall += 30_000;
  await renewals.answered();
  assert.equal(lease.isHeld(), false);
  assert.equal(lease.lost.aborted, true);
  await lease.release();
});

test('broken and taken by another, it is lost with the next renewal, and its release leaves the new one alone', async () => {
  const container = openContainer();
  const lease = await takeFrom(container, { renewMs: 20 });
  const other = container.getBlobClient('acme/orders').getBlobLeaseClient();
  await other.breakLease(0);
  await other.acquireLease(60);
  await until('the loss', () => lease.lost.aborted);
  assert.equal(lease.isHeld(), false);
  await lease.release();
  assert.equal(await leaseStateOf(container), 'leased');
});

for (const removed of ['blob', 'container'] as const) {
  test(`a lease whose ${removed} was removed is lost`, async () => {
    const container = openContainer();
    const lease = await takeFrom(container, { renewMs: 20 });
    const blob = container.getBlobClient('acme/orders');
    if (removed === 'blob') await blob.getBlobLeaseClient().breakLease(0);
    await (removed === 'blob' ? blob : container).delete();
    await until('the loss', () => lease.lost.aborted);
    await lease.release();
  });
}

test('storage that is away for less than the lease lasts loses nothing', async (t) => {
  const { container, proxy } = await behindProxy(t);
  const lease = await takeFrom(container, { renewMs: 10 });
  proxy.silenceNew(true);
  proxy.dropAll('rst');
  const { total } = proxy.connections;
  await until('renewals that fail', () => proxy.connections.total > total + 3);
  assert.equal(lease.isHeld(), true);
  await proxy.restore();
  const { toClient } = proxy.bytes;
  await until('renewals again', () => proxy.bytes.toClient > toClient + 1_000);
  assert.equal(lease.isHeld(), true);
  await lease.release();
});

test('storage that is away is a failure that names it; a release then is none', async (t) => {
  const { container, proxy } = await behindProxy(t);
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
});
