import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../mail/build.ts';
import { planFaults } from './faults.ts';
import { torment } from './torment.ts';

const plan = {
  durationMs: 600_000,
  hosts: 2,
  mailboxes: 8,
  killEveryMs: 6_000,
  interruptEveryMs: 2_500,
  longestMs: 70_000,
};

test('the same seed plans the same faults, another one others; all kinds come', () => {
  const planned = planFaults(seededRandom(1), plan);
  assert.deepEqual(planFaults(seededRandom(1), plan), planned);
  assert.notDeepEqual(planFaults(seededRandom(2), plan), planned);
  assert.ok(planned.filter(({ fault }) => fault.kind === 'kill the app').length >= 50);
  const gentle = planFaults(seededRandom(1), { ...plan, gentle: true });
  assert.ok(gentle.length > 50 && gentle.every(({ fault }) => fault.kind !== 'kill the app'));
  assert.equal(new Set(planned.map(({ fault }) => fault.kind)).size, 19);
  assert.ok(planned.every(({ atMs }, index) => atMs >= (planned[index - 1]?.atMs ?? 0)));
});

test('killed again and again, with all around it interrupted, the app loses and doubles nothing', async (context) => {
  const { figures, problems } = await torment({
    durationMs: 12_000,
    seed: 7,
    mails: 120,
    killEveryMs: 2_000,
    interruptEveryMs: 700,
    longestMs: 1_500,
    report: (line) => context.diagnostic(line),
  });
  assert.deepEqual(problems.slice(0, 20), []);
  assert.ok(figures.kills >= 3, `${figures.kills} kills`);
});
