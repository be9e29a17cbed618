import { checkKeys } from "./config.ts";

/** A file with secrets that makes no sense; what is wrong is said without a word of its content. */
export class SecretFileError extends Error {
  override readonly name = "SecretFileError";
}

/**
 * The keys of API_KEYS_FILE. An empty file is refused: it is what a file looks like while somebody writes it, and would
 * throw everybody out.
 *
 * @throws SecretFileError
 */
export function readApiKeys(text: string, isDevelopment: boolean): { keys: string[]; warnings: readonly string[] } {
  const keys = text
    .split("\n")
    .flatMap((line) => line.replace(/#.*/, "").split(","))
    .map((key) => key.trim())
    .filter((key) => key !== "");
  if (keys.length === 0) throw new SecretFileError("API_KEYS_FILE holds no key");
  const { problems, warnings } = checkKeys("API_KEYS_FILE", keys, isDevelopment);
  if (problems.length > 0) throw new SecretFileError(problems.join("; "));
  return { keys, warnings };
}

/** @throws SecretFileError */
export function readMongodbUri(text: string): string {
  if (!/^mongodb(\+srv)?:\/\/\S+$/.test(text)) {
    throw new SecretFileError("MONGODB_URI_FILE holds no URI such as mongodb://user:password@host/NAME");
  }
  return text;
}
