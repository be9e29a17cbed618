import stringWidth from "string-width";

const graphemes = new Intl.Segmenter();

/** Columns of a terminal: most characters take one, East Asian wide ones and emoji two, combining ones none. */
export function displayWidth(text: string): number {
  return isPlainAscii(text) ? text.length : stringWidth(text);
}

/** The text, or as much of it as fits, then `…`. */
export function truncate(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  if (columns <= 0) return "";
  let [kept, width] = ["", 0];
  for (const { segment } of graphemes.segment(text)) {
    width += displayWidth(segment);
    if (width > columns - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

export function padTo(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - displayWidth(text)));
}

function isPlainAscii(text: string): boolean {
  return /^[ -~]*$/.test(text);
}
