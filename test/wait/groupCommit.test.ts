import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GroupCommit } from '../../shared/wait/groupCommit.ts';

/** Commits that end when the test says so. */
function gate() {
  const groups: { items: readonly number[]; end: (error?: Error) => void }[] = [];
  const commit = (items: readonly number[]) =>
    new Promise<void>((resolve, reject) => {
      groups.push({ items, end: (error) => (error ? reject(error) : resolve()) });
    });
  return { groups, commit, itemsOf: () => groups.map(({ items }) => items) };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('what comes while a commit runs goes as one group after it', async () => {
  const { groups, commit, itemsOf } = gate();
  const committing = new GroupCommit<number>(100, 0, commit);
  const all = [1, 2].map((item) => committing.add(item));
  await turn();
  all.push(...[3, 4, 5].map((item) => committing.add(item)));
  await turn();
  assert.deepEqual(itemsOf(), [[1, 2]], 'one at a time');
  groups[0]?.end();
  await turn();
  assert.deepEqual(itemsOf(), [
    [1, 2],
    [3, 4, 5],
  ]);
  groups[1]?.end();
  await Promise.all(all);
});

test('a group has no more items than it may', async () => {
  const { groups, commit } = gate();
  const committing = new GroupCommit<number>(3, 0, commit);
  const all = Array.from({ length: 8 }, (_, index) => committing.add(index));
  for (let group = 0; group < 3; group += 1) {
    await turn();
    groups[group]?.end();
  }
  await Promise.all(all);
  assert.deepEqual(
    groups.map(({ items }) => items.length),
    [3, 3, 2],
  );
});

test('a commit that fails fails all that waits by then and nothing that comes later', async () => {
  const { groups, commit } = gate();
  const committing = new GroupCommit<number>(2, 0, commit);
  const all = [1, 2, 3].map((item) => committing.add(item));
  const outcomes = Promise.allSettled(all);
  await turn();
  groups[0]?.end(new Error('away'));
  assert.deepEqual(
    (await outcomes).map(({ status }) => status),
    ['rejected', 'rejected', 'rejected'],
  );
  const later = committing.add(4);
  await turn();
  groups[1]?.end();
  await later;
});

test('what comes while it rests after a commit goes as one group; a hurry ends the rest and all later ones', async () => {
  const { groups, commit, itemsOf } = gate();
  const committing = new GroupCommit<number>(100, 3_600_000, commit);
  const all = [committing.add(1)];
  await turn();
  groups[0]?.end();
  await turn();
  all.push(...[2, 3].map((item) => committing.add(item)));
  await turn();
  assert.equal(groups.length, 1, 'it rests');
  committing.hurry();
  await turn();
  groups[1]?.end();
  all.push(committing.add(4));
  await turn();
  groups[2]?.end();
  await Promise.all(all);
  assert.deepEqual(itemsOf(), [[1], [2, 3], [4]]);
});
