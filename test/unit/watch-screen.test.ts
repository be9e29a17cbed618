import { EventEmitter } from "node:events";
import type { ReadStream, WriteStream } from "node:tty";
import { expect, test } from "vitest";
import { Screen } from "../../cli/watch/screen.ts";

/** A terminal that remembers what was done to it. */
function startScreen() {
  const done: string[] = [];
  const output = Object.assign(new EventEmitter(), {
    columns: 80,
    rows: 24,
    write: (text: string) => done.push(text),
  }) as unknown as WriteStream;
  const input = Object.assign(new EventEmitter(), {
    isTTY: true,
    setRawMode: (isRaw: boolean) => done.push(isRaw ? "raw" : "cooked"),
    resume: () => {},
    pause: () => {},
  }) as unknown as ReadStream;
  const keys: string[] = [];
  let resizes = 0;
  const screen = new Screen({ input, output, onKey: (key) => keys.push(key), onResize: () => resizes++ });
  return { screen, input, output, done, keys, resizes: () => resizes };
}

const ENTER = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const LEAVE = "\u001b[?7h\u001b[?25h\u001b[?1049l";

test("gives the terminal back once, and leaves no listener behind", () => {
  const before = process.listenerCount("exit");
  const { screen, input, output, done, keys } = startScreen();
  screen.open();
  screen.open();
  input.emit("data", Buffer.from("q"));
  expect([keys, done.at(-1), process.listenerCount("exit")]).toEqual([["q"], ENTER, before + 1]);
  screen.close();
  screen.close();
  expect(done.slice(-2)).toEqual(["cooked", LEAVE]);
  expect(done.filter((one) => one === LEAVE)).toHaveLength(1);
  input.emit("data", Buffer.from("q"));
  screen.draw(["late"]);
  expect([keys.length, done.at(-1)]).toEqual([1, LEAVE]);
  expect([process.listenerCount("exit"), output.listenerCount("resize")]).toEqual([before, 0]);
});

test("gives it back before the stack of an error that nobody caught is printed", () => {
  const { screen, done } = startScreen();
  screen.open();
  process.listeners("uncaughtExceptionMonitor").at(-1)?.(new Error("a bug"), "uncaughtException");
  expect(done.at(-1)).toBe(LEAVE);
});

test("draws only what is another picture, and everything anew after a resize", () => {
  const { screen, output, done, resizes } = startScreen();
  screen.open();
  const count = done.length;
  screen.draw(["a", "b"]);
  screen.draw(["a", "b"]);
  expect(done.length - count).toBe(1);
  expect(done.at(-1)).toContain("\u001b[H\u001b[Ka\r\n\u001b[Jb");
  output.emit("resize");
  screen.draw(["a", "b"]);
  expect([resizes(), done.length - count]).toEqual([1, 2]);
  screen.close();
});
