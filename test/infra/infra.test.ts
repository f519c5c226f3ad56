import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..', '..');
const read = (...path: string[]) => readFile(join(root, ...path), 'utf8');
const [main, alerts, workbook, sample, operations, deploy, meters, hostJson] = await Promise.all([
  read('infra', 'main.bicep'),
  read('infra', 'alerts.bicep'),
  read('infra', 'workbook.json'),
  read('infra', 'main.parameters.sample.json'),
  read('docs', 'operations.md'),
  read('docs', 'deploy.md'),
  read('shared', 'telemetry', 'meters.ts'),
  read('host.json'),
]);
const queries = await readdir(join(root, 'infra', 'queries'));
const metrics = new Set(matches(meters, /'(email\.[a-z.]+)'/g));

function matches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1] ?? '');
}

/** What a query names, of dimensions and metrics, must be what the app sends. */
function checkQuery(kql: string, where: string): void {
  for (const name of matches(kql, /'(email\.[a-z.]+)'/g)) assert.ok(metrics.has(name), `${where}: ${name}`);
  const known = [
    'customer',
    'connection',
    'protocol',
    'outcome',
    'status',
    'reason',
    'mails',
    'durationMs',
    'due',
  ];
  for (const name of matches(kql, /customDimensions\.(\w+)/g))
    assert.ok(known.includes(name), `${where}: ${name}`);
  for (const [open, close] of ['()', '[]', '{}']) {
    assert.equal(kql.split(open ?? '').length, kql.split(close ?? '').length, `${where}: ${open}${close}`);
  }
  assert.equal((kql.match(/'/g) ?? []).length % 2, 0, `${where}: quotes`);
}

test('the metrics are those that the guide lists', () => {
  const listed = new Set(matches(operations, /^\| `(email\.[a-z.]+)` \|/gm));
  assert.deepEqual([...listed].toSorted(), [...metrics].toSorted());
});

test('each alert has its query, which names what the app sends, and its runbook', async () => {
  const used = matches(alerts, /loadTextContent\('queries\/([^']+)'\)/g);
  assert.deepEqual(used.toSorted(), queries.toSorted());
  for (const file of queries) checkQuery(await read('infra', 'queries', file), file);
  const names = matches(alerts, /^ {4}name: '([a-z-]+)'$/gm);
  assert.equal(names.length, 5);
  for (const name of names) assert.match(operations, new RegExp(`^### ${name}$`, 'm'));
  for (const [index, measure] of matches(alerts, /measure: '(\w+)'/g).entries()) {
    assert.match(await read('infra', 'queries', used[index] ?? ''), new RegExp(`summarize ${measure} = `));
  }
});

test('the workbook is a workbook, and its queries name what the app sends', () => {
  const { version, items } = JSON.parse(workbook) as {
    version: string;
    items: { type: number; content: { query?: string } }[];
  };
  assert.equal(version, 'Notebook/1.0');
  const charts = items.filter(({ type }) => type === 3);
  assert.ok(charts.length >= 8);
  for (const { content } of charts) checkQuery(content.query ?? '', content.query ?? 'no query');
  for (const metric of metrics) assert.ok(workbook.includes(metric), metric);
});

test('the ten questions have a query each, which names what the app sends', () => {
  const questions = operations.slice(
    operations.indexOf('## Ten questions'),
    operations.indexOf('## Runbooks'),
  );
  const found = matches(questions, /```kusto\n(.*?)```/gs);
  assert.equal(found.length, 10);
  for (const query of found) checkQuery(query, query);
});

test('roles are well-formed, each is assigned, and the guide lists exactly these', () => {
  const roles = matches(main, /^ {2}(\w+): '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'$/gm);
  assert.equal(roles.length, 5);
  const ids = matches(main, /'([0-9a-f-]{36})'/g);
  assert.deepEqual(matches(deploy, /`([0-9a-f]{8}-[0-9a-f-]{27})`/g).toSorted(), ids.toSorted());
  for (const role of roles) {
    assert.match(main, new RegExp(`roleDefinitionId: subscriptionResourceId\\([^)]*roles\\.${role}\\)`));
  }
});

test('brackets and quotes close, and each parameter of the sample is one of the template', () => {
  for (const bicep of [main, alerts]) {
    const code = bicep.replace(/\/\/.*$/gm, '').replace(/'(?:[^'\\]|\\.)*'/g, "''");
    for (const [open, close] of ['()', '[]', '{}']) {
      assert.equal(code.split(open ?? '').length, code.split(close ?? '').length, `${open}${close}`);
    }
    assert.doesNotMatch(code, /(?<!')'(?!')/);
  }
  const { parameters } = JSON.parse(sample) as { parameters: Record<string, unknown> };
  for (const name of Object.keys(parameters)) assert.match(main, new RegExp(`^param ${name} `, 'm'));
});

test('the app settings of the template are the app’s', async () => {
  const settings = matches(main, /^ {6}([A-Z][A-Za-z_]+): /gm);
  const configuration = await read('docs', 'configuration.md');
  for (const name of settings) assert.ok(configuration.includes(`\`${name}\``), name);
  assert.ok(settings.includes('POLL_SCHEDULE') && settings.includes('RETRY_SCHEDULE'));
});

test('host.json is the one that the guide gives reasons for', () => {
  const host = JSON.parse(hostJson) as {
    telemetryMode: string;
    functionTimeout: string;
    extensions: { queues: Record<string, unknown> };
  };
  assert.equal(host.telemetryMode, 'OpenTelemetry');
  for (const name of ['telemetryMode', 'functionTimeout', ...Object.keys(host.extensions.queues)]) {
    assert.ok(deploy.includes(`\`${name}\``), name);
  }
  assert.ok(deploy.includes(host.functionTimeout));
});
