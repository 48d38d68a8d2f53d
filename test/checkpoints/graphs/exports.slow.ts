/** Models that real exporters made: all of their normalizations are found, and no others. */
import { expect, it } from "vitest";
import { packs } from "../../support/onnx-exports.js";
import { differencesIn } from "./exports.js";

it.each(packs)("%s", async (pack) => {
  expect(await differencesIn(pack)).toEqual([]);
});
