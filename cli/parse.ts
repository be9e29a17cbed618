import { InvalidArgumentError } from "commander";
import { ID_PATTERN } from "../shared/ids.ts";
import { isJsonObject, type JsonObject } from "../shared/json.ts";

/** `500ms`, `30s`, `2m`, `1h`, `7d`, or `0`; in milliseconds. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  const factor = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match?.[2] ?? "s"];
  if (match === null || factor === undefined) throw new InvalidArgumentError("It looks like 500ms, 30s, 2m or 0.");
  return Math.round(Number(match[1]) * factor);
}

export function parseId(text: string): string {
  if (!ID_PATTERN.test(text)) {
    throw new InvalidArgumentError(
      "An id has 1 to 128 characters of A-Z a-z 0-9 . _ : @ - and begins with a letter or digit.",
    );
  }
  return text;
}

export function parseJsonObject(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new InvalidArgumentError(`It must be JSON, such as '{"step": 3}'.`);
  }
  if (!isJsonObject(value)) throw new InvalidArgumentError(`It must be a JSON object, such as '{"step": 3}'.`);
  return value;
}

export function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("It must be a whole number above 0.");
  return Number(text);
}

/** `<epoch>:<seq>`, as `tail` prints it when it ends. */
export function parsePosition(text: string): { epoch: string; seq: number } {
  const match = /^([0-9A-Za-z]+):(\d{1,15})$/.exec(text);
  if (match === null)
    throw new InvalidArgumentError("A position looks like 5b0c9a17e2d4f836:31, as tail prints it when it ends.");
  return { epoch: match[1] ?? "", seq: Number(match[2]) };
}

/** One of the words, in any case. */
export function oneOf<T extends string>(words: readonly T[]): (text: string) => T {
  return (text) => {
    const word = words.find((one) => one === text.toUpperCase() || one === text);
    if (word === undefined) throw new InvalidArgumentError(`It is one of ${words.join(", ")}.`);
    return word;
  };
}
