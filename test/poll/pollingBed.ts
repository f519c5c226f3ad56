import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import type { TestContext } from 'node:test';
import { createPolling } from '../../shared/app/polling.ts';
import { createProcess, type Process } from '../../shared/app/process.ts';
import type { Clock, LeaseTimes } from '../../shared/lease/lease.ts';
import { readSettings } from '../../shared/settings/settings.ts';
import { noTelemetry } from '../../shared/telemetry/telemetry.ts';
import { hostOptions, type MailParts, type Protocol, serverColumns, startMailParts } from '../app/testbed.ts';
import { startScriptedImapServer } from '../mailbox/imap/scriptedImapServer.ts';
import { startScriptedServer } from '../mailbox/pop3/scriptedServer.ts';
import type { Listening } from '../testbed/listening.ts';
import { startStorageProxy, throughProxies } from '../testbed/storageProxy.ts';

/** Two clocks that go with the real ones and can be set ahead. */
export class SettableClock implements Clock {
  aheadMs = { monotonic: 0, wall: 0 };

  read() {
    const { monotonic, wall } = this.aheadMs;
    return { monotonicMs: performance.now() + monotonic, wallMs: Date.now() + wall };
  }
}

type Settings = Readonly<Record<string, string>>;
type Columns = Readonly<Record<string, unknown>>;
type Poll = (name: string) => Promise<Record<string, unknown>>;

/** Polls in this process, with real parts and a lease whose times and clocks the test chooses. */
export interface PollingBed extends MailParts {
  /** What the polls have logged. */
  readonly logged: string[];
  /** In an instance of its own. */
  poll(name: string, times?: LeaseTimes): Promise<Record<string, unknown>>;
  /** Polls in one instance: they share its memory. With settings of its own it is another process's. */
  openInstance(times?: LeaseTimes, settings?: Settings): Promise<Poll>;
  /** Tells the process to go; polls after this are a new one's. */
  tellToGo(): void;
}

export async function startPollingBed(
  users: readonly string[],
  settings: Settings = {},
): Promise<PollingBed> {
  const parts = await startMailParts({ users });
  const processes: Process[] = [];
  let told = new AbortController();
  const newProcess = (own: Settings = {}): Process => {
    const { env } = hostOptions(parts, { ...settings, ...own });
    const read = readSettings(env);
    assert.ok(read.ok);
    const process = createProcess(env, read.settings, told.signal);
    processes.push(process);
    return process;
  };
  let current = newProcess();
  const logged: string[] = [];
  const write = (sentence: string) => void logged.push(sentence);
  const log = { info: write, warn: write, error: write };
  const openInstance: PollingBed['openInstance'] = async (times, own) => {
    const poll = await createPolling(own === undefined ? current : newProcess(own), times);
    return async (name) => {
      await poll({ customer: 'acme', connection: name }, noTelemetry.follow(log, undefined));
      return await parts.state(name);
    };
  };
  return {
    ...{ ...parts, logged, openInstance },
    poll: async (name, times) => await (await openInstance(times))(name),
    tellToGo() {
      told.abort();
      told = new AbortController();
      current = newProcess();
    },
    async stop() {
      await Promise.all(processes.map(({ destinations }) => destinations.close()));
      await parts.stop();
      const listeners = processes.flatMap((process) => getEventListeners(process.told, 'abort'));
      assert.equal(listeners.length, 0, 'a run that has ended still listens to its process');
    },
  };
}

/** Starts a server of this script, until the test ends, and writes a connection to it. */
const adding =
  <Script, Server extends Listening>(hostType: Protocol, start: (script: Script) => Promise<Server>) =>
  async (bed: PollingBed, t: TestContext, name: string, script: Script, columns: Columns = {}) => {
    const server = await start(script);
    t.after(() => server.stop());
    await bed.addConnection(name, { ...serverColumns(hostType, server.port), ...columns });
    return server;
  };

export const addImapServer = adding('IMAP', startScriptedImapServer);
export const addPop3Server = adding('POP3', startScriptedServer);

/** A proxy in front of this port of the storage, until the test ends, and what opens instances behind it. */
export async function proxyStorage(bed: PollingBed, t: TestContext, port: number) {
  const proxy = await startStorageProxy(port);
  t.after(() => proxy.stop());
  const AzureWebJobsStorage = throughProxies(bed.azurite.connectionString, [[port, proxy.port]]);
  return { proxy, openBehind: (times?: LeaseTimes) => bed.openInstance(times, { AzureWebJobsStorage }) };
}
