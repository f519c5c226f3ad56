/** Values by their names, at most so many: those that were asked for longest ago make room. */
export class Recent<Value extends object> {
  readonly #values = new Map<string, Value>();
  readonly #maxValues: number;

  constructor(maxValues: number) {
    this.#maxValues = maxValues;
  }

  get(name: string): Value | undefined {
    const value = this.#values.get(name);
    if (value !== undefined) this.keep(name, value);
    return value;
  }

  keep(name: string, value: Value): Value {
    this.#values.delete(name);
    this.#values.set(name, value);
    const [oldest = ''] = this.#values.keys();
    if (this.#values.size > this.#maxValues) this.#values.delete(oldest);
    return value;
  }
}
