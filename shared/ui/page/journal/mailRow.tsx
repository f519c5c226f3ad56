import { useState } from 'preact/hooks';
import type { FoundMail, FoundPart } from '../../../journal/found.ts';
import { nameOf } from '../model.ts';
import { hrefOf, hrefWith } from '../route.ts';
import { Opener } from '../table.tsx';
import { clock, counted, exact, size } from '../words.ts';

const outcomeNames: Readonly<Record<FoundMail['outcome'], string>> = {
  delivered: 'Delivered',
  undelivered: 'Undelivered',
  'left-out': 'Left out',
  'given-up': 'Given up',
};

interface MailRowProps {
  readonly mail: FoundMail;
  readonly nowMs: number;
  /** Whether the connection is told, too. */
  readonly showsConnection: boolean;
}

/** A mail in one line, and opened all that is known of it. */
export function MailRow({ mail, nowMs, showsConnection }: MailRowProps) {
  const [isOpen, setIsOpen] = useState(false);
  const panel = `mail-${mail.interchangeId}-${mail.at}`;
  return (
    <tbody class={`mail ${mail.outcome}`}>
      <tr>
        <td data-label="Time" title={exact(mail.at)}>
          {clock(mail.at, nowMs)}
        </td>
        <th scope="row">
          <Opener panel={panel} isOpen={isOpen} open={setIsOpen} text={subjectOf(mail)} />
          <Sender from={mail.emailFrom} />
        </th>
        {showsConnection && (
          <td data-label="Connection">
            <a href={hrefOf('show', mail)}>{nameOf(mail)}</a>
          </td>
        )}
        <td data-label="Size">{size(mail.sizeBytes)}</td>
        <td data-label="Outcome">
          <span class={`outcome-mark ${mail.outcome}`}>{outcomeNames[mail.outcome]}</span>
          <span class="sub">
            {mail.reason ?? `${counted(mail.parts.length, 'message')} to ${mail.queueName}`}
          </span>
        </td>
      </tr>
      <tr class="details" id={panel} hidden={!isOpen}>
        {isOpen && (
          <td colSpan={showsConnection ? 5 : 4}>
            <MailDetails mail={mail} nowMs={nowMs} />
          </td>
        )}
      </tr>
    </tbody>
  );
}

function subjectOf({ emailSubject, emailMessageId, interchangeId }: FoundMail): string {
  return emailSubject || `(no subject) ${emailMessageId || interchangeId}`;
}

interface SenderProps {
  readonly from: string | undefined;
  readonly date?: string | undefined;
}

/** Who has sent a mail, and when; text that turns its direction turns nothing beside it. */
export function Sender({ from, date }: SenderProps) {
  const at = exact(date);
  return (
    <span class="sub">
      <bdi dir="ltr">{from}</bdi>
      {from && at && ' · '}
      {at}
    </span>
  );
}

type FactList = readonly (readonly [name: string, value: string | undefined])[];

/** What is known of something; what is not is left out. */
export function Facts({ facts }: { facts: FactList }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) =>
        value ? (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <bdi dir="ltr">{value}</bdi>
            </dd>
          </div>
        ) : null,
      )}
    </dl>
  );
}

function MailDetails({ mail, nowMs }: { mail: FoundMail; nowMs: number }) {
  const { customer, connection } = mail;
  const facts: FactList = [
    ['From', mail.emailFrom],
    ['To', mail.emailTo],
    ['Message-ID', mail.emailMessageId],
    ['Date', mail.emailDate && exact(mail.emailDate)],
    ['Came to the mailbox', mail.receivedAt && exact(mail.receivedAt)],
    [mail.outcome === 'left-out' ? 'Left out' : 'Picked up', exact(mail.at)],
    ['Queue', mail.queueName],
    ['interchangeId', mail.interchangeId],
    ['Run', mail.runId],
  ];
  return (
    <div class="mail-details">
      {mail.warning !== undefined && <p class="warning">{mail.warning}</p>}
      {mail.reason !== undefined && <p>{mail.reason}</p>}
      {mail.outcome === 'undelivered' && (
        <p>
          <a href={hrefWith('undelivered', { customer, connection, mail: mail.interchangeId })}>
            Its undelivered record
          </a>
        </p>
      )}
      {mail.outcome === 'given-up' && <p>A person has given it up; it was not sent.</p>}
      <Facts facts={facts} />
      {mail.parts.length > 0 && <Parts parts={mail.parts} label={`Parts, ${clock(mail.at, nowMs)}`} />}
    </div>
  );
}

/** The parts of a mail, each the message that it became. */
export function Parts({ parts, label }: { parts: readonly FoundPart[]; label: string }) {
  return (
    <ol class="parts" aria-label={label}>
      {parts.map((part) => (
        <li key={part.partNumber}>
          <p class="part-name">
            {part.inboundFileName ?? `Part ${part.partNumber}`}{' '}
            <span class="sub">
              {part.partKind} · {part.contentType} · {size(part.size)}
            </span>
          </p>
          <Facts
            facts={[
              ['messageId', part.messageId],
              ['SHA-256', part.sha256],
              ['Claim check', part.claimCheck],
            ]}
          />
        </li>
      ))}
    </ol>
  );
}
