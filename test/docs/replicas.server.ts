/** The example of machines in docs/replicas.md runs as it is written: two processes, over a Redis. */
import { expect, it } from "vitest";
import { startRedis } from "../../lab/test/support/servers.js";
import { runScript, scriptOf } from "../support/scripts.js";

it("machine.mjs merges over two processes of two threads each", async () => {
  const { url } = await startRedis();
  const code = scriptOf("docs/replicas.md", "machine.mjs");
  const env = { REDIS_URL: url, RUN: "example" };
  const outputs = await Promise.all(["0", "1"].map((machine) => runScript(code, [machine, "2"], env)));
  const [, promised] = /\/\/ prints: (.*)$/m.exec(code) ?? [];
  expect(outputs).toEqual([`${promised}\n${promised}\n`, `${promised}\n${promised}\n`]);
});
