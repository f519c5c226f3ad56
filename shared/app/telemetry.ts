import type { Env, Settings } from '../settings/settings.ts';
import type { Log } from '../telemetry/log.ts';
import { noTelemetry, type Telemetry } from '../telemetry/telemetry.ts';

/** The process's telemetry, opened at the first call when its setting is there, with its libraries. */
export interface LazyTelemetry {
  /** Never rejects: where it can't be opened, that is logged once and the app does without. */
  open(settings: Settings, log: Log): Promise<Telemetry>;
  /** Sends what there is, if any was opened. Resolves after `timeoutMs` at the latest. */
  shutdown(timeoutMs: number): Promise<void>;
}

export function lazyTelemetry(env: Env): LazyTelemetry {
  let opening: Promise<Telemetry> | undefined;
  const make = async (connectionString: string, log: Log): Promise<Telemetry> => {
    try {
      const { openTelemetry } = await import('../telemetry/openTelemetry.ts');
      const { WEBSITE_SITE_NAME: appName, WEBSITE_INSTANCE_ID: instance } = env;
      return openTelemetry({
        connectionString,
        ...(appName ? { appName } : {}),
        ...(instance ? { instance } : {}),
      });
    } catch {
      log.warn(
        'Telemetry is off: app setting APPLICATIONINSIGHTS_CONNECTION_STRING was not accepted. Copy it anew from the Application Insights resource.',
      );
      return noTelemetry;
    }
  };
  return {
    async open({ applicationInsightsConnectionString }, log) {
      if (applicationInsightsConnectionString === undefined) return noTelemetry;
      opening ??= make(applicationInsightsConnectionString, log);
      return await opening;
    },
    async shutdown(timeoutMs) {
      await (await opening)?.shutdown(timeoutMs);
    },
  };
}
