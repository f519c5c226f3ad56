/** The environment, as `process.env` gives it. */
export type Env = Readonly<Record<string, string | undefined>>;

/** Reads the settings one by one and collects what is wrong with them. */
export class SettingReader {
  readonly sentences: string[] = [];
  readonly #env: Env;

  constructor(env: Env) {
    this.#env = env;
  }

  /** A setting without white space around it; undefined when missing or empty. */
  get(name: string): string | undefined {
    return this.#env[name]?.trim() || undefined;
  }

  /** A setting, or `usual` where it is missing; reports one that doesn't match, and gives it all the same. */
  matching(name: string, pattern: RegExp, usual: string, rule: string): string {
    const text = this.get(name) ?? usual;
    if (!pattern.test(text)) this.wrong(name, text, rule);
    return text;
  }

  /** Gives undefined, for whoever has nothing better to give then. */
  report(sentence: string): undefined {
    this.sentences.push(sentence);
  }

  /** Reports a setting that can't be used. Its value is shown, save where it may be a secret or `hidden` stands for it. */
  wrong(name: string, value: string, rule: string, hidden?: string): undefined {
    const shown = JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
    const found = hidden ?? (secretField.test(value) ? 'not valid' : shown);
    this.report(
      keyVaultReference.test(value)
        ? `App setting ${name} is a Key Vault reference that is not resolved; check the reference and that the app's identity may read the secret.`
        : `App setting ${name} is ${found}; it must be ${rule}.`,
    );
  }
}

/** The fields of `Name=value;…`, names in lower case ('' where there is none), without the quotes and blanks around. */
export function fieldsOf(text: string): (readonly [name: string, value: string])[] {
  const fields = unquote(text).split(';');
  return fields
    .filter((field) => field.trim() !== '')
    .map((field) => {
      const equals = field.indexOf('=');
      return [field.slice(0, Math.max(0, equals)).trim().toLowerCase(), unquote(field.slice(equals + 1))];
    });
}

/** Blanks and quotes come along when a value is copied from a file. */
function unquote(text: string): string {
  const bare = text.trim();
  const quoted = bare.length > 1 && /^["']/.test(bare) && bare.endsWith(bare.charAt(0));
  return quoted ? unquote(bare.slice(1, -1)) : bare;
}

/** What stands in a setting where the platform could not put the secret in its place. */
export const keyVaultReference = /^\s*@Microsoft\.KeyVault\(/i;

const secretField = /(key|sig|signature|secret|password|token)\s*=/i;

/** Whether a URL's host is this machine. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** The address in a text, where it has neither a user name nor anything behind its path. */
export function bareUrl(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url?.search === '' && url.hash === '' && url.username === '' ? url : undefined;
}
