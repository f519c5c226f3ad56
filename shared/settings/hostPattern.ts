import { isIP } from 'node:net';
import { type SettingReader, wrongSetting } from './reader.ts';

const hostPattern = /^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;

/**
 * A list of hosts as lower-case patterns, `mail.example.com` or `*.example.com` for all below; undefined when the
 * setting is missing.
 */
export function readHostPatterns(reader: SettingReader, name: string): readonly string[] | undefined {
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
