import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { answerDocument } from '../../shared/http/openapi/document.ts';
import { read } from '../infra/documents.ts';

const root = join(import.meta.dirname, '..', '..');
const { version } = JSON.parse(read('package.json')) as { version: string };

test('the changelog has a heading for the version of package.json', () => {
  assert.match(read('CHANGELOG.md'), new RegExp(`^## ${version}$`, 'm'));
});

test('the document of the HTTP API has it too', () => {
  assert.match(JSON.stringify(answerDocument()), new RegExp(`"version":"${version}"`));
});

test('what is published says that version, where the functions are, and names nothing to install or run', () => {
  const published = JSON.parse(read('dist', 'package.json'));
  assert.equal(published.version, version);
  assert.ok(existsSync(join(root, 'dist', published.main)));
  assert.equal(published.dependencies, undefined);
  assert.equal(published.scripts, undefined);
  assert.equal(read('dist', 'host.json'), read('host.json'));
});

test('a tag that is not the version makes no release', () => {
  const { status, stderr } = spawnSync(join(root, '.github', 'release'), ['v0.0.0-other', 'release'], {
    encoding: 'utf8',
  });
  assert.equal(status, 1);
  assert.equal(stderr, `The tag is v0.0.0-other, and package.json has ${version}.\n`);
});

test('npm start says what to install before it builds', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'start.ts')], {
    encoding: 'utf8',
    env: { PATH: '/nowhere' },
  });
  assert.equal(status, 1);
  assert.match(stderr, /^Azure Functions Core Tools 4 .*npm install -g azure-functions-core-tools@4$/m);
  assert.equal(stdout, '');
});
