import { expect, test } from "vitest";
import { BatchedReads } from "../../server/mongo/batched-reads.ts";

const turn = () => new Promise((resolve) => setImmediate(resolve));

function start() {
  const queries: { readonly keys: readonly string[]; readonly answer: PromiseWithResolvers<Map<string, number>> }[] =
    [];
  const reads = new BatchedReads<number>((keys) => {
    const answer = Promise.withResolvers<Map<string, number>>();
    queries.push({ keys, answer });
    return answer.promise;
  });
  return { queries, read: (key: string) => reads.read(key) };
}

test("what is asked for in one turn is one query; each gets its own, or nothing", async () => {
  const { queries, read } = start();
  const asked = ["a", "b", "a", "none"].map(read);
  await turn();
  expect(queries.map(({ keys }) => keys)).toEqual([["a", "b", "none"]]);
  const later = read("a");
  await turn();
  expect(queries).toHaveLength(2);
  queries[0]?.answer.resolve(new Map(Object.entries({ a: 1, b: 2 })));
  expect(await Promise.all(asked)).toEqual([1, 2, 1, undefined]);
  queries[1]?.answer.resolve(new Map([["a", 3]]));
  expect(await later).toBe(3);
});

test("a query that fails does so for its own; at most four are under way, the others wait together", async () => {
  const { queries, read } = start();
  const asked: Promise<number | undefined>[] = [];
  for (let index = 0; index < 7; index++) {
    asked.push(read(`k${index}`));
    await turn();
  }
  expect(queries).toHaveLength(4);
  queries[1]?.answer.reject(new Error("away"));
  await expect(asked[1]).rejects.toThrow("away");
  await turn();
  expect(queries[4]?.keys).toEqual(["k4", "k5", "k6"]);
  for (const { keys, answer } of queries) answer.resolve(new Map(keys.map((key) => [key, 1])));
  expect(await asked[6]).toBe(1);
  expect(await asked[0]).toBe(1);
});
