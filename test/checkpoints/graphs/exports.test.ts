/** Some of the models that real exporters made, of each kind; all of them: exports.slow.ts. */
import { expect, it } from "vitest";
import { packs } from "../../support/onnx-exports.js";
import { differencesIn } from "./exports.js";

it.each(packs)("%s: all normalizations are found, and no others", async (pack) => {
  expect(await differencesIn(pack, 12)).toEqual([]);
});
