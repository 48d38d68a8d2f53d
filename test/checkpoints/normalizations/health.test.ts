/** What values say of a trained normalization. */
import { expect, it } from "vitest";
import { healthOf, normalizationsOf } from "../../../src/checkpoints/index.js";
import { checkpointOf, type Given } from "../support/made.js";

const well = {
  weight: [1.5, 0.5, 2, 1],
  bias: [0.1, -0.2, 0, 0.3],
  running_mean: [1, -2, 0.5, 0.1],
  running_var: [4, 9, 1, 0.5],
};

const of = async (changed: Record<string, Given>) => {
  const layer = {
    type: "BatchNorm2d",
    config: { eps: 1e-5, momentum: 0.1 },
    tensors: { ...well, ...changed },
  };
  const [norm] = await normalizationsOf(checkpointOf({}, { framework: "pytorch" }, { layer }));
  return healthOf(norm);
};
const half = (data: number[]): Given => ({
  shape: [data.length],
  dtype: "float16",
  data: Float32Array.from(data),
});

it("a healthy one has no findings", async () => {
  expect(await of({})).toEqual({ findings: [], sick: false });
});

it.each<[string, Record<string, Given>, string, boolean, number, string]>([
  [
    "NaN",
    { weight: [1, Number.NaN, 2, Number.POSITIVE_INFINITY] },
    "nonfinite",
    true,
    2,
    "gamma not finite in 2 of 4",
  ],
  [
    "a negative variance",
    { running_var: [1, -1, 1, 2] },
    "negative-variance",
    true,
    1,
    "running variance below 0 in 1 of 4",
  ],
  [
    "statistics of a new layer",
    { running_mean: [0, 0, 0, 0], running_var: [1, 1, 1, 1] },
    "never-updated",
    true,
    4,
    "running statistics never updated: every mean is 0, every variance 1",
  ],
  [
    "an exploding input",
    { running_var: [1, 1e12, 3, 2] },
    "variance-enormous",
    true,
    1,
    "running variance above 10¹⁰ in 1 of 4: inputs grow out of bounds",
  ],
  [
    "a constant input",
    { running_var: [1, 0, 1e-9, 2] },
    "variance-near-zero",
    false,
    2,
    "running variance near 0 in 2 of 4: the input is constant there",
  ],
  [
    "dead channels",
    { weight: [1, 1e-6, 0, 2] },
    "dead-channels",
    false,
    2,
    "gamma near 0 in 2 of 4: dead channels",
  ],
  ["all dead", { weight: [0, 0, 0, 0] }, "dead-channels", true, 4, "gamma near 0 in all 4: dead channels"],
  [
    "an epsilon that matters",
    { running_var: [1, 5e-6, 1, 2] },
    "epsilon-matters",
    false,
    1,
    "epsilon 1e-5 is more than the running variance in 1 of 4: it must be the same wherever this runs",
  ],
  [
    "never trained",
    { weight: [1, 1, 1, 1], bias: [0, 0, 0, 0] },
    "never-trained",
    false,
    4,
    "gamma and beta never trained: every one is 1, or 0",
  ],
  [
    "float16 inputs whose squares overflow",
    { running_mean: half([1, 300, 0, 0]), running_var: half([1, 1, 10000, 1]) },
    "half-overflow",
    false,
    2,
    "squares of inputs overflow float16 (65504) in 2 of 4: sum them in float32",
  ],
])("%s", async (_, changed, kind, sick, count, text) => {
  const health = await of(changed);
  expect(health.sick).toBe(sick);
  expect(health.findings).toContainEqual({ kind, sick, count, of: 4, text });
  expect(health.findings.length).toBeLessThanOrEqual(2);
});

it("Gemma's gamma is stored minus 1: 0 is 1", async () => {
  const gemma = { type: "GemmaRMSNorm", config: { eps: 1e-6 }, tensors: { weight: [0, 0] } };
  const [norm] = await normalizationsOf(checkpointOf({}, { framework: "pytorch" }, { gemma }));
  expect(healthOf(norm).findings.map(({ kind }) => kind)).toEqual(["never-trained"]);
});

it("a variance that quantizing made 0 need not be that of a constant input", () => {
  const runningVariance = Float64Array.of(0, 4);
  const { findings } = healthOf({
    name: "bn",
    kind: "batchNorm",
    options: { epsilon: 1e-3 },
    weights: {},
    statistics: { runningMean: Float64Array.of(1, 2), runningVariance },
    conversions: [],
    tensors: {
      runningVariance: {
        name: "v",
        shape: [2],
        dtype: "float32",
        strides: [1],
        at: { file: "f", byteLength: 2 },
        quantized: "uint8",
        read: async () => runningVariance,
      },
    },
  });
  expect(findings.map(({ text }) => text)).toEqual([
    "running variance near 0 in 1 of 2: lost in uint8, or the input is constant there",
  ]);
});

it("global response normalization begins with a gamma of 0, to which its input is added", async () => {
  const layer = { type: "GlobalResponseNorm", tensors: { weight: [0, 0.5, 0, -0.25], bias: [0, 0.1, 0, 0] } };
  const [norm] = await normalizationsOf(checkpointOf({}, { framework: "pytorch" }, { layer }));
  expect(healthOf(norm)).toEqual({ findings: [], sick: false });
});
