import { createAdapter } from '../shared/app/adapter.ts';

/** The one adapter of this process, behind all triggers. */
export const adapter = createAdapter(process.env);
