/** Encoders that build mails for tests, by the libraries that have them. */
import iconv from 'iconv-lite';
import libbase64 from 'libbase64';
import libmime from 'libmime';
import libqp from 'libqp';

export function base64Lines(bytes: Buffer, lineLength = 76): string {
  return libbase64.wrap(bytes.toString('base64'), lineLength);
}

/** RFC 2045, 6.7. With `binary` line ends are escaped too; else CRLF stays as it is. */
export function quotedPrintable(bytes: Buffer, binary = false): string {
  const encoded = libqp.encode(bytes);
  return libqp.wrap(binary ? encoded.replaceAll('\r', '=0D').replaceAll('\n', '=0A') : encoded);
}

/** RFC 2047, in words short enough to be folded, each of whole characters. */
export function encodedWords(text: string, form: 'B' | 'Q' = 'B'): string {
  return libmime.encodeWord(text, form, 52).replaceAll(' ', '\r\n ');
}

/** RFC 2231: `filename*=utf-8''…`, in segments. */
export function extendedParameter(name: string, value: string): string {
  const segments = libmime.buildHeaderParam(name, value, 50);
  return segments.map((segment) => `${segment.key}=${segment.value}`).join(';\r\n ');
}

export function windows1251(text: string): Buffer {
  return iconv.encode(text, 'windows-1251');
}

/** POSIX uuencode. */
export function uuencode(bytes: Buffer, name = 'data.bin'): string {
  const sign = (value: number) => String.fromCharCode((value & 0x3f) === 0 ? 0x60 : (value & 0x3f) + 0x20);
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 45) {
    const line = bytes.subarray(at, at + 45);
    let encoded = sign(line.length);
    for (let i = 0; i < line.length; i += 3) {
      const [a = 0, b = 0, c = 0] = line.subarray(i, i + 3);
      encoded += sign(a >> 2) + sign((a << 4) | (b >> 4)) + sign((b << 2) | (c >> 6)) + sign(c);
    }
    lines.push(encoded);
  }
  return `begin 644 ${name}\r\n${lines.map((line) => `${line}\r\n`).join('')}\`\r\nend\r\n`;
}
