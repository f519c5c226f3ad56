import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Failure } from '../../shared/failure/failure.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { type OpenTelemetryOptions, openTelemetry } from '../../shared/telemetry/openTelemetry.ts';
import type { Telemetry } from '../../shared/telemetry/telemetry.ts';
import { type Ingestion, type IngestionMode, startIngestion } from './ingestion.ts';

export const quiet: Log = { info() {}, warn() {}, error() {} };
export const failure = new Failure('login', 'The server refused the login.');

/** Has the exporter keep what can't be sent, maybe after the last test has ended, in a folder that goes with this process. */
export function keepUnsentApart(): void {
  const folder = mkdtempSync(join(tmpdir(), 'telemetry-'));
  process.env.TMPDIR = folder;
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
}

/** Both end with the test, however it ends. */
export async function startTelemetry(
  context: TestContext,
  mode: IngestionMode = 'answering',
  options: Omit<OpenTelemetryOptions, 'connectionString'> = {},
  tls?: { readonly key: string; readonly cert: string },
): Promise<{ ingestion: Ingestion; telemetry: Telemetry }> {
  const ingestion = await startIngestion(mode, tls);
  const telemetry = openTelemetry({ connectionString: ingestion.connectionString, ...options });
  context.after(async () => {
    await telemetry.shutdown(2_000);
    await ingestion.stop();
  });
  return { ingestion, telemetry };
}
