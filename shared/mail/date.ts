import { withoutComments } from './header.ts';
import { tableOf } from './table.ts';

const minYear = 1900;
const maxDateLength = 200;
const months = 'janfebmaraprmayjunjulaugsepoctnovdec';

/** RFC 5322, 4.3, and what else is written and means one thing. */
const zoneHours = tableOf(
  'GMT=0 UT=0 UTC=0 WET=0 CET=1 MET=1 CEST=2 MEST=2 EET=2 EEST=3 MSK=3 JST=9 KST=9 AEST=10 AEDT=11 ' +
    'NZST=12 NZDT=13 EDT=-4 EST=-5 CDT=-5 CST=-6 MDT=-6 MST=-7 PDT=-7 PST=-8',
);
const maxZoneMinutes = 15 * 60;

const shape = new RegExp(
  [
    /^(?:[a-z]{2,9}\.?\s*,?\s*)?/,
    /(?<day>\d{1,2})[\s-]+(?<month>[a-z]{3})[a-z]*\.?[\s,-]+(?<year>\d{2,4})[\s,]+/,
    /(?<hour>\d{1,2})[:.](?<minute>\d{2})(?:[:.](?<second>\d{2})(?:[.,]\d+)?)?/,
    /\s*(?<half>[ap]\.?m\b\.?)?\s*/,
    /(?:(?:GMT|UTC?)?\s*(?<sign>[+-])(?<zoneHours>\d{2}):?(?<zoneMinutes>\d{2})|(?<zone>[a-z]{0,5}))/,
    /(?:\s+[a-z\s._/"]*)?$/,
  ]
    .map(({ source }) => source)
    .join(''),
  'i',
);

/** As C's asctime, the command `date` and browsers write it, and people in the USA: the month first, the year anywhere. */
const monthFirst =
  /^(?:[a-z]{2,9}\.?,? )?([a-z]{3,9})\.? (\d{1,2}),? (?:(\d{1,2}:\d{2}(?::\d{2})?) ?([a-z]{0,5}|[+-]\d{4}) ?)?(\d{4})\b,?(?: at)?(.*)$/i;

/**
 * A mail's date (RFC 5322, 3.3 and 4.3) as ISO 8601 in UTC; without a zone, or with a military one, it is taken for
 * UTC. Absent when it can't be read for certain, is no day of the calendar, or lies outside the years 1900 to 9999.
 */
export function readDate(text: string): string | undefined {
  const written = withoutComments(text.slice(0, maxDateLength), ' ').replace(/\s+/g, ' ').trim();
  const bare = written.replace(monthFirst, '$2 $1 $5 $3 $4$6');
  const found = shape.exec(bare)?.groups;
  if (!found) return readIsoDate(bare);
  const month = months.indexOf((found.month ?? '').toLowerCase()) / 3;
  const hour = hourOf(Number(found.hour), found.half);
  const [day, minute, second] = [Number(found.day), Number(found.minute), Number(found.second ?? 0)];
  const midnight = new Date(Date.UTC(fullYear(found.year ?? ''), month, day));
  if (!Number.isInteger(month) || midnight.getUTCDate() !== day || minute > 59 || second > 60)
    return undefined;
  return toIso(midnight.getTime() + ((hour * 60 + minute - zoneMinutes(found)) * 60 + second) * 1000);
}

function hourOf(hour: number, half: string | undefined): number {
  if (half === undefined) return hour > 23 ? Number.NaN : hour;
  if (hour < 1 || hour > 12) return Number.NaN;
  return (hour % 12) + (/^p/i.test(half) ? 12 : 0);
}

function zoneMinutes(found: Record<string, string | undefined>): number {
  if (found.sign !== undefined) {
    const [hours, minutes] = [Number(found.zoneHours), Number(found.zoneMinutes)];
    const offset = hours * 60 + minutes;
    if (minutes > 59 || offset > maxZoneMinutes) return Number.NaN;
    return found.sign === '-' ? -offset : offset;
  }
  const name = (found.zone ?? '').toUpperCase();
  return name.length < 2 ? 0 : Number(zoneHours.get(name)) * 60;
}

function readIsoDate(text: string): string | undefined {
  const found =
    /^(\d{4}-\d{2}-(\d{2}))(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?) ?(Z|[+-]\d{2}:?\d{2})?)?$/.exec(text);
  if (!found) return undefined;
  const [, day = '', dayOfMonth, time = '00:00', zone = 'Z'] = found;
  if (new Date(`${day}T00:00Z`).getUTCDate() !== Number(dayOfMonth)) return undefined;
  return toIso(Date.parse(`${day}T${time}${zone}`));
}

function toIso(time: number): string | undefined {
  if (Number.isNaN(time)) return undefined;
  const date = new Date(time);
  const year = date.getUTCFullYear();
  return year >= minYear && year <= 9999 ? date.toISOString() : undefined;
}

/** RFC 5322, 4.3: years of two and three digits. */
function fullYear(text: string): number {
  const year = Number(text);
  if (text.length === 2) return year < 50 ? 2000 + year : 1900 + year;
  if (text.length === 3) return 1900 + year;
  return year < minYear ? Number.NaN : year;
}
