/** Reads the settings one by one and collects what is wrong with them. */
export interface SettingReader {
  /** A setting without white space around it; undefined when missing or empty. */
  get(name: string): string | undefined;
  report(sentence: string): void;
}

/** The sentence for a wrong setting whose value is no secret. */
export function wrongSetting(name: string, value: string, rule: string): string {
  const shown = value.length > 80 ? `${value.slice(0, 80)}…` : value;
  return `App setting ${name} is ${JSON.stringify(shown)}; it must be ${rule}.`;
}
