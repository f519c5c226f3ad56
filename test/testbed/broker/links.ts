import type { Connection, Container, EventContext, link, Receiver, Sender } from 'rhea';
import rhea from 'rhea';
import { type AmqpCondition, type BrokerFaults, conditions } from './faults.ts';
import { openIntake } from './intake.ts';
import { manage } from './management.ts';
import type { Namespace } from './namespace.ts';
import { openOutlet } from './outlet.ts';
import { BrokerQueue } from './queue.ts';
import { openReplies, type ServiceAnswer, type ServiceRequest, serveRequests } from './requests.ts';
import { onTraffic, passOverLateFrames, takeMessagesRaw, withholdAttach } from './rheaInternals.ts';
import { acceptSession, sessionWishOf } from './sessions.ts';
import { checkToken, entityOf, opens } from './token.ts';
import type { Topic } from './topic.ts';

/** What the links of a namespace need to know. */
export interface LinkOptions {
  readonly keyName: string;
  readonly key: string;
  readonly faults: BrokerFaults;
  readonly namespace: Namespace;
  readonly idleLinkMs: number;
}

/** The AMQP side of a broker. */
export interface Links {
  readonly container: Container;
  /** Detaches every link to these. */
  detachFrom(entities: readonly (BrokerQueue | Topic)[]): void;
}

/** A link to an entity, and what is to be done when it ends. */
interface OpenLink {
  readonly of: link;
  readonly entity: BrokerQueue | Topic;
  /** Does nothing the second time. */
  end(): void;
}

