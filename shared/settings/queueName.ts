/** The name of a Service Bus queue or topic. */
export const queueNamePattern = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,258}[A-Za-z0-9])?$/;
export const queueNameRule =
  'the name of a Service Bus queue or topic (at most 260 letters, digits, and any of . - _ / between them)';
