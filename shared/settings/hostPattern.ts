import { isIP } from 'node:net';
import { type SettingReader, wrongSetting } from './reader.ts';

const hostPattern = /^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;

/** MAIL_HOSTS_ALLOWED as lower-case patterns; undefined when any host may be polled. */
export function readHostPatterns(reader: SettingReader): readonly string[] | undefined {
  const name = 'MAIL_HOSTS_ALLOWED';
  const patterns = reader
    .get(name)
    ?.split(',')
    .map((pattern) => pattern.trim().toLowerCase())
    .filter((pattern) => pattern !== '');
  // A list of nothing but commas is a slip; to take it for "any host" would open what was to be closed.
  if (patterns?.length === 0) reader.report(wrongSetting(name, reader.get(name) ?? '', hostRule));
  for (const pattern of patterns ?? []) {
    if (hostPattern.test(pattern) || isIP(pattern) !== 0) continue;
    reader.report(wrongSetting(name, pattern, hostRule));
  }
  return patterns;
}

const hostRule = 'a comma-separated list of host names, IP addresses or patterns such as *.example.com';
