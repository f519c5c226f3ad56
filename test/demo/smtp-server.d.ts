/** The part of smtp-server that the demo uses; it comes without types, and those that there are bring the AWS SDK. */
declare module 'smtp-server' {
  import type { EventEmitter } from 'node:events';
  import type { Readable } from 'node:stream';

  export interface SMTPServerSession {
    readonly envelope: { readonly rcptTo: readonly { readonly address: string }[] };
  }
  export interface SMTPServerOptions {
    readonly disabledCommands?: readonly string[];
    readonly authOptional?: boolean;
    /** Announced; `sizeExceeded` of the data says when it was. */
    readonly size?: number;
    readonly banner?: string;
    readonly closeTimeout?: number;
    onRcptTo?(
      address: { readonly address: string },
      session: SMTPServerSession,
      callback: (error?: Error | null) => void,
    ): void;
    onData?(
      data: Readable & { readonly sizeExceeded: boolean },
      session: SMTPServerSession,
      callback: (error: Error | null, answer?: string) => void,
    ): void;
  }
  export class SMTPServer extends EventEmitter {
    constructor(options: SMTPServerOptions);
    listen(port: number, host: string, callback: () => void): void;
    close(callback: () => void): void;
  }
}
