import { expect, test } from "vitest";
import { SharedReads } from "../../server/shared-reads.ts";

function start() {
  const reads = new SharedReads<string, number>();
  const begun: PromiseWithResolvers<number>[] = [];
  const ask = (question = "q") =>
    reads.read(question, () => {
      const read = Promise.withResolvers<number>();
      begun.push(read);
      return read.promise;
    });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  return { begun, ask, turn };
}

test("[D1] who asks while a read is under way shares the next one, which begins after it", async () => {
  const { begun, ask, turn } = start();
  const first = ask();
  const later = [ask(), ask(), ask()];
  expect(begun).toHaveLength(1);
  begun[0]?.resolve(1);
  expect(await first).toBe(1);
  await turn();
  expect(begun).toHaveLength(2);
  const latest = ask();
  begun[1]?.resolve(2);
  expect(await Promise.all(later)).toEqual([2, 2, 2]);
  await turn();
  begun[2]?.resolve(3);
  expect(await latest).toBe(3);
  void ask();
  expect(begun).toHaveLength(4);
});

test("another question is another read; one that fails does so for those who share it alone", async () => {
  const { begun, ask, turn } = start();
  const [one, other] = [ask("a"), ask("b")];
  expect(begun).toHaveLength(2);
  const again = ask("a");
  begun[0]?.reject(new Error("away"));
  await expect(one).rejects.toThrow("away");
  await turn();
  begun[1]?.resolve(1);
  begun[2]?.resolve(2);
  expect(await other).toBe(1);
  expect(await again).toBe(2);
});
