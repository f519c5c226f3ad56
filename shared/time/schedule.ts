/** When a connection is polled. */
export type Schedule =
  | { readonly kind: 'interval'; readonly intervalSeconds: number }
  /** `cron` has five fields; `timeZone` is an IANA name. Both were checked when the config was decoded. */
  | { readonly kind: 'cron'; readonly cron: string; readonly timeZone: string };

export const minuteMs = 60_000;
