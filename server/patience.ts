/** The database said nothing in the time that a reader is willing to wait. What was asked may still be under way. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

/**
 * The answer, or `NoAnswer` after so many milliseconds. The driver has no bound of its own below its socket timeout,
 * and a server that went silent does not obey maxTimeMS.
 */
export async function within<T>(ms: number, answer: PromiseLike<T>): Promise<T> {
  const patience = Promise.withResolvers<never>();
  const timer = setTimeout(() => patience.reject(new NoAnswer(`no answer from the database within ${ms} ms`)), ms);
  try {
    return await Promise.race([answer, patience.promise]);
  } finally {
    clearTimeout(timer);
  }
}

interface PatienceOptions<P> {
  /** One that is not settled by then rejects with `NoAnswer`. */
  readonly ms: number;
  /**
   * Methods that have a bound of their own and never reject. After a stall of the process timers do not run in the order
   * of their times: this bound could be over before the shorter one within.
   */
  readonly bounded?: readonly (keyof P)[];
  /** Hears of calls that took longer than `slowMs`. */
  readonly slowMs: number;
  readonly onSlow: (method: string, ms: number) => void;
}

/**
 * The port with every promise bounded and timed. What was asked of a silent database stays under way, so only what may
 * be repeated belongs behind this. The driver's own monitoring would copy every command for the same knowledge.
 */
export function withPatience<P extends object>(port: P, { ms, bounded, slowMs, onSlow }: PatienceOptions<P>): P {
  const timed = async (method: string, result: Promise<unknown>) => {
    const started = performance.now();
    try {
      return await (bounded?.includes(method as keyof P) ? result : within(ms, result));
    } finally {
      const took = performance.now() - started;
      if (took > slowMs) onSlow(method, Math.round(took));
    }
  };
  return new Proxy(port, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => {
        const result: unknown = member.apply(target, args);
        return result instanceof Promise ? timed(String(name), result) : result;
      };
    },
  });
}
