import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { startAzurite } from '../testbed/azurite.ts';
import { portsRefuse } from '../testbed/child.ts';

test('storage goes silent and comes back', async (t) => {
  const azurite = await startAzurite();
  t.after(() => azurite.stop());
  azurite.pause();
  let answered = false;
  const asking = fetch(`http://127.0.0.1:${azurite.blobPort}/`).then(() => {
    answered = true;
  });
  // A connection is accepted by the kernel, so the request is on its way when another one is through.
  await once(connect(azurite.blobPort, '127.0.0.1').unref(), 'connect');
  assert.equal(answered, false);
  azurite.resume();
  await asking;
});

test('a parent that dies by SIGKILL leaves no Azurite behind', async () => {
  const module = join(import.meta.dirname, '../testbed/azurite.ts');
  const script = `import { startAzurite } from ${JSON.stringify(module)};
    console.log((await startAzurite()).blobPort);`;
  const parent = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(parent.stdout, 'data');
  parent.kill('SIGKILL');
  await portsRefuse([Number(String(line))], 10_000);
});
