/** The example of threads in docs/replicas.md runs as it is written, in a file of its own. */
import { expect, it } from "vitest";
import { printedAsPromised } from "../support/examples.js";
import { runScript, scriptOf } from "../support/scripts.js";

it("train.mjs trains in two threads", async () => {
  const code = scriptOf("docs/replicas.md", "train.mjs");
  const { promised, printed } = printedAsPromised(code, await runScript(code));
  expect(printed).toEqual(promised);
});
