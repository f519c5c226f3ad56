import type { ClaimVerdict } from '../claim/claims.ts';
import { Failure, type FailureReason, toFailure } from '../failure/failure.ts';
import type { MailRef, MeasuredMail } from '../mailbox/mailbox.ts';
import { traced } from '../telemetry/telemetry.ts';
import { type FlowOptions, MailFlow } from './mailFlow.ts';
import { type FetchLimits, type FetchStep, planFetches } from './planFetches.ts';

export interface SessionLimits extends FetchLimits {
  /** How many mails one IMAP session deals with before their claims are given up. */
  readonly imapSessionMails: number;
  /** The same for POP3, where a lost session undoes all its deletes. */
  readonly pop3SessionMails: number;
  /** How many mails are measured with one command. */
  readonly measureMails: number;
}

export interface SessionOutcome {
  /** Settled for good: their claims can be given up. */
  readonly settled: readonly MailRef[];
  readonly passedOver: readonly MailRef[];
  /** The run may take no more mail, whether that is a failure or its time is up. */
  readonly stopped: boolean;
  readonly failure?: Failure;
}

export interface DrainOptions extends FlowOptions {
  /** Nothing more is pushed in this session, or, when it has `stopped`, in this run. */
  readonly onPushed: (stopped: boolean) => void;
}

/** Failures that may be a single mail's doing: a server that falls over whenever it is asked for it. */
const suspicious: ReadonlySet<FailureReason> = new Set(['connection-lost', 'timeout', 'protocol']);

/**
 * Deals with the candidates of one session and ends it. `measuring` is the measure of the first
 * `measureMails` of them, under way. Never rejects.
 */
export async function drainSession(
  candidates: readonly MailRef[],
  measuring: Promise<readonly MeasuredMail[]>,
  limits: SessionLimits,
  options: DrainOptions,
): Promise<SessionOutcome> {
  const { session } = options;
  const flow = new MailFlow(options);
  let stopped = false;
  try {
    for (let from = 0; from < candidates.length && !stopped; from += limits.measureMails) {
      const slice = candidates.slice(from, from + limits.measureMails);
      const measured = from === 0 ? await measuring : await session.measure(slice);
      const oldest = oldestOf(measured);
      if (oldest) options.run.trace.pickUp(oldest);
      stopped = !(await takeSteps(planFetches(measured, limits), flow, options));
    }
  } catch (error) {
    flow.fail(toFailure(error, 'fetching mail'));
  }
  await flow.finish();
  options.onPushed(stopped || flow.failure !== undefined);
  const confirmed = await flow.close();
  if (!confirmed && flow.settled.length > 0) flow.fail(unconfirmed(flow.settled.length));
  const { failure } = flow;
  return {
    settled: confirmed ? flow.settled : [],
    passedOver: flow.passedOver,
    stopped: stopped || failure !== undefined,
    ...(failure ? { failure } : {}),
  };
}

/** Goes through the fetches, claiming for the next one ahead. False when the run may take no more. */
async function takeSteps(
  steps: readonly FetchStep[],
  flow: MailFlow,
  options: FlowOptions,
): Promise<boolean> {
  let claiming = claimStep(steps[0], options);
  for (const [index, step] of steps.entries()) {
    if (!flow.mayTakeMore()) return false;
    const verdicts = await claiming;
    claiming = claimStep(steps[index + 1], options);
    await options.outlet;
    const mine = await takeVerdicts(mailsOf(step), verdicts, flow);
    if (!flow.mayTakeMore()) return false;
    if (step.kind === 'batch') await takeBatch(mine, flow, options);
    else if (mine.length > 0) await suspecting(step.mail, options, () => flow.takeStream(step.mail));
  }
  return flow.mayTakeMore();
}

type Verdicts = ReadonlyMap<MailRef, ClaimVerdict>;

function claimStep(step: FetchStep | undefined, { claims }: FlowOptions): Promise<Verdicts> {
  const claiming = step ? claims.take(mailsOf(step)) : Promise.resolve(new Map());
  // It is awaited when the step's turn comes, which may be never.
  claiming.catch(() => undefined);
  return claiming;
}

function mailsOf(step: FetchStep): readonly MeasuredMail[] {
  return step.kind === 'batch' ? step.mails : [step.mail];
}

/** Gives the mails that are this run's to fetch; the others go where their claim says. */
async function takeVerdicts(
  mails: readonly MeasuredMail[],
  verdicts: Verdicts,
  flow: MailFlow,
): Promise<MeasuredMail[]> {
  const mine: MeasuredMail[] = [];
  for (const mail of mails) {
    const verdict = verdicts.get(mail);
    if (verdict === 'mine' || (verdict === 'orphaned' && !(await flow.takeStored(mail)))) mine.push(mail);
    else if (verdict === 'delivered') flow.takeDelivered(mail);
    else if (verdict === 'taken' || verdict === undefined) flow.takeClaimed(mail);
  }
  return mine;
}

async function takeBatch(
  mails: readonly MeasuredMail[],
  flow: MailFlow,
  options: FlowOptions,
): Promise<void> {
  if (mails.length === 0) return;
  const unanswered = new Set(mails);
  const suspect = (): MeasuredMail | undefined => unanswered.values().next().value;
  await suspecting(suspect, options, async () => {
    for await (const fetched of options.session.fetch(mails)) {
      unanswered.delete(fetched.mail);
      if (fetched.kind === 'mail') await flow.takeWhole(fetched.mail, fetched.source);
      else if (fetched.kind === 'gone') flow.takeGone(fetched.mail);
      else flow.takeUnavailable(fetched.mail, fetched.sentence);
      if (!flow.mayTakeMore()) break;
    }
  });
}

/** Counts a session that ends in the middle against the mail that was being fetched. */
async function suspecting(
  mail: MeasuredMail | (() => MeasuredMail | undefined),
  { run }: FlowOptions,
  fetch: () => Promise<void>,
): Promise<void> {
  try {
    await traced(run.trace, 'fetch', fetch);
  } catch (error) {
    const suspect = typeof mail === 'function' ? mail() : mail;
    if (suspect && error instanceof Failure && suspicious.has(error.reason)) {
      run.troubles.add(suspect, error.message);
    }
    throw error;
  }
}

function oldestOf(mails: readonly MeasuredMail[]): Date | undefined {
  return mails.reduce<Date | undefined>(
    (oldest, { receivedAt }) => (receivedAt && !(oldest && oldest <= receivedAt) ? receivedAt : oldest),
    undefined,
  );
}

function unconfirmed(mails: number): Failure {
  return new Failure(
    'connection-lost',
    `The mail server did not confirm the end of the session, so ${mails} delivered mails may still lie there; the next run removes them without sending them again.`,
  );
}
