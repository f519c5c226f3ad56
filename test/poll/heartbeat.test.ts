import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startHeartbeat } from '../../shared/poll/heartbeat.ts';

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, 'in time');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

test('every place is told again and again until the stop, which waits for the last beat', async () => {
  const heartbeat = startHeartbeat(5, 10_000);
  const beats = { one: 0, two: 0 };
  let atWork = 0;
  heartbeat.add(async () => {
    beats.one += 1;
  });
  heartbeat.add(async () => {
    atWork += 1;
    await new Promise((resolve) => setTimeout(resolve, 3));
    atWork -= 1;
    beats.two += 1;
  });
  await until(() => beats.one >= 3 && beats.two >= 3);
  await heartbeat.stop();
  assert.equal(atWork, 0);
  const { one } = beats;
  const another = startHeartbeat(5, 10_000);
  let others = 0;
  another.add(async () => {
    others += 1;
  });
  await until(() => others >= 3);
  await another.stop();
  assert.equal(beats.one, one);
});

test('one place that fails for long makes it fail, though the others hear; once it hears again, not', async () => {
  const heartbeat = startHeartbeat(5, 40);
  let isAway = true;
  heartbeat.add(async () => {});
  heartbeat.add(async () => {
    if (isAway) throw new Error('away');
  });
  assert.equal(heartbeat.isFailing, false, 'not yet');
  await until(() => heartbeat.isFailing);
  isAway = false;
  await until(() => !heartbeat.isFailing);
  await heartbeat.stop();
});

test('a place that does not answer counts as one that fails', async () => {
  const heartbeat = startHeartbeat(5, 40);
  let answer = () => {};
  heartbeat.add(
    () =>
      new Promise((resolve) => {
        answer = resolve;
      }),
  );
  await until(() => heartbeat.isFailing);
  answer();
  await heartbeat.stop();
});
