import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { ConnectionConfig } from '../connection/config.ts';
import { createContentStore, type MailContentStore } from '../delivery/contentStore.ts';
import { deliverMail } from '../delivery/deliverMail.ts';
import type { Destination, OpenDestination } from '../delivery/destination.ts';
import { buildMessages, interchangeIdOf, type MailIdentity, type PartMessage } from '../delivery/message.ts';
import type { PayloadStore } from '../delivery/payloadStore.ts';
import { type Failure, toFailure } from '../failure/failure.ts';
import type { MailEnvelope, MailSource } from '../mail/mail.ts';
import { splitMail } from '../mail/splitMail.ts';
import type { MailRef } from '../mailbox/mailbox.ts';
import { type PollTrace, type Step, traced } from '../telemetry/telemetry.ts';
import type { UndeliveredStore } from '../undelivered/undelivered.ts';
import type { MailOutcome, OpenOutlet, Outlet, PreparedMail } from './run.ts';

export interface OutletDependencies {
  readonly openDestination: OpenDestination;
  readonly openPayloads: (owner: { customer: string; connection: string }) => Promise<PayloadStore>;
  readonly openUndelivered: () => Promise<UndeliveredStore>;
  /** For connections without a `queueName` of their own. */
  readonly queueName: string;
  readonly maxMailBytes: number;
  readonly temporaryFolder: string;
}

/** Makes what opens the outlets of this process's runs. */
export function createOpenOutlet(dependencies: OutletDependencies): OpenOutlet {
  return async (config, endpoint, trace) => {
    const [destination, payloads] = await Promise.all([
      dependencies.openDestination(config.queueName ?? dependencies.queueName),
      dependencies.openPayloads(config),
    ]);
    return new QueueOutlet(dependencies, config, endpoint, trace, destination, payloads);
  };
}

class QueueOutlet implements Outlet {
  readonly #dependencies: OutletDependencies;
  readonly #config: ConnectionConfig;
  readonly #endpoint: string;
  readonly #trace: PollTrace;
  readonly #destination: Destination;
  readonly #payloads: PayloadStore;

  constructor(
    dependencies: OutletDependencies,
    config: ConnectionConfig,
    endpoint: string,
    trace: PollTrace,
    destination: Destination,
    payloads: PayloadStore,
  ) {
    this.#dependencies = dependencies;
    this.#config = config;
    this.#endpoint = endpoint;
    this.#trace = trace;
    this.#destination = destination;
    this.#payloads = payloads;
  }

  async prepare(mail: MailRef, source: MailSource): Promise<PreparedMail> {
    const { rules, sessions } = this.#config;
    const contents = createContentStore({
      maxInlineBytes: this.#destination.maxMessageBytes,
      payloads: this.#payloads,
      spillFolder: join(this.#dependencies.temporaryFolder, randomUUID()),
    });
    try {
      const split = await traced(this.#trace, 'parse', () =>
        splitMail(source, { ...rules, maxMailBytes: this.#dependencies.maxMailBytes }, contents),
      );
      const pushing = this.#trace.startStep('push');
      const messages = buildMessages(this.#identify(mail), split, sessions, pushing.traceparent);
      const { envelope, warning } = split;
      return {
        sharesMemory: ({ buffer }) =>
          messages.some(({ content }) => content.kind === 'bytes' && content.bytes.buffer === buffer),
        push: () => this.#push(mail, envelope, messages, contents, pushing),
        ...(warning === undefined ? {} : { warning }),
      };
    } catch (error) {
      await contents.dispose();
      throw error;
    }
  }

  async isStored(mail: MailRef): Promise<boolean> {
    const undelivered = await this.#dependencies.openUndelivered();
    return await undelivered.isStored(interchangeIdOf(this.#identify(mail)));
  }

  async close(): Promise<void> {
    await this.#destination.close();
  }

  async #push(
    mail: MailRef,
    envelope: MailEnvelope,
    messages: readonly PartMessage[],
    contents: MailContentStore,
    pushing: Step,
  ): Promise<MailOutcome> {
    try {
      const { accepted, failed } = await deliverMail(this.#destination, messages, contents);
      pushing.end(failed?.failure);
      if (!failed) return { kind: 'pushed', messages: accepted.length };
      await this.#store(mail, envelope, messages.length, failed);
      return { kind: 'stored', messages: accepted.length, failure: failed.failure };
    } catch (error) {
      const failure = toFailure(error, 'pushing a mail');
      pushing.end(failure);
      return { kind: 'left', failure };
    } finally {
      await contents.dispose();
    }
  }

  /** The catastrophic retry: what Service Bus did not take is kept, to be delivered later. */
  async #store(
    mail: MailRef,
    envelope: MailEnvelope,
    partCount: number,
    { failure, unsent }: { failure: Failure; unsent: readonly PartMessage[] },
  ): Promise<void> {
    const { customer, connection, queueName } = this.#config;
    const undelivered = await this.#dependencies.openUndelivered();
    await undelivered.store({
      customer,
      connection,
      queueName: queueName ?? this.#dependencies.queueName,
      mailKey: mail.key,
      interchangeId: interchangeIdOf(this.#identify(mail)),
      envelope,
      failure,
      partCount,
      parts: unsent,
    });
  }

  #identify(mail: MailRef): MailIdentity {
    const { customer, connection } = this.#config;
    return { customer, connection, mailKey: mail.key, endpoint: this.#endpoint };
  }
}
