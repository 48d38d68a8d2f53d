/** What an inspection says of a checkpoint: its totals, its values, and its verdict in words. */
import { expect, test } from "vitest";
import {
  conversionsOf,
  formatText,
  foundIn,
  headline,
  type Inspection,
  inspect,
  leadingArrays,
  MOST_VALUES,
  ranges,
  settingsText,
  size,
  totalsText,
  verdict,
} from "../src/inspection.js";
import {
  batchNorm,
  checkpointOf,
  layerNorm,
  manyBatchNorms,
  sickLayers,
  spread,
  tensorOf,
  withValues,
} from "./support/synthetic-checkpoint.js";

const of = (layers: Parameters<typeof checkpointOf>[0], more = {}) =>
  inspect(checkpointOf(layers, more), "1.2.3");

test("tensors and their values are counted by type, tied ones once, quantized ones as both", async () => {
  const at = { file: "made", offset: 64, byteLength: 12 };
  const tensors = [
    tensorOf("embedding", new Float32Array(3), { at }),
    tensorOf("head", new Float32Array(3), { at }),
    tensorOf("count", new BigInt64Array(1), { shape: [], dtype: "int64" }),
    tensorOf("kernel", new Float32Array(6), { shape: [2, 3], quantized: "uint8" }),
  ];
  const found = await of([], {
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    others: new Map([["adam.m", tensorOf("adam.m", new Float32Array(5))]]),
  });
  expect(found.tensors).toEqual({
    tensors: 4,
    values: 10,
    types: { "float32 as uint8": 6, float32: 3, int64: 1 },
  });
  expect(found.others).toEqual({ tensors: 1, values: 5, types: { float32: 5 } });
  expect(totalsText(found.tensors, "value")).toBe("10 values (6 float32 as uint8, 3 float32, 1 int64)");
  expect(totalsText(found.others, "value")).toBe("5 values (float32)");
  expect(found.largest.map(({ name, shape, dtype }) => `${name} [${shape}] ${dtype}`)).toEqual([
    "kernel [2,3] float32 as uint8",
    "embedding [3] float32",
    "head [3] float32",
    "count [] int64",
  ]);
});

test("every value comes out, as JSON, with what is not finite by its name", async () => {
  const layer = {
    ...batchNorm("bn", 6),
    tensors: {
      weight: [1, 0.1, Number.NaN, Infinity, -Infinity, -2],
      bias: [0, 0, 0, 0, 0, 0],
      running_mean: [0.5, 1, 1, 1, 1, 1],
      running_var: [0, 1, 10, 100, 1000, 1e4],
    },
  };
  const found = await of([layer]);
  const [{ weights, statistics, channels, kind, type }] = found.normalizations;
  expect([kind, type, channels]).toEqual(["batchNorm", "BatchNorm2d", 6]);
  expect(weights.gamma).toMatchObject({ count: 6, notFinite: 3, min: -2, max: 1 });
  expect(weights.gamma.values).toEqual([1, 0.1, "NaN", "Infinity", "-Infinity", -2]);
  const { histogram } = statistics.runningVariance;
  // 0 has no logarithm
  expect([histogram?.scale, histogram?.low, histogram?.high]).toEqual(["log", 1, 1e4]);
  expect(histogram?.counts.flatMap((count, bin) => (count > 0 ? [[bin, count]] : []))).toEqual([
    [0, 1],
    [6, 1],
    [12, 1],
    [18, 1],
    [23, 1],
  ]);
  expect(JSON.parse(JSON.stringify(found))).toEqual(found);
});

test("of arrays that are too long to list the distribution is said", async () => {
  const found = await of([layerNorm("norm", MOST_VALUES + 1)]);
  const { values, count, median } = found.normalizations[0].weights.gamma;
  expect([values, count]).toEqual([null, MOST_VALUES + 1]);
  expect(median).toBeCloseTo(0.8, 1);
});

test("an array of the largest numbers has a histogram", async () => {
  const layer = withValues(layerNorm("norm", 4), "weight", (_, i) => [-3.4e38, 0, 1, 3.4e38][i]);
  const { histogram } = (await of([layer])).normalizations[0].weights.gamma;
  expect(histogram?.counts.reduce((sum, count) => sum + count, 0)).toBe(4);
  expect(histogram?.counts[12]).toBe(2);
});

test("settings are said as one writes them", async () => {
  const [{ options, ...rest }] = (await of([batchNorm("bn", 4)])).normalizations;
  expect(settingsText({ ...rest, options })).toBe(
    "axis 1, epsilon 1e-5, keeps 0.9, running variance unbiased",
  );
  const set = {
    trackRunningStatistics: false,
    center: true,
    scale: false,
    groups: 0,
    epsilon: 1.1920928955078125e-7,
    axis: [1, -1],
  };
  expect(settingsText({ ...rest, options: set })).toBe("axis [1, -1], groups 0, epsilon 1.19e-7, no scale");
  expect(settingsText({ ...rest, options, statistics: {} })).toBe("axis 1, epsilon 1e-5");
});

