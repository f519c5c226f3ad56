// The raw fetches, the packages alone and the plain script, in a process of their own. Started by contenders.ts.
import type { PlainScript } from './plainScript.ts';
import { fetchRawImap, fetchRawPop3, type Login, openMailbox } from './rawFetch.ts';

export type Job =
  | { readonly do: 'rawImap' | 'rawPop3' | 'openImap' | 'openPop3'; readonly login: Login }
  | ({ readonly do: 'plainScript' | 'packagesAlone' } & PlainScript);

/** `amount`: bytes fetched, or messages sent. */
export type Outcome = { readonly ms: number; readonly amount: number } | { readonly error: string };

process.on('message', (job: Job) => {
  perform(job).then(
    (outcome) => process.send?.(outcome),
    (error: unknown) => process.send?.({ error: error instanceof Error ? error.message : String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));

async function perform(job: Job): Promise<Outcome> {
  // Loaded before the clock starts: only the work counts.
  const plain = job.do === 'plainScript' ? await import('./plainScript.ts') : undefined;
  const alone = job.do === 'packagesAlone' ? await import('./packagesAlone.ts') : undefined;
  const startedMs = performance.now();
  let amount = 0;
  if (job.do === 'rawImap') amount = await fetchRawImap(job.login);
  else if (job.do === 'rawPop3') amount = await fetchRawPop3(job.login);
  else if (job.do === 'openImap') await openMailbox('IMAP', job.login);
  else if (job.do === 'openPop3') await openMailbox('POP3', job.login);
  else if (job.do === 'plainScript') amount = (await plain?.runPlainScript(job)) ?? 0;
  else if (job.do === 'packagesAlone') amount = (await alone?.runPackagesAlone(job)) ?? 0;
  return { ms: performance.now() - startedMs, amount };
}
