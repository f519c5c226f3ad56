export interface Winmail {
  readonly attachments: readonly {
    fileName: string | undefined;
    mediaType: string;
    contentId: string | undefined;
    bytes: Buffer;
  }[];
  readonly body: readonly {
    mediaType: 'text/plain' | 'text/html';
    charset: string | undefined;
    bytes: Buffer;
  }[];
}
export async function unpackTnef(_: Buffer): Promise<Winmail | undefined> {
  return undefined;
}
