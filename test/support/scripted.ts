/** The same port with some methods replaced; the replacement gets the real one. */
export function withMethods<P extends object>(port: P, replace: (real: P) => Partial<P>): P {
  const replaced = replace(port);
  return new Proxy(port, {
    get: (target, name) => {
      const value = Reflect.get(name in replaced ? replaced : target, name) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** A gate that is shut until it is opened. */
export class Gate {
  readonly passed: Promise<void>;
  open = () => {};

  constructor() {
    this.passed = new Promise((resolve) => {
      this.open = resolve;
    });
  }
}
