import assert from 'node:assert/strict';
import { test } from 'node:test';
import { soak } from './soakRun.ts';

for (const telemetry of [false, true]) {
  test(`${telemetry ? 'with' : 'without'} telemetry, heap, sockets and open files end where they began`, async (context) => {
    const { polls, problems } = await soak({
      durationMs: 4_000,
      telemetry,
      report: (line) => context.diagnostic(line),
    });
    assert.deepEqual(problems, []);
    assert.ok(polls >= 90, `${polls} polls`);
  });
}
