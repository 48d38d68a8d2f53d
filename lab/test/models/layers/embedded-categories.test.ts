/** Tables of categories: each starts from values of its own. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, expect, test } from "vitest";
import { EmbeddedCategories } from "../../../src/models/layers/embedded-categories.js";
import { startTensorFlow } from "../../../src/node/tensorflow.js";

beforeAll(startTensorFlow);

test("no two tables start alike, of one layer or of two whose seeds are neighbours", () => {
  const categories = [0, 1].map((at) => ({ at, levels: 8 }));
  const tables = [1, 2].flatMap((seed) => {
    const layer = new EmbeddedCategories({ categories, seed, name: `categories${seed}` });
    layer.apply(tf.zeros([1, 2]));
    return layer.getWeights().map((table) => String(table.dataSync()));
  });
  expect(new Set(tables).size).toBe(4);
});
