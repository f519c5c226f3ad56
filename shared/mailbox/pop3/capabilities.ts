import type { Deadline } from './deadline.ts';
import { readLines } from './multiLine.ts';
import { ask } from './reply.ts';
import type { Pop3Wire } from './wire.ts';

/** What a server says it can (RFC 2449). A server without CAPA can what RFC 1939 demands. */
export interface Pop3Capabilities {
  /** Whether the server knows CAPA at all, so that what is not listed is known to be missing. */
  readonly known: boolean;
  readonly pipelining: boolean;
  readonly uidl: boolean;
  readonly top: boolean;
  readonly stls: boolean;
  readonly user: boolean;
  /** RFC 6856: without UTF8 some servers hand out a stand-in for a mail whose header has 8-bit text. */
  readonly utf8: boolean;
  /** EXPIRE 0 (RFC 2449, 6.7; also written `EXPIRE0`): what was retrieved is gone after QUIT, deleted or not. */
  readonly expiresAtOnce: boolean;
  /** SASL mechanisms, in capitals. */
  readonly sasl: ReadonlySet<string>;
}

const maxCapabilityLines = 1_000;

/** Asks for the capabilities. They count for this state of the connection only: ask again after STLS. */
export async function readCapabilities(wire: Pop3Wire, deadline: Deadline): Promise<Pop3Capabilities> {
  const reply = await ask(wire, 'CAPA', deadline);
  if (!reply.ok) return noCapabilities;
  const lines: string[] = [];
  await readLines(wire, deadline, { maxLines: maxCapabilityLines, command: 'CAPA' }, (line) =>
    lines.push(line),
  );
  return parseCapabilities(lines);
}

/** Those of a server that doesn't know CAPA. */
export const noCapabilities: Pop3Capabilities = parseCapabilities(undefined);

function parseCapabilities(lines: readonly string[] | undefined): Pop3Capabilities {
  const found = new Map<string, readonly string[]>();
  for (const line of lines ?? []) {
    const [name, ...values] = line
      .trim()
      .toUpperCase()
      .split(/[ \t]+/);
    if (name !== undefined && name !== '') found.set(name, [...(found.get(name) ?? []), ...values]);
  }
  return {
    known: lines !== undefined,
    pipelining: found.has('PIPELINING'),
    uidl: found.has('UIDL'),
    top: found.has('TOP'),
    stls: found.has('STLS'),
    user: found.has('USER'),
    utf8: found.has('UTF8'),
    expiresAtOnce: found.has('EXPIRE0') || found.get('EXPIRE')?.[0] === '0',
    sasl: new Set(found.get('SASL') ?? []),
  };
}
