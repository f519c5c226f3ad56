import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkCron } from '../../shared/time/cron.ts';

test('five fields are a schedule', () => {
  for (const cron of ['* * * * *', '*/15 6-20 * * MON-FRI', '0 0 29 2 *', ' 5  4 1,15 * * ']) {
    assert.equal(checkCron(cron), undefined, cron);
  }
});

test('six fields, nicknames and single words are refused, since only five are told apart', () => {
  for (const cron of ['0 * * * * *', '@daily', 'x', '']) {
    assert.equal(
      checkCron(cron),
      'it must have five fields (minute, hour, day of month, month, day of week)',
    );
  }
});

test('fields that are out of range or unreadable are refused', () => {
  for (const cron of ['60 * * * *', 'a b c d e', '*/0 * * * *']) {
    assert.match(checkCron(cron) ?? '', /^it must be a valid cron expression of five fields/);
  }
});
