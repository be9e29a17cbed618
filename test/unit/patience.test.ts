import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { NoAnswer, within, withPatience } from "../../server/patience.ts";

const silence = () => new Promise<never>(() => {});

/** As SIGSTOP or a paused machine: nothing runs, and then everything is due at once. */
function stall(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

const port = {
  read: silence,
  append: () => within(90, silence()).catch(() => "unknown"),
};
const options = { ms: 100, slowMs: 1_000, onSlow: () => {} };

test("what gets no answer rejects after its time", async () => {
  await expect(withPatience(port, { ...options, ms: 10 }).read()).rejects.toThrow(NoAnswer);
});

test("[D9] [D11] what never rejects does not do so after a stall either, though another wait began before it", async () => {
  const patient = withPatience(port, { ...options, bounded: ["append"] });
  const reading = expect(patient.read()).rejects.toThrow(NoAnswer);
  await sleep(20);
  const appending = patient.append();
  stall(200);
  expect(await appending).toBe("unknown");
  await reading;
});

test("slow calls are told of, bounded or not", async () => {
  const slow: string[] = [];
  const onSlow = (method: string) => slow.push(method);
  const patient = withPatience(port, { ...options, slowMs: 50, onSlow, bounded: ["append"] });
  await patient.append();
  await expect(patient.read()).rejects.toThrow(NoAnswer);
  expect(slow).toEqual(["append", "read"]);
});
