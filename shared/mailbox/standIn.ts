const sender = 'Microsoft Exchange Server';
/** No stand-in has more. */
export const largestStandInBytes = 16 * 1024;

/** What is said of a mail in whose place a stand-in came. */
export const standInWords = `with a note of its own ("${sender}") in the mail's place`;

/**
 * Whether this mail, or its header, is what Exchange hands out for one that it can't convert, a meeting request mostly:
 * a note, in the mailbox's language, that the mail could not be retrieved. Its sender has no address, and it has
 * neither the Message-ID of every mail in Exchange nor a Received field, as whatever came by SMTP has one.
 */
export function isStandIn(mail: Buffer): boolean {
  if (mail.length > largestStandInBytes || !mail.includes(sender)) return false;
  const [header = ''] = mail.toString('latin1').split(/\r?\n\r?\n/, 1);
  const isFromExchange = new RegExp(`^From: *"?${sender}[^@\\r\\n]*$`, 'im').test(header);
  return isFromExchange && !/^(Message-ID|Received):/im.test(header);
}
