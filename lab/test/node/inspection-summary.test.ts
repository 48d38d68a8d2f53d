/** The summary of an inspection, whatever the file holds and however narrow the terminal is. */
import type { Checkpoint } from "evenkeel/checkpoints";
import { describe, expect, test } from "vitest";
import { inspect } from "../../src/inspection.js";
import { inspectionText } from "../../src/node/inspection-summary.js";
import {
  batchNorm,
  checkpointOf,
  layerNorm,
  manyBatchNorms,
  type SyntheticLayer,
  sickLayers,
  tensorOf,
  withValues,
} from "../support/synthetic-checkpoint.js";

const tensors = (...all: Checkpoint["tensors"][]) => ({ tensors: new Map(all.flatMap((one) => [...one])) });
const named = (name: string, shape: number[], dtype = "float32") =>
  new Map([[name, tensorOf(name, new Float32Array(), { shape, dtype })]]);

const CASES: Record<string, Checkpoint> = {
  "52 batch norms": checkpointOf(manyBatchNorms()),
  "1,200 batch norms": checkpointOf(Array.from({ length: 1200 }, (_, i) => batchNorm(`block.${i}`, 4, i))),
  "one of every finding": checkpointOf(sickLayers),
  "kinds in turns": checkpointOf(
    [0, 1, 2, 3, 4, 5].map((i) => (i % 2 ? batchNorm : layerNorm)(`block.${i}.norm`, 8, i)),
  ),
  "one channel": checkpointOf([batchNorm("bn", 1)]),
  "no gamma": checkpointOf([
    { ...batchNorm("bn", 4), tensors: { running_mean: [1, 2, 3, 4], running_var: [1, 2, 3, 4] } },
  ]),
  "no weights": checkpointOf([
    { name: "ln", type: "LayerNorm", config: { normalized_shape: [4] }, tensors: {} },
  ]),
  "numbers of many digits": checkpointOf([
    withValues(batchNorm("bn", 4), "weight", (_, i) => [-1.234e-30, -123456, 1.0001, 3.3e38][i]),
    withValues(batchNorm("bn2", 4), "running_var", (_, i) => [-1, 1e-38, Number.NaN, 1.00001e-38][i]),
    withValues(batchNorm("bn3", 4), "running_var", () => Number.NaN),
    withValues(batchNorm("bn4", 4), "running_var", () => -1),
  ]),
  "a long name": checkpointOf(
    [
      batchNorm(`first.${"x".repeat(300)}.last`, 4),
      batchNorm("模型.编码器.归一化层".repeat(9), 4),
      batchNorm("e\u0301".repeat(40), 4),
    ],
    { file: `/${"a-folder-with-a-long-name/".repeat(9)}model.pt` },
  ),
  "a hostile name": checkpointOf([batchNorm("\u001b[2J\u001b]0;x\u0007\r\n\u202e__proto__", 4)]),
  "no normalization": checkpointOf(
    [],
    tensors(
      named("a", [3, 224, 224]),
      named("x".repeat(200), [1, 2, 3, 4, 5, 6, 7, 8]),
      named("names", [], "string"),
      ...Array.from({ length: 12 }, (_, i) => named(`b${i}`, [i])),
    ),
  ),
  "statistics of the batch": checkpointOf([
    {
      name: "bn",
      type: "BatchNorm2d",
      config: { track_running_stats: false },
      tensors: { weight: [1, 2], bias: [3, 4] },
    },
  ]),
  "no tensors": checkpointOf([]),
  "an optimizer, and many types": checkpointOf([batchNorm("bn", 4)], {
    others: new Map(
      ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "string"].map(
        (dtype) => [dtype, tensorOf(dtype, new Float32Array(), { dtype, shape: [1234567] })],
      ),
    ),
  }),
};

