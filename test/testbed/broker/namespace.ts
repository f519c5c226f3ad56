import { BrokerQueue, type QueueOptions } from './queue.ts';
import { Topic, type TopicOptions } from './topic.ts';

/** The queues, topics and subscriptions of a namespace, by their paths, which Service Bus compares without case. */
export class Namespace {
  readonly #entities = new Map<string, BrokerQueue | Topic>();

  createQueue(options: QueueOptions): BrokerQueue {
    const queue = new BrokerQueue(options);
    this.#entities.set(options.name.toLowerCase(), queue);
    return queue;
  }

  createTopic(options: TopicOptions): void {
    const topic = new Topic(options);
    this.#entities.set(options.name.toLowerCase(), topic);
    for (const subscription of topic.subscriptions) {
      this.#entities.set(subscription.name.toLowerCase(), subscription);
    }
  }

  /** Answers what is gone: a topic with its subscriptions. */
  delete(name: string): readonly (BrokerQueue | Topic)[] {
    const entity = this.find(name);
    if (entity === undefined) return [];
    const gone = entity instanceof Topic ? [entity, ...entity.subscriptions] : [entity];
    for (const each of gone) this.#entities.delete(each.name.toLowerCase());
    return gone;
  }

  find(path: string): BrokerQueue | Topic | undefined {
    return this.#entities.get(path.toLowerCase());
  }

  /** A queue, or a subscription as `topic/Subscriptions/name`. Throws when there is none of that name. */
  queue(name: string): BrokerQueue {
    const entity = this.find(name);
    if (!(entity instanceof BrokerQueue)) throw new Error(`The broker has no queue '${name}'.`);
    return entity;
  }
}