/** Answers the links that clients open, by their address: `$cbs`, an entity's `$management`, or an entity. */
export function serveLinks({ keyName, key, faults, namespace, idleLinkMs }: LinkOptions): Links {
  const container = rhea.create_container({
    receiver_options: { autoaccept: false, credit_window: 1000 },
    sender_options: { treat_modified_as_released: false },
  });
  const { sasl_server_mechanisms: mechanisms } = container;
  mechanisms.enable_anonymous();
  mechanisms.MSSBCBS = () => ({ outcome: true, start: () => undefined });
  const grants = new WeakMap<Connection, Map<string, number>>();
  const openLinks = new Set<OpenLink>();

  function authorise(connection: Connection, { body }: ServiceRequest): ServiceAnswer | undefined {
    if (faults.silentCredentials) return undefined;
    const grant = checkToken(String(body), keyName, key, Date.now());
    if (grant === undefined || faults.refuseCredentials) {
      const description = 'InvalidSignature: The token is refused.';
      return { status: 401, condition: 'amqp:unauthorized-access', description };
    }
    const granted = grants.get(connection) ?? new Map<string, number>();
    grants.set(connection, granted.set(grant.entity, grant.expiresAtMs));
    return { status: 202, description: 'Accepted' };
  }

  function isGranted(connection: Connection, entity: string): boolean {
    for (const [granted, expiresAtMs] of grants.get(connection) ?? []) {
      if (expiresAtMs > Date.now() && opens(granted, entity)) return true;
    }
    return false;
  }

  /** The entity behind a link's address, or why the link is refused. */
  function resolve(connection: Connection, address: string): BrokerQueue | Topic | AmqpCondition {
    const name = entityOf(address);
    if (!isGranted(connection, name)) return conditions.unauthorized(name);
    const entity = namespace.find(name);
    if (entity === undefined) return conditions.notFound(name);
    if (entity.disabled || faults.entityDisabled) return conditions.disabled(name);
    if (!isDeadLetters(address)) return entity;
    const deadLetters = entity instanceof BrokerQueue ? entity.deadLetterQueue : undefined;
    return deadLetters ?? conditions.notFound(address);
  }

  function openReceiver(receiver: Receiver): void {
    const address: unknown = receiver.target?.address;
    // AMQP 1.0, 4.5.1: a transaction's coordinator is a target without an address.
    if (typeof address !== 'string') {
      receiver.close(conditions.notImplemented('Transactions are'));
      return;
    }
    if (address === '$cbs') {
      serveRequests(receiver, address, (request) => authorise(receiver.connection, request));
      return;
    }
    if (faults.silentAttach) {
      withholdAttach(receiver);
      return;
    }
    const entity = resolve(receiver.connection, address);
    if ('condition' in entity) {
      receiver.close(entity);
      return;
    }
    if (isManagement(address)) serveRequests(receiver, address, (request) => manage(entity, request));
    else openIntake(receiver, entity, faults);
    keep(receiver, entity);
  }

  function openSender(sender: Sender): void {
    const address = sender.source?.address ?? '';
    if (address === '$cbs') {
      openReplies(sender, address);
      return;
    }
    if (faults.silentAttach) {
      withholdAttach(sender);
      return;
    }
    const entity = resolve(sender.connection, address);
    if ('condition' in entity) sender.close(entity);
    else if (isManagement(address)) openReplies(sender, address);
    else if (entity instanceof BrokerQueue) openDeliveries(sender, entity, address);
    else sender.close(conditions.topicCanNotBeRead(entity.name));
  }

  function openDeliveries(sender: Sender, queue: BrokerQueue, address: string): void {
    const wish = sessionWishOf(sender);
    if (queue.requiresSession !== (wish.kind !== 'none')) {
      sender.close(conditions.sessionMismatch(queue.name));
      return;
    }
    if (wish.kind === 'none') {
      sender.set_source({ address });
      sender.set_target({ address: '' });
      keep(sender, queue, (used) => openOutlet(sender, queue, undefined, used));
      return;
    }
    const lost = () => {
      const held = [...openLinks].find(({ of }) => of === sender);
      if (held !== undefined) detach(held, conditions.sessionLost(queue.name));
    };
    acceptSession(sender, queue, wish, lost, (sessionId) => {
      keep(sender, queue, (used) => {
        const stop = openOutlet(sender, queue, sessionId, used);
        return () => {
          stop();
          queue.releaseSession(sessionId, lost);
        };
      });
    });
  }

  /** Remembers the link until it ends, and detaches it when it is idle. `open` answers what is to be done then. */
  function keep(
    of: link,
    entity: BrokerQueue | Topic,
    open: (used: () => void) => () => void = () => () => {},
  ): void {
    const idle = setTimeout(() => {
      detach(held, conditions.idle(of.name, idleLinkMs));
    }, idleLinkMs).unref();
    const used = () => void idle.refresh();
    const close = open(used);
    const held: OpenLink = {
      of,
      entity,
      end() {
        if (!openLinks.delete(held)) return;
        clearTimeout(idle);
        close();
      },
    };
    openLinks.add(held);
    onTraffic(of, used);
    for (const event of ['sender_close', 'sender_error', 'receiver_close', 'receiver_error']) {
      of.on(event, () => held.end());
    }
  }

  function detach(held: OpenLink, because: AmqpCondition): void {
    held.end();
    held.of.close(because);
  }

  container.on('connection_open', ({ connection }: EventContext) => passOverLateFrames(connection));
  container.on('session_open', ({ session }: EventContext) => {
    if (session !== undefined) takeMessagesRaw(session);
  });
  container.on('receiver_open', ({ receiver }: EventContext) => {
    if (receiver !== undefined) openReceiver(receiver);
  });
  container.on('sender_open', ({ sender }: EventContext) => {
    if (sender !== undefined) openSender(sender);
  });
  container.on('session_close', ({ session }: EventContext) => {
    for (const held of [...openLinks]) if (held.of.session === session) held.end();
  });
  container.on('disconnected', ({ connection }: EventContext) => {
    for (const held of [...openLinks]) if (held.of.connection === connection) held.end();
  });
  // Peers come and go as tests have it; without listeners rhea throws or writes to the terminal.
  for (const event of [
    'error',
    'protocol_error',
    'connection_error',
    'session_error',
    'receiver_error',
    'sender_error',
  ]) {
    container.on(event, () => {});
  }
  return {
    container,
    detachFrom(entities) {
      for (const held of [...openLinks]) {
        const isGone = entities.some(
          (entity) => entity === held.entity || deadLettersOf(entity) === held.entity,
        );
        if (isGone) detach(held, conditions.notFound(held.entity.name));
      }
    },
  };
}

function isManagement(address: string): boolean {
  return /\/\$management$/i.test(address);
}

function isDeadLetters(address: string): boolean {
  return /\/\$deadletterqueue(?:\/|$)/i.test(address);
}

function deadLettersOf(entity: BrokerQueue | Topic): BrokerQueue | undefined {
  return entity instanceof BrokerQueue ? entity.deadLetterQueue : undefined;
}
