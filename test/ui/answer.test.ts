import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { mainFile, schedules } from '../app/testbed.ts';
import { type Host, startHost } from '../testbed/host/host.ts';
import type { HttpAnswer } from '../testbed/host/http.ts';

let host: Host;
let answer: HttpAnswer;

before(async () => {
  // Settings that are missing are for the API to say, in the page.
  host = await startHost({
    main: mainFile,
    storageConnectionString: 'UseDevelopmentStorage=true',
    env: schedules,
  });
  answer = await host.invokeHttp('GET /api/ui');
});
after(() => host.stop());

function only(pattern: RegExp): string {
  const found = [...answer.text().matchAll(pattern)];
  assert.equal(found.length, 1);
  return found[0]?.[1] ?? '';
}

test('the page is one answer of less than 150 KB that names no other host', () => {
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'text/html; charset=utf-8');
  assert.ok(answer.body.length < 150_000, `${answer.body.length} bytes`);
  assert.doesNotMatch(answer.text(), /(?:src|href)="?https?:|@import|url\(/);
});

test('nothing but the script and the style of the page may run', () => {
  const sha256 = (text: string) => createHash('sha256').update(text).digest('base64');
  const policy = answer.headers['content-security-policy'] ?? '';
  assert.deepEqual(policy.split('; ').slice(0, 3), [
    "default-src 'none'",
    `script-src 'sha256-${sha256(only(/<script type="module">([\s\S]*?)<\/script>/g))}'`,
    `style-src 'sha256-${sha256(only(/<style>([\s\S]*?)<\/style>/g))}'`,
  ]);
  for (const rule of [
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "connect-src 'self'",
  ]) {
    assert.ok(policy.split('; ').includes(rule), rule);
  }
  assert.doesNotMatch(policy, /unsafe/);
  assert.equal(answer.headers['x-content-type-options'], 'nosniff');
  assert.equal(answer.headers['referrer-policy'], 'same-origin');
});

test('a browser that has the page is told so', async () => {
  const known = answer.headers.etag ?? '';
  const again = await host.invokeHttp('GET /api/ui', { headers: { 'if-none-match': `"other", W/${known}` } });
  assert.equal(again.status, 304);
  assert.equal(again.body.length, 0);
  assert.equal(again.headers.etag, known);
});