test("gamma and the running variance come first, then what else there is", async () => {
  const { normalizations } = await of([batchNorm("bn", 4), layerNorm("ln", 4)]);
  expect(normalizations.map((each) => leadingArrays(each).map(([name]) => name))).toEqual([
    ["gamma", "runningVariance"],
    ["gamma", "beta"],
  ]);
});

test("normalizations come in the order of the layers, not in that of the weights", async () => {
  const { tensors, modules, ...rest } = checkpointOf(
    ["stem", "block_1", "block_10", "block_2"].map((name) => batchNorm(name, 4)),
  );
  const byName = new Map([...tensors].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  const names = async (listed: typeof modules) =>
    (await inspect({ ...rest, tensors: byName, modules: listed }, "0")).normalizations.map(
      ({ name }) => name,
    );
  expect(await names(modules)).toEqual(["stem", "block_1", "block_10", "block_2"]);
  // without its layer one of them has no place among the others
  expect(await names(modules.slice(1))).toEqual(["block_1", "block_10", "block_2", "stem"]);
});

test("the verdict, and the most serious finding first", async () => {
  const said = async (layers: Parameters<typeof of>[0]) => verdict(await of(layers));
  const [well, ...others] = sickLayers;
  const look = others.filter(({ name }) => /^(never-trained|epsilon)$/.test(name));
  const sick = others.filter(({ name }) => name === "negative");
  expect(await said([])).toBe("No normalizations");
  expect(await said([well])).toBe("1 normalization, and it is well");
  expect(await said(manyBatchNorms())).toBe("52 normalizations, all well");
  expect(await said([look[0]])).toBe("1 normalization, not sick but worth a look");
  expect(await said([well, ...look])).toBe("3 normalizations, none sick; 2 worth a look");
  expect(await said(sick)).toBe("The only normalization is sick");
  expect(await said([...sick, ...sick])).toBe("Both normalizations are sick");
  expect(await said([...sick, ...sick, ...sick])).toBe("All 3 normalizations are sick");
  expect(await said([well, ...sick, ...look])).toBe("1 of 4 normalizations is sick");
  const all = await of(sickLayers);
  expect(headline(all)).toBe("7 of 11 normalizations are sick: nan, gamma not finite in 8 of 64");
  const found = foundIn(all);
  expect(found.map(({ finding }) => finding.sick)).toEqual(
    found.map(({ finding }) => finding.sick).toSorted((a, b) => Number(b) - Number(a)),
  );
  expect(found.map(({ name }) => name)).toEqual([
    ...["nan", "infinite", "negative", "all-dead", "constant", "enormous", "never-updated"],
    ...["some-dead", "epsilon", "never-trained"],
  ]);
});

test("a conversion is told once, with those it is true of", async () => {
  const found = await of([batchNorm("a", 4), layerNorm("b", 4), batchNorm("c", 4)]);
  const momentum = conversionsOf(found).filter(({ text }) => text.startsWith("momentum"));
  expect(momentum.map(({ members }) => members)).toEqual([[1, 3]]);
});

test("numbers in words", () => {
  expect([[1], [1, 2], [1, 2, 3], [1, 3, 4, 5, 9], [2, 3, 5, 6]].map(ranges)).toEqual([
    "1",
    "1 and 2",
    "1–3",
    "1, 3–5 and 9",
    "2, 3, 5 and 6",
  ]);
  expect([0, 999, 1000, 1_509_296, 999_999, 2e9, 1.5e13].map(size)).toEqual([
    "0 bytes",
    "999 bytes",
    "1.00 kB",
    "1.51 MB",
    "1.00 MB",
    "2.00 GB",
    "15.0 TB",
  ]);
});

test.each([
  ["PyTorch (zip)", "pytorch", null, "PyTorch (zip)"],
  ["Keras (HDF5)", "keras2", "2.0.5", "Keras 2.0.5 (HDF5)"],
  ["Keras (HDF5)", "keras2", null, "Keras (HDF5)"],
  ["TensorFlow SavedModel", "keras2", "2.4.1", "TensorFlow 2.4.1 SavedModel"],
  ["TensorFlow SavedModel", "keras2", null, "TensorFlow SavedModel"],
  ["TensorFlow.js layers model", "tensorflowjs", null, "TensorFlow.js layers model"],
  ["TensorFlow.js layers model", "keras2", "2.2.4", "TensorFlow.js layers model of Keras 2.2.4"],
  ["safetensors", "pytorch", null, "safetensors of PyTorch"],
  ["MXNet", "gluon", null, "MXNet Gluon"],
  ["safetensors", "keras3", null, "safetensors of Keras 3"],
  ["npz", null, null, "npz"],
  ["npz", "__proto__", "$&", "npz of __proto__ $&"],
])("%s by %s %s is said as %s", (format, framework, version, said) => {
  expect(formatText({ format, framework, version } as Inspection)).toBe(said);
});

test("values keep to the file's order and precision", async () => {
  const gamma = spread(50, 1, 0.3);
  const layer = { ...layerNorm("norm", 50), tensors: { weight: gamma, bias: spread(50, 0, 1) } };
  const { values } = (await of([layer])).normalizations[0].weights.gamma;
  expect(Float32Array.from(values as number[])).toEqual(gamma);
});
