// Imports nothing, so that the page has these types too.

/** What a test looks at, one after the other. */
export const testStepNames = [
  'name',
  'connection',
  'certificate',
  'login',
  'folder',
  'queue',
  'mails',
] as const;
export type TestStepName = (typeof testStepNames)[number];

export interface TestStep {
  readonly step: TestStepName;
  /** `warning`: it works, and a person should look at it. */
  readonly result: 'ok' | 'warning' | 'failed';
  readonly text: string;
}

/** A mail as it would be sent. */
export interface MailPreview {
  readonly subject?: string;
  readonly from?: string;
  /** As the mail says. */
  readonly date?: string;
  readonly parts: readonly {
    readonly partKind: string;
    readonly fileName: string;
    readonly contentType: string;
  }[];
  /** Only its begin was looked at: there may be more parts. By POP3 it was the header. */
  readonly isCut: boolean;
  /** Whether the filters take it; absent where there are none. */
  readonly isTaken?: boolean;
}

export interface Folders {
  /** The folders to choose from, as far as they could be asked for. */
  readonly folders?: readonly string[];
}

/** What a test in steps answers. */
export type SteppedOutcome = Folders & { readonly steps: readonly TestStep[] } & (
    | { readonly ok: true; readonly mails: number; readonly preview: readonly MailPreview[] }
    | { readonly ok: false; readonly error: string }
  );
