import { toFailure } from '../failure/failure.ts';
import { readInsightsString } from '../settings/insightsString.ts';
import type { Env } from '../settings/reader.ts';
import type { Settings } from '../settings/settings.ts';
import type { GetCredential } from '../storage/access.ts';
import type { Log } from '../telemetry/log.ts';
import { noTelemetry, type Telemetry } from '../telemetry/telemetry.ts';

/** Whether telemetry will open: only then may the host leave its own out. */
export function sendsTelemetry({ applicationInsightsConnectionString: text }: Settings): boolean {
  return text !== undefined && readInsightsString(text) !== undefined;
}

/** The process's telemetry, opened at the first call when its setting is there, with its libraries. */
export function lazyTelemetry(env: Env) {
  let opening: Promise<Telemetry> | undefined;
  return {
    /** Never rejects: where it can't be opened, that is logged, and the app does without for this call. */
    async open(settings: Settings, getCredential: GetCredential, log: Log): Promise<Telemetry> {
      opening ??= openTelemetryOf(env, settings, getCredential, log).catch((error: unknown) => {
        opening = undefined;
        log.warn(toFailure(error, 'opening telemetry; the next call tries again').message);
        return noTelemetry;
      });
      return await opening;
    },
    /** Sends what there is, if any was opened. Resolves after `timeoutMs` at the latest. */
    async shutdown(timeoutMs: number): Promise<void> {
      await (await opening)?.shutdown(timeoutMs);
    },
  };
}

async function openTelemetryOf(
  { WEBSITE_SITE_NAME: appName, WEBSITE_INSTANCE_ID: instance }: Env,
  { applicationInsightsConnectionString: text, applicationInsightsIdentity: identity }: Settings,
  getCredential: GetCredential,
  log: Log,
): Promise<Telemetry> {
  if (text === undefined) return noTelemetry;
  const connectionString = readInsightsString(text);
  if (connectionString === undefined) {
    log.warn(
      'Telemetry is off: app setting APPLICATIONINSIGHTS_CONNECTION_STRING was not accepted. Copy it anew from the Application Insights resource.',
    );
    return noTelemetry;
  }
  const { openTelemetry } = await import('../telemetry/openTelemetry.ts');
  return openTelemetry({
    connectionString,
    ...(identity === undefined ? {} : { credential: await getCredential(identity) }),
    ...(appName ? { appName } : {}),
    ...(instance ? { instance } : {}),
  });
}