describe.each(Object.entries(CASES))("%s", async (_, checkpoint) => {
  const found = await inspect(checkpoint, "0");
  test.each([80, 60, 44])("fits %i columns", (width) => {
    const text = inspectionText(found, width);
    const columns = (line: string) => line.replace(/\p{M}/gu, "").replace(/\p{Script=Han}/gu, "**").length;
    expect(text.split("\n").filter((line) => columns(line) > width)).toEqual([]);
    expect(text).not.toMatch(/undefined|NaN|null|\[object/);
    // nothing that a file holds steers the terminal
    expect(text.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    // one line for each normalization
    expect(text.match(/^ *\d+ [✓!✗] /gm)?.length ?? 0).toBe(found.normalizations.length);
  });
});

test("a line has the number, the health, the name, the channels, gamma and the running variance", async () => {
  const layers: SyntheticLayer[] = [
    {
      ...batchNorm("stem.bn", 4),
      tensors: {
        weight: [0.5, 0.5, 1, 2],
        bias: [0, 0, 0, 1],
        running_mean: [0, 0, 0, 1],
        running_var: [0.01, 0.1, 1, 100],
      },
    },
    withValues(batchNorm("head.bn", 4), "weight", () => 0),
  ];
  layers[1].tensors.running_var = [1, 1, 1, 1.001];
  expect(inspectionText(await inspect(checkpointOf(layers), "0"), 80)).toBe(
    `evenkeel inspect  model.pt
PyTorch 2.8 (zip)  ·  1.23 MB
8 tensors  ·  32 parameters (float32)

Batch normalization (BatchNorm2d): axis 1, epsilon 1e-5, keeps 0.9, running
  variance unbiased
            channels  gamma               variance (log)
1 ✓ stem.bn        4  0.5 █   ▄      ▄ 2  0.01 █  █  █    █ 100
2 ✗ head.bn        4    0 in all             1 █          ▃ 1.001
      gamma near 0 in all 4: dead channels

How they were read
  momentum 0.1 of the new value → keeps 0.9 of the old  ·  both
  running variance unbiased, count unknown: kept as it is
    (convertRunningVariance if the count is known)  ·  both

1 of 2 normalizations is sick
`,
  );
});

test("numbers are the same in the table and in what is said of conversions", async () => {
  const layers = [layerNorm("a", 4), batchNorm("b", 4), layerNorm("c", 4), batchNorm("d", 4)];
  const text = inspectionText(await inspect(checkpointOf(layers), "0"), 80);
  expect(text.match(/^\d ✓ \w/gm)).toEqual(["1 ✓ a", "3 ✓ c", "2 ✓ b", "4 ✓ d"]);
  expect(text).toContain("keeps 0.9 of the old  ·  numbers 2 and 4\n");
});

test("without a normalization, the largest tensors", async () => {
  const large = tensors(...Array.from({ length: 12 }, (_, i) => named(`layer${i}.weight`, [i + 1, 10])));
  expect(inspectionText(await inspect(checkpointOf([], large), "0"), 80)).toBe(
    `evenkeel inspect  model.pt
PyTorch 2.8 (zip)  ·  1.23 MB
12 tensors  ·  780 parameters (float32)

Its 10 largest tensors
  layer11.weight  [12, 10]  float32
  layer10.weight  [11, 10]  float32
${Array.from({ length: 8 }, (_, i) => `  layer${9 - i}.weight   ${`[${10 - i}, 10]`.padEnd(8)}  float32\n`).join("")}
No normalizations
`,
  );
});

test("a range goes down to the lowest variance, though its logarithm does not", async () => {
  const layer = withValues(batchNorm("bn", 4), "running_var", (_, i) => [0, 0.5, 1, 20][i]);
  expect(inspectionText(await inspect(checkpointOf([layer]), "0"), 80)).toMatch(/ 0 █ .*█ 20\n/);
});

test("no line ends in the dot before the numbers", async () => {
  const layers = [1, 2, 3].flatMap((i) => [layerNorm(`ln${i}`, 4, i), batchNorm(`bn${i}`, 4, i)]);
  const found = await inspect(checkpointOf(layers), "0");
  for (let width = 44; width <= 100; width++) {
    const text = inspectionText(found, width);
    expect(text).not.toMatch(/·\s*\n/);
    expect(text).toContain("numbers 2, 4 and 6\n");
  }
});

test("long names are told apart by what they have of their own", async () => {
  const layers = ["Conv2d_1_depthwise", "Conv2d_11_depthwise", "Conv2d_2_pointwise"].map((name, i) =>
    batchNorm(`MobilenetV1/features/${name}/BatchNorm`, 32, i),
  );
  const text = inspectionText(await inspect(checkpointOf(layers), "0"), 80);
  expect(text.match(/^\d ✓ .*? (?= +32)/gm)?.map((line) => line.slice(4).trim())).toEqual([
    "…Conv2d_1_depthwise…",
    "…Conv2d_11_depthwise…",
    "…Conv2d_2_pointwise…",
  ]);
});
