import { hash, randomInt } from "node:crypto";
import { crc32 } from "node:zlib";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX = "shk_";
const RANDOM_CHARS = 32;
const CHECK_CHARS = 6;
/** Of a digest; it is shown as hex. */
export const FINGERPRINT_BYTES = 4;
const FORM = new RegExp(`^${PREFIX}[0-9A-Za-z]{${RANDOM_CHARS + CHECK_CHARS}}$`);

/**
 * A managed key: `shk_`, 32 random characters (190 bits), 6 of a CRC-32 over all before. The prefix lets scanners find
 * leaked ones, the check sum tells a mistyped key from an unknown one; a double click selects it whole.
 */
export function newKey(): string {
  let body = PREFIX;
  for (let index = 0; index < RANDOM_CHARS; index++) body += ALPHABET[randomInt(ALPHABET.length)];
  return body + checkSum(body);
}

/** Whether the text could be a managed key: form and check sum. */
export function hasKeyForm(text: string): boolean {
  return FORM.test(text) && checkSum(text.slice(0, -CHECK_CHARS)) === text.slice(-CHECK_CHARS);
}

/** What lists show of a key, so that people recognise it: 24 of its 190 bits. */
export function displayPrefix(key: string): string {
  return key.slice(0, PREFIX.length + 4);
}

/** SHA-256, hex: all that is kept of a key. */
export function digestOf(key: string): string {
  return hash("sha256", key);
}

/** Of a digest. */
export function fingerprintOf(digest: string): string {
  return digest.slice(0, 2 * FINGERPRINT_BYTES);
}

function checkSum(text: string): string {
  let rest = crc32(text);
  let sum = "";
  for (let index = 0; index < CHECK_CHARS; index++) {
    sum = (ALPHABET[rest % ALPHABET.length] ?? "") + sum;
    rest = Math.floor(rest / ALPHABET.length);
  }
  return sum;
}
