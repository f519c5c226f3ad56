import assert from 'node:assert/strict';
import { test } from 'node:test';
import { documents, matches, read, readAll } from './documents.ts';
import { bindQuery } from './kusto.ts';
import { alertRules } from './snapshot.ts';

const operations = read('docs', 'operations.md');
const sources = [...readAll('shared/**/*.ts').values()];
const metrics = new Set(matches(read('shared', 'telemetry', 'meters.ts'), /'(email\.[a-z.]+)'/g));

/** Every name in the query is one of the tables', and what it names of metrics and dimensions the app sends. */
function check(query: string, where: string): ReturnType<typeof bindQuery> {
  const bound = bindQuery(query);
  assert.deepEqual(bound.problems, [], where);
  for (const name of matches(query, /'(email\.[a-z.]+)'/g)) assert.ok(metrics.has(name), `${where}: ${name}`);
  for (const name of matches(query, /customDimensions\.(\w+)/g)) {
    const field = new RegExp(`\\b${name}\\b`);
    assert.ok(
      sources.some((source) => field.test(source)),
      `${where}: nothing in shared/ is called ${name}`,
    );
  }
  return bound;
}

test('the metrics are those that the guide lists', () => {
  const listed = new Set(matches(operations, /^\| `(email\.[a-z.]+)` \|/gm));
  assert.deepEqual([...listed].toSorted(), [...metrics].toSorted());
});

test('a query with a name that is nowhere, or that is a word of the language, does not pass', () => {
  assert.match(bindQuery('customMetrics | where valu > 1').problems.join(), /valu/);
  assert.match(bindQuery('traces | summarize last = max(timestamp)').problems.join(), /bracketed/);
});

test('each alert has its query and its runbook; what it measures and splits by are columns of the result', () => {
  const rules = alertRules();
  const files = [...readAll('infra/queries/*').keys()];
  assert.deepEqual(rules.map(({ name }) => `infra/queries/${name}.kql`).toSorted(), files.toSorted());
  for (const { name, description, query, measure, splitBy } of rules) {
    assert.equal(query, read('infra', 'queries', `${name}.kql`), name);
    const { columns } = check(query, name);
    assert.match(columns.get(measure) ?? 'none', /^(int|long|real)$/, `${name}: ${measure}`);
    for (const column of splitBy) assert.equal(columns.get(column), 'string', `${name}: ${column}`);
    const runbook = operations.slice(operations.indexOf(`\n### ${name}\n`));
    assert.ok(runbook.startsWith(`\n### ${name}\n\n*${description}*\n`), `${name} has no runbook`);
  }
});

test('an alert on a connection names it, and the one on failures carries the sentence', () => {
  const split = Object.fromEntries(alertRules().map(({ name, splitBy }) => [name, splitBy]));
  assert.deepEqual(split, {
    'connections-failing': ['customer', 'connection', 'sentence'],
    'quiet-mailbox': ['customer', 'connection'],
    undelivered: ['customer', 'connection'],
    abandoned: ['customer', 'connection'],
    'no-successful-poll': [],
    'poison-queue': [],
  });
});

test('the workbook is a workbook, and its queries are bound', () => {
  const workbook = read('infra', 'workbook.json');
  const { version, items } = JSON.parse(workbook) as {
    version: string;
    items: { type: number; content: { query?: string } }[];
  };
  assert.equal(version, 'Notebook/1.0');
  const charts = items.filter(({ type }) => type === 3);
  assert.ok(charts.length >= 8);
  for (const { content } of charts) {
    // The workbook puts the values of its parameters in these places.
    const query = (content.query ?? '').replaceAll('{customer}', 'acme').replaceAll('{time:grain}', '5m');
    check(query, content.query ?? 'no query');
  }
  for (const metric of metrics) assert.ok(workbook.includes(metric), metric);
});

test('every query in the documents is bound, and the ten questions have one each', () => {
  let found = 0;
  for (const [file, text] of documents) {
    const blocks = matches(text, /```kusto\n(.*?)```/gs);
    const inline = matches(text, /`((?:traces|requests|dependencies|exceptions|customMetrics) \|[^`]*)`/g);
    for (const query of [...blocks, ...inline]) check(query, `${file}: ${query}`);
    found += blocks.length + inline.length;
  }
  const questions = operations.slice(
    operations.indexOf('## Ten questions'),
    operations.indexOf('## Runbooks'),
  );
  assert.equal(matches(questions, /```kusto\n(.*?)```/gs).length, 10);
  assert.ok(found > 10);
});
