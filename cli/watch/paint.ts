import { styleText } from "node:util";
import type { Line } from "./layout.ts";

/** Lines as text, with colours if they are wanted. */
export function paint(lines: readonly Line[], hasColors: boolean): string[] {
  return lines.map((line) => {
    const text = line.map(({ text, styles = [] }) => (hasColors ? colored(text, styles) : text)).join("");
    return hasColors ? text : text.trimEnd();
  });
}

function colored(text: string, styles: NonNullable<Line[number]["styles"]>): string {
  if (styles.length === 0 || text === "") return text;
  // Whether there are colours is decided already.
  return styleText([...styles], text, { validateStream: false });
}
