export function openSignedData(_: Buffer): Buffer | undefined {
  return undefined;
}
