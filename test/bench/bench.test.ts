import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { mainFile } from '../demo/bundle.ts';
import type { ListedMessage } from '../testbed/broker/control.ts';
import { mixedMail } from './benchMails.ts';
import { toSvg } from './chart.ts';
import { amountFigure, atLeast, atMost, isMet, median, ratioFigure } from './figures.ts';
import { readOptions } from './options.ts';
import { checkArrived } from './verify.ts';

const bench = join(import.meta.dirname, 'bench.ts');
const results = join(import.meta.dirname, '..', '..', '.bench', 'quick', 'results.json');

test('a quick run measures the app against a raw fetch, checks what arrived, and writes its figures', async () => {
  const args = ['--quick', '--mails', '20', '--only', 'imap', '--no-install', '--main', mainFile];
  const { stdout } = await promisify(execFile)(process.execPath, [bench, ...args], { timeout: 120_000 });
  assert.match(
    stdout,
    /\| IMAP, loopback, 20 mails: this app \/ raw fetch +\| app [\d,.]+ ms; raw [\d.]+ ms/,
  );
  const { figures, relatives } = JSON.parse(await readFile(results, 'utf8'));
  assert.ok(figures.every(({ value }: { value: unknown }) => Number.isFinite(value)));
  assert.deepEqual(
    relatives.slice(0, 2).map(({ contender }: { contender: string }) => contender),
    ['raw', 'app'],
  );
});

test('the mixed mails are 70 % of 4 KiB, 25 % with 100 KiB and 5 % with 1 MiB, and the same each time', () => {
  const mails = Array.from({ length: 20 }, (_, index) => mixedMail(index));
  const sizes = mails.map(({ parts }) => parts[1]?.sizeBytes ?? 0).toSorted((a, b) => a - b);
  assert.deepEqual(sizes, [...Array(14).fill(0), ...Array(5).fill(102_400), 1_048_576]);
  for (const { source, parts } of mails) {
    if (parts.length === 1) assert.ok(source.length > 3_700 && source.length < 5_000, String(source.length));
  }
  assert.deepEqual(mixedMail(3), mixedMail(3));
  const hashes = mails.flatMap(({ parts }) => parts.map(({ sha256 }) => sha256));
  assert.equal(new Set(hashes).size, hashes.length);
});

test('a run counts only if each part arrived, once, with its own bytes', async () => {
  const mails = [0, 2].map((index) => ({ ...mixedMail(index), file: '', sizeBytes: 0 }));
  const messages = mails.flatMap(({ messageId, parts }) =>
    parts.map(
      ({ kind, sizeBytes, sha256 }, index): ListedMessage => ({
        messageId: `${messageId} ${index}`,
        subject: kind,
        sizeBytes,
        bodySha256: sha256,
        applicationProperties: {
          ...{ emailMessageId: messageId, partCount: parts.length },
          ...{ partNumber: index + 1, size: sizeBytes, sha256 },
        },
      }),
    ),
  );
  const check = (arrived: readonly ListedMessage[]) =>
    checkArrived(arrived, mails, 'UseDevelopmentStorage=true');
  const [first, ...others] = messages;
  assert.ok(first !== undefined && others[0] !== undefined);
  await check(messages);
  await assert.rejects(check(others), /1 parts did not arrive/);
  await assert.rejects(check([...messages, first]), /arrived as .*, not as undefined/);
  await assert.rejects(
    check([{ ...first, bodySha256: 'f'.repeat(64) }, ...others]),
    /arrived as body of \d+ bytes f+/,
  );
  await assert.rejects(check([{ ...first, messageId: others[0].messageId }, ...others]), /an id in common/);
});

test('a figure is the ratio of medians, held against its bar', () => {
  assert.equal(median([9, 1, 2]), 2);
  assert.equal(median([1, 2]), 1.5);
  const slow = { name: 'slow', unit: 'ms', samples: [30, 10, 20] } as const;
  const fast = { name: 'fast', unit: 'ms', samples: [4, 100, 5] } as const;
  const figure = ratioFigure('one', slow, fast, atMost(4));
  assert.equal(figure.value, 4);
  assert.equal(isMet(figure), true);
  assert.equal(isMet({ ...figure, bar: atLeast(4.1) }), false);
  const memory = { name: 'memory', unit: 'MiB', samples: [97] } as const;
  assert.equal(isMet(amountFigure('two', memory, atMost(96))), false);
  assert.equal(isMet(ratioFigure('three', slow, fast)), undefined);
});

test('the chart cuts a bar that would flatten the others, and still tells its length', () => {
  const svg = toSvg([
    { group: 'A & B', contender: 'raw', timesRaw: 1 },
    { group: 'A & B', contender: 'fetchmail', timesRaw: 92.4 },
  ]);
  assert.match(svg, />A &amp; B</);
  assert.match(svg, />92×</);
  assert.match(svg, /class="cut"/);
  assert.ok(
    Math.max(...[...svg.matchAll(/width="([\d.]+)" height="16"/g)].map(([, width]) => Number(width))) < 600,
  );
});

test('an unknown scenario or number is refused with what there is', () => {
  assert.throws(() => readOptions(['--only', 'smtp']), /There is no scenario smtp\.\nUsage: npm run bench/);
  assert.throws(() => readOptions(['--rounds', '0']), /--rounds is 0/);
  assert.throws(() => readOptions(['--quick', '--write']), /--write is for whole runs/);
  assert.deepEqual(readOptions([]).sizes.growth, [500, 2_000, 8_000]);
});
