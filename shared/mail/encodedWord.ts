import { Base64Decoder } from './base64.ts';
import { unescapeHex } from './bytes.ts';
import { decodeBytes } from './charsetDecoder.ts';

/** RFC 2047, 2; and with question marks in it, which some senders forget to encode, or without a charset. */
const encodedWord = /=\?([\w*.:()+-]*)\?([QqBb])\?((?:[^?=]|\?(?!=)|=(?!\?(?!=)))*)\?=/g;

/** Decodes RFC 2047 encoded words; neighbours in one charset are joined first, since senders cut characters. */
export function decodeWords(text: string): string {
  if (!text.includes('=?')) return text;
  let decoded = '';
  let end = 0;
  let run: { charset: string; encoding: string; payloads: string[] } | undefined;
  const finish = () => (run ? decodeRun(run.charset, run.encoding, run.payloads) : '');
  for (const found of text.matchAll(encodedWord)) {
    const [whole, charset = '', letter = '', payload = ''] = found;
    const encoding = letter.toUpperCase();
    const gap = text.slice(end, found.index);
    end = found.index + whole.length;
    const follows = run !== undefined && gap.trim() === '';
    if (run && follows && run.encoding === encoding && run.charset.toLowerCase() === charset.toLowerCase()) {
      run.payloads.push(payload);
      continue;
    }
    decoded += finish() + (follows ? '' : gap);
    run = { charset, encoding, payloads: [payload] };
  }
  return decoded + finish() + text.slice(end);
}

function decodeRun(charset: string, encoding: string, payloads: readonly string[]): string {
  const bytes = payloads.map((payload) => {
    if (encoding === 'Q') return decodeQ(payload);
    const decoder = new Base64Decoder({ skipsText: true });
    return Buffer.concat([decoder.decode(Buffer.from(payload)), decoder.end()]);
  });
  return decodeBytes(Buffer.concat(bytes), charset);
}

/** RFC 2047, 4.2, with the blanks of a careless folding behind a `=`. */
function decodeQ(payload: string): Buffer {
  const text = payload.replace(/=\s+([0-9a-fA-F])/g, '=$1').replace(/[_\s]/g, ' ');
  return unescapeHex(text, /=([0-9a-f]{2})/gi);
}
