import { type Connection, textOf } from './model.ts';

const units = [
  { name: 'd', seconds: 86_400 },
  { name: 'h', seconds: 3_600 },
  { name: 'min', seconds: 60 },
] as const;

/** A length of time in its largest fitting unit: `40 s`, `5 min`, `3 h`, `2 d`. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const unit = units.find((each) => seconds >= each.seconds);
  return unit === undefined ? `${seconds} s` : `${Math.floor(seconds / unit.seconds)} ${unit.name}`;
}

export function ago(time: string | undefined, nowMs: number): string {
  const ms = time === undefined ? Number.NaN : nowMs - Date.parse(time);
  if (Number.isNaN(ms)) return 'never';
  return ms < 1_500 ? 'just now' : `${span(ms)} ago`;
}

/** When a time comes: `in 40 s`, or `now` when it has come. */
export function ahead(time: string | undefined, nowMs: number): string {
  const ms = time === undefined ? 0 : Date.parse(time) - nowMs;
  return Number.isNaN(ms) || ms < 500 ? 'now' : `in ${span(ms)}`;
}

/** An interval: `every minute`, `every 90 s`, `every 5 min`, `every day`. */
export function every(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds <= 0) return '';
  if (seconds === 60) return 'every minute';
  if (seconds === 3_600) return 'every hour';
  if (seconds === 86_400) return 'every day';
  const unit = units.find((each) => seconds >= each.seconds && seconds % each.seconds === 0);
  return unit === undefined ? `every ${seconds} s` : `every ${seconds / unit.seconds} ${unit.name}`;
}

/** A connection's schedule in words. */
export function schedule(connection: Connection): string {
  const cron = textOf(connection, 'cron');
  if (cron !== '') return `at ${cron} (${textOf(connection, 'timeZone') || 'UTC'})`;
  const seconds = textOf(connection, 'pollingIntervalSeconds') || '60';
  return every(Number(seconds)) || `every “${seconds}” s`;
}

export function counted(count: number, thing: string): string {
  return `${count.toLocaleString('en')} ${thing}${count === 1 ? '' : 's'}`;
}

/** The whole time, in the reader's zone. */
export function exact(time: string | undefined): string {
  const date = new Date(time ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? '' : formats.exact.format(date);
}

export function timeOfDay(timeMs: number): string {
  return formats.timeOfDay.format(timeMs);
}

// To make one takes longer than to use it a hundred times.
const formats = {
  exact: new Intl.DateTimeFormat('en-GB', {
    ...{ day: '2-digit', month: '2-digit', year: 'numeric' },
    ...{ hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short' },
  }),
  timeOfDay: new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' }),
  day: new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' }),
};

/** A size in its largest fitting unit: `850 B`, `12 KB`, `3.4 MB`. */
export function size(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  const [value, unit] = bytes < 1_000_000 ? [bytes / 1_000, 'KB'] : [bytes / 1_000_000, 'MB'];
  return `${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString('en')} ${unit}`;
}

/** A time of day, with its date where it is not today's; in the reader's zone. */
export function clock(time: string | undefined, nowMs: number): string {
  const date = new Date(time ?? Number.NaN);
  if (Number.isNaN(date.getTime())) return '';
  const atDay = timeOfDay(date.getTime());
  if (date.toDateString() === new Date(nowMs).toDateString()) return atDay;
  return `${formats.day.format(date)} ${atDay}`;
}
