import { StateHubError } from "./errors.ts";

/**
 * An API key or token; or what is asked for one, at each connect and before the present one expires. What it answers has
 * to be of the same rights each time, and a token has to have some time left.
 */
export type KeySource = string | (() => string | Promise<string>);

/** Rejects with a retryable error when there is none to be had. */
export async function keyFrom(source: KeySource): Promise<string> {
  if (typeof source !== "function") return source;
  try {
    const key = await source();
    if (typeof key !== "string") throw new TypeError(`it answered ${typeof key}`);
    return key;
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    throw new StateHubError("UNREACHABLE", `no key to connect with: ${words}`, { cause: error });
  }
}
