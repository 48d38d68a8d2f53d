/**
 * What is passed by mistake (undefined, null, words, promises, arrays of other kinds), in every argument: a TypeError or RangeError that
 * names the function or the normalization, never what the engine says of its own code; and nothing is left in the backend.
 */
import { describe, expect, it } from "vitest";
import {
  adaptiveLayerNorm,
  apply,
  BatchNorm,
  batchNorm,
  biasedVariance,
  conventions,
  convertRunningVariance,
  deepNorm,
  dynamicTanh,
  foldBatchNorm,
  GroupNorm,
  groupNorm,
  InstanceNorm,
  Layer,
  LayerNorm,
  layerNorm,
  legalGroups,
  maskOfLengths,
  merge,
  momentsOf,
  nearestGroups,
  open,
  positionNorm,
  RMSNorm,
  renormSchedule,
  residualBlock,
  rmsNorm,
  statistics,
  statisticsOf,
  unbiasedVariance,
  weightNormGain,
  withActivation,
  withDropout,
} from "../../src/index.js";

const ek = await open({ backend: "wasm", threads: 1 });
const data = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 9);
const x = { shape: [2, 4], data };
const image = { shape: [2, 2, 2], data };

/** None of these is what any of the arguments below expects. */
const mistakes: unknown[] = [
  null,
  Number.NaN,
  -1.5,
  "0.5",
  "",
  true,
  [[]],
  () => 1,
  Symbol("s"),
  1n,
  Promise.resolve(ek),
  { shape: null },
  { shape: [2, 4] },
  { shape: [2, 4], data: null },
  { shape: [2, 4], data: "12345678" },
  { shape: [2, 4], data: new BigInt64Array(8) },
  { shape: [2, 4], data: { length: 8 } },
  { shape: [2, 4], data: Array(8).fill("1") },
  { shape: [2, 4], data: Array(8) },
  { shape: [Symbol("s"), 4], data },
  new BigInt64Array(4),
  { shape: "24", data },
  { shape: [4, 4], data },
  { name: "x" },
  { weights: () => ({}) },
  new Date(0),
];

/** Made anew for each call, and disposed of after it. */
const made: Layer[] = [];
function layer(norm = layerNorm(), ...more: number[][]): Layer {
  const one = new Layer(ek, norm, x.shape, ...more);
  made.push(one);
  return one;
}
function calledLayer(): Layer {
  const one = layer();
  one.forward(x);
  return one;
}
const keep = (one: Layer) => made.push(one);

/** Of mean and variance, the other one. */
const given = (name: string) =>
  name === "mean"
    ? { variance: data.subarray(0, 2) }
    : name === "variance"
      ? { mean: data.subarray(0, 2) }
      : {};

const four = data.subarray(0, 4);
const channels = { runningMean: four, runningVariance: four };
const fold = (options: object) => foldBatchNorm({ kernel: x, statistics: channels, ...options });

/** Each argument of each function. `absent`: whether undefined is a mistake too. */
const places: {
  name: string;
  absent?: boolean;
  allows?: (value: unknown) => boolean;
  run: (wrong: never) => unknown;
}[] = [
  { name: "apply: ek", absent: true, run: (wrong) => apply(wrong, layerNorm(), x) },
  { name: "apply: norm", absent: true, run: (wrong) => apply(ek, wrong, x) },
  { name: "apply: x", absent: true, run: (wrong) => apply(ek, layerNorm(), wrong) },
  { name: "apply: x in a list", absent: true, run: (wrong) => apply(ek, layerNorm(), [wrong]) },
  { name: "apply: condition", absent: true, run: (wrong) => apply(ek, adaptiveLayerNorm(), [x, wrong]) },
  { name: "apply: gamma", run: (wrong) => apply(ek, layerNorm(), x, { gamma: wrong }) },
  { name: "apply: mask", run: (wrong) => apply(ek, dynamicTanh(), x, {}, { mask: wrong }) },
  {
    name: "apply: mask's values",
    absent: true,
    run: (wrong) => apply(ek, layerNorm(), x, {}, { mask: { shape: [2], data: wrong } }),
  },
  { name: "apply: residual", run: (wrong) => apply(ek, dynamicTanh(), x, {}, { residual: wrong }) },
  {
    name: "apply: training",
    allows: (value) => value === true,
    run: (wrong) => apply(ek, batchNorm(), x, {}, { training: wrong }),
  },
  { name: "applied.backward: dy", absent: true, run: (wrong) => apply(ek, layerNorm(), x).backward(wrong) },
  { name: "applied.backward: dSum", run: (wrong) => apply(ek, layerNorm(), x).backward(x, { dSum: wrong }) },
  {
    name: "applied.backward: dMore",
    allows: Array.isArray,
    run: (wrong) => apply(ek, layerNorm(), x).backward(x, { dMore: wrong }),
  },
  {
    name: "applied.backward: dMore[0]",
    run: (wrong) => apply(ek, positionNorm({ moments: true }), image).backward(image, { dMore: [wrong] }),
  },
  { name: "ek.forward: norm", absent: true, run: (wrong) => ek.forward(wrong, x) },
  {
    name: "ek.forward: epsilon",
    run: (wrong) => ek.forward({ ...layerNorm(), epsilon: wrong }, x),
  },
  { name: "ek.forward: x", absent: true, run: (wrong) => ek.forward(layerNorm(), wrong) },
  ...["gamma", "beta", "mean", "variance", "residual", "mask"].map((name) => ({
    name: `ek.forward: ${name}`,
    run: (wrong: never) => ek.forward(layerNorm(), x, { ...given(name), [name]: wrong }),
  })),
  ...["x", "gamma", "residual", "mask"].map((name) => ({
    name: `ek.forward: values of ${name}`,
    absent: true,
    run: (wrong: never) => {
      const array = { shape: name === "gamma" ? [4] : [2, 4], data: wrong };
      return name === "x" ? ek.forward(layerNorm(), array) : ek.forward(layerNorm(), x, { [name]: array });
    },
  })),
  { name: "ek.backward: saved", absent: true, run: (wrong) => ek.backward(wrong, x) },
  {
    name: "ek.backward: dy",
    absent: true,
    run: (wrong) => ek.backward(ek.forward(layerNorm(), x).saved, wrong),
  },
  { name: "ek.backward: dSum", run: (wrong) => ek.backward(ek.forward(layerNorm(), x).saved, x, wrong) },
  { name: "foldBatchNorm: kernel", absent: true, run: (wrong) => fold({ kernel: wrong }) },
  {
    name: "foldBatchNorm: kernel.shape",
    absent: true,
    run: (wrong) => fold({ kernel: { shape: wrong, data } }),
  },
  {
    name: "foldBatchNorm: kernel.data",
    absent: true,
    run: (wrong) => fold({ kernel: { shape: [2, 4], data: wrong } }),
  },
  { name: "foldBatchNorm: bias", run: (wrong) => fold({ bias: wrong }) },
  { name: "foldBatchNorm: axis", run: (wrong) => fold({ axis: wrong }) },
  { name: "foldBatchNorm: epsilon", run: (wrong) => fold({ epsilon: wrong }) },
  ...["runningMean", "runningVariance", "gamma", "beta"].map((name) => ({
    name: `foldBatchNorm: ${name}`,
    run: (wrong: never) => fold({ statistics: { ...channels, [name]: wrong } }),
  })),
  { name: "weightNormGain: v", absent: true, run: weightNormGain },
  {
    name: "weightNormGain: v.data",
    absent: true,
    run: (wrong) => weightNormGain({ shape: [2, 4], data: wrong }),
  },
  {
    name: "convertRunningVariance: variance",
    absent: true,
    run: (wrong) => convertRunningVariance(wrong, 2, "biased"),
  },
  {
    name: "convertRunningVariance: count",
    absent: true,
    run: (wrong) => convertRunningVariance([1], wrong, "biased"),
  },
  { name: "convertRunningVariance: to", absent: true, run: (wrong) => convertRunningVariance([1], 2, wrong) },
  { name: "renormSchedule: step", absent: true, run: renormSchedule },
  { name: "momentsOf: values", absent: true, run: momentsOf },
  { name: "merge: a", absent: true, run: (wrong) => merge(wrong, momentsOf([1])) },
  { name: "merge: b", absent: true, run: (wrong) => merge(momentsOf([1]), wrong) },
  { name: "biasedVariance: moments", absent: true, run: biasedVariance },
  { name: "unbiasedVariance: moments", absent: true, run: unbiasedVariance },
  { name: "Layer: ek", absent: true, run: (wrong) => keep(new Layer(wrong, layerNorm(), [2, 4])) },
  { name: "Layer: norm", absent: true, run: (wrong) => keep(new Layer(ek, wrong, [2, 4])) },
  { name: "Layer: shape", absent: true, run: (wrong) => keep(new Layer(ek, layerNorm(), wrong)) },
  { name: "Layer: second shape", absent: true, run: (wrong) => layer(adaptiveLayerNorm() as never, wrong) },
  { name: "layer.forward: x", absent: true, run: (wrong) => layer().forward(wrong) },
  { name: "layer.forward: residual", run: (wrong) => layer().forward(x, wrong) },
  { name: "layer.forward: mask", run: (wrong) => layer().forward(x, undefined, wrong) },
  { name: "layer.call: inputs", absent: true, run: (wrong) => layer().call(wrong) },
  {
    name: "layer.backward: dy",
    absent: true,
    run: (wrong) => calledLayer().backward(wrong),
  },
  { name: "layer.backward: dSum", run: (wrong) => calledLayer().backward(x, wrong) },
  { name: "layer.stateDict: names", run: (wrong) => layer().stateDict({ names: wrong }) },
  { name: "layer.loadStateDict: state", absent: true, run: (wrong) => layer().loadStateDict(wrong) },
  {
    name: "layer.loadStateDict: gamma",
    absent: true,
    run: (wrong) => layer().loadStateDict({ ...layer().stateDict(), gamma: wrong }),
  },
  {
    name: "layer.loadStateDict: names",
    run: (wrong) => layer().loadStateDict(layer().stateDict(), { names: wrong }),
  },
  { name: "statistics: ek", absent: true, run: (wrong) => statistics(wrong, layerNorm(), x) },
  { name: "statistics: norm", absent: true, run: (wrong) => statistics(ek, wrong, x) },
  { name: "statistics: x", absent: true, run: (wrong) => statistics(ek, layerNorm(), wrong) },
  { name: "statistics: mask", run: (wrong) => statistics(ek, layerNorm(), x, { mask: wrong }) },
  {
    name: "statistics.backward: dMean",
    run: (wrong) => statistics(ek, layerNorm(), x).backward({ dMean: wrong }),
  },
  {
    name: "statistics.backward: dVariance",
    run: (wrong) => statistics(ek, rmsNorm(), x).backward({ dVariance: wrong }),
  },
  { name: "statisticsOf: norm", absent: true, run: statisticsOf },
  { name: "withActivation: norm", absent: true, run: (wrong) => withActivation(wrong, "relu") },
  { name: "withActivation: activation", absent: true, run: (wrong) => withActivation(layerNorm(), wrong) },
  { name: "withDropout: norm", absent: true, run: (wrong) => withDropout(wrong, 0.5) },
  { name: "withDropout: rate", absent: true, run: (wrong) => withDropout(layerNorm(), wrong) },
  { name: "residualBlock: branch", absent: true, run: (wrong) => residualBlock(wrong) },
  { name: "residualBlock: norm", run: (wrong) => residualBlock(layerNorm(), { norm: wrong }) },
  {
    name: "residualBlock: after",
    run: (wrong) => residualBlock(layerNorm(), { placement: "sandwich", after: wrong }),
  },
  {
    name: "residualBlock: alpha",
    run: (wrong) => residualBlock(layerNorm(), { placement: "post", alpha: wrong }),
  },
  { name: "residualBlock: gain", run: (wrong) => residualBlock(layerNorm(), { gain: wrong }) },
  { name: "deepNorm: encoder", run: (wrong) => deepNorm({ encoder: wrong }) },
  { name: "deepNorm: layers", absent: true, run: (wrong) => deepNorm(wrong) },
  { name: "residualBlock: placement", run: (wrong) => residualBlock(layerNorm(), { placement: wrong }) },
  ...[LayerNorm, RMSNorm, BatchNorm, InstanceNorm].flatMap((Made) => [
    { name: `${Made.name}: ek`, absent: true, run: (wrong: never) => keep(new Made(wrong, 4)) },
    { name: `${Made.name}: size`, absent: true, run: (wrong: never) => keep(new Made(ek, wrong)) },
    { name: `${Made.name}: epsilon`, run: (wrong: never) => keep(new Made(ek, 4, { epsilon: wrong })) },
  ]),
  { name: "GroupNorm: ek", absent: true, run: (wrong) => keep(new GroupNorm(wrong, 2, 4)) },
  { name: "GroupNorm: groups", run: (wrong) => keep(new GroupNorm(ek, wrong, 4)) },
  { name: "GroupNorm: channels", absent: true, run: (wrong) => keep(new GroupNorm(ek, 2, wrong)) },
  { name: "legalGroups: channels", absent: true, run: legalGroups },
  { name: "nearestGroups: channels", absent: true, run: (wrong) => nearestGroups(wrong, 2) },
  { name: "nearestGroups: wanted", absent: true, run: (wrong) => nearestGroups(2, wrong) },
  { name: "maskOfLengths: lengths", absent: true, run: (wrong) => maskOfLengths(wrong, 2) },
  { name: "maskOfLengths: a length", absent: true, run: (wrong) => maskOfLengths([wrong], 2) },
  { name: "maskOfLengths: longest", absent: true, run: (wrong) => maskOfLengths([1], wrong) },
];

/** Where options, or arrays by name, are expected. */
const objects: typeof places = [
  { name: "apply: weights", run: (wrong) => apply(ek, layerNorm(), x, wrong) },
  { name: "apply: options", run: (wrong) => apply(ek, layerNorm(), x, {}, wrong) },
  { name: "applied.backward: more", run: (wrong) => apply(ek, layerNorm(), x).backward(x, wrong) },
  { name: "layer.call: options", run: (wrong) => layer().call([x], wrong) },
  { name: "layer.stateDict: options", run: (wrong) => layer().stateDict(wrong) },
  { name: "layer.loadStateDict: options", run: (wrong) => layer().loadStateDict(layer().stateDict(), wrong) },
  { name: "statistics: options", run: (wrong) => statistics(ek, layerNorm(), x, wrong) },
  {
    name: "statistics.backward",
    absent: true,
    run: (wrong) => statistics(ek, layerNorm(), x).backward(wrong),
  },
  { name: "residualBlock: options", run: (wrong) => residualBlock(layerNorm(), wrong) },
  { name: "LayerNorm: options", run: (wrong) => keep(new LayerNorm(ek, 4, wrong)) },
  { name: "RMSNorm: options", run: (wrong) => keep(new RMSNorm(ek, 4, wrong)) },
  { name: "BatchNorm: options", run: (wrong) => keep(new BatchNorm(ek, 4, wrong)) },
  { name: "InstanceNorm: options", run: (wrong) => keep(new InstanceNorm(ek, 4, wrong)) },
  { name: "GroupNorm: options", run: (wrong) => keep(new GroupNorm(ek, 2, 4, wrong)) },
];
const noObjects = [null, Number.NaN, 3, "0.5", "", true, Symbol("s"), 1n, () => 1, { shape: [2, 4] }];

/** What engines say where code trips over a value. */
const engine =
  /Cannot|is not a function|is not iterable|not an object|Invalid|undefined \(|null \(|convert (a|un)/i;

function refused(run: (wrong: never) => unknown, wrong: unknown): void {
  let error: unknown;
  try {
    run(wrong as never);
  } catch (thrown) {
    error = thrown;
  }
  for (const one of made.splice(0)) one.dispose();
  const called = typeof wrong === "symbol" ? "a symbol" : `${wrong?.constructor?.name} ${String(wrong)}`;
  expect(error instanceof TypeError || error instanceof RangeError, `${called}: ${error}`).toBe(true);
  expect((error as Error).message, called).toMatch(/^\w+( of \w+)?: /);
  expect((error as Error).message, called).not.toMatch(engine);
  expect(ek.memory(), called).toEqual({ arrays: 0, elements: 0 });
}

describe("a mistake is said by name", () => {
  it.each(places)("$name", ({ absent = false, allows = () => false, run }) => {
    const all = absent ? [undefined, ...mistakes] : mistakes;
    for (const wrong of all) {
      if (!allows(wrong)) refused(run, wrong);
    }
  });

  it.each(objects)("$name", ({ absent = false, run }) => {
    for (const wrong of absent ? [undefined, ...noObjects] : noObjects) refused(run, wrong);
  });

  it("where arguments are missing", () => {
    const bare =
      <A extends unknown[]>(run: (...args: A) => unknown) =>
      () =>
        (run as () => unknown)();
    for (const run of [
      bare(apply),
      bare(statistics),
      bare(statisticsOf),
      bare(withActivation),
      bare(withDropout),
      bare(residualBlock),
      bare(maskOfLengths),
      bare(legalGroups),
      () => new (Layer as new () => Layer)(),
      () => new (LayerNorm as unknown as new () => Layer)(),
      () => new Layer(ek, layerNorm()),
    ]) {
      refused(run, undefined);
    }
  });
});

it.each<[string, () => unknown, Error]>([
  [
    "a promise for a backend",
    () => apply(open() as never, layerNorm(), x),
    new TypeError("apply: ek must be a backend, which await open() gives, got a Promise"),
  ],
  [
    "no backend for a layer",
    () => new Layer(undefined as never, layerNorm(), [2, 4]),
    new TypeError("Layer: ek must be a backend, which await open() gives, got undefined"),
  ],
  [
    "a layer without a shape",
    () => new Layer(ek, layerNorm()),
    new TypeError(
      "Layer: shape must be that of x, a list of lengths such as [2, 3], got none; further inputs follow",
    ),
  ],
  [
    "no activation",
    () => withActivation(layerNorm(), undefined as never),
    new RangeError(
      "withActivation: activation must be one of relu, leakyRelu, gelu, silu, tanh, sigmoid, got undefined",
    ),
  ],
  [
    "an activation by another framework's name",
    () => withActivation(layerNorm(), "leaky_relu" as never),
    new RangeError(
      'withActivation: activation must be one of relu, leakyRelu, gelu, silu, tanh, sigmoid, got "leaky_relu"; did you mean "leakyRelu"?',
    ),
  ],
  [
    "a layer's activation that is misspelled",
    () => new GroupNorm(ek, 2, 4, { activation: "sigmod" as never }),
    new RangeError(
      'GroupNorm: activation must be one of relu, leakyRelu, gelu, silu, tanh, sigmoid, got "sigmod"; did you mean "sigmoid"?',
    ),
  ],
  [
    "a slope of an activation that has none",
    () => withActivation(layerNorm(), "relu", { negativeSlope: 0.1 }),
    new TypeError(
      'withActivation: negativeSlope is for the activation "leakyRelu", got it with "relu"; leave it out',
    ),
  ],
  [
    "a slope without end",
    () => withActivation(layerNorm(), "leakyRelu", { negativeSlope: Number.POSITIVE_INFINITY }),
    new RangeError("withActivation: negativeSlope must be finite, got Infinity"),
  ],
  [
    "a rate in words",
    () => withDropout(layerNorm(), "0.5" as never),
    new TypeError('withDropout: rate must be a number from 0 up to 1, got "0.5"'),
  ],
  [
    "no branch",
    () => residualBlock(undefined as never),
    new TypeError("residualBlock: branch must be a normalization, such as layerNorm(), got undefined"),
  ],
  [
    "null for a mask",
    () => apply(ek, layerNorm(), x, {}, { mask: null as never }),
    new TypeError(
      "layerNorm: mask must be { shape, data }, such as maskOfLengths() gives, got null; leave it out for none",
    ),
  ],
  [
    "null for a residual",
    () => apply(ek, layerNorm(), x, {}, { residual: null as never }),
    new TypeError(
      "layerNorm: residual must be an array with a shape, such as { shape: [2, 3], data }, got undefined for its shape",
    ),
  ],
  [
    "no inputs",
    () => apply(ek, layerNorm(), [] as never),
    new TypeError("layerNorm: expected at least one input, x, got none"),
  ],
  [
    "an axis for a layer that has its own",
    () => new LayerNorm(ek, 4, { axis: 1 } as never),
    new TypeError(
      'LayerNorm: no option is called "axis"; there are epsilon, scale, center, activation, negativeSlope',
    ),
  ],
  [
    "groups as an option",
    () => new GroupNorm(ek, 2, 4, { num_groups: 2 } as never),
    new TypeError('GroupNorm: no option is called "num_groups"; it is called "groups" here'),
  ],
  [
    "a weight that every object has",
    () => apply(ek, groupNorm({ groups: 1 }), x, { constructor: data } as never),
    new RangeError("groupNorm: no weights are called constructor; there are gamma, beta"),
  ],
  [
    "its prototype",
    () => apply(ek, layerNorm(), x, JSON.parse('{ "__proto__": { "shape": [4], "data": [1, 2, 3, 4] } }')),
    new RangeError("layerNorm: no weights are called __proto__; there are gamma, beta"),
  ],
  [
    "values of a weight in words",
    () => apply(ek, layerNorm(), x, { gamma: { shape: [4], data: "1234" as never } }),
    new TypeError('layerNorm: gamma must have its values in a Float32Array, got "1234" for its data'),
  ],
  [
    "words in a list of values",
    () => ek.forward(layerNorm(), { shape: [1, 2], data: [1, "2"] as never }),
    new TypeError('layerNorm: x must hold numbers, got "2" at index 1'),
  ],
  [
    "the whole result for what it saved",
    () => ek.backward(ek.forward(layerNorm(), x) as never, x),
    new TypeError(
      "backward: saved must be what forward gives by that name, got its whole result; pass result.saved",
    ),
  ],
  [
    "nothing saved",
    () => ek.backward(undefined as never, x),
    new TypeError("backward: saved must be what forward gives by that name, got undefined"),
  ],
  [
    "an epsilon that was spread over",
    () => ek.forward({ ...layerNorm(), epsilon: Number.NaN }, x),
    new RangeError("layerNorm: epsilon must be a finite number of at least 0, got NaN"),
  ],
  [
    "a large integer for gamma",
    () => ek.forward(layerNorm(), x, { gamma: 1n as never }),
    new TypeError(
      "layerNorm: gamma must be a Float32Array, an array of the backend or { shape, data }, got 1n",
    ),
  ],
  [
    "a weight without values",
    () => weightNormGain({ shape: [0, 2 ** 27], data: [] }),
    new RangeError(
      "weightNormGain: v must have a value for each output, got shape [0, 134217728] with 134217728 outputs",
    ),
  ],
  [
    "a length instead of a kernel",
    () => foldBatchNorm({ kernel: { shape: [1e9], data: { length: 1e9 } }, statistics: channels }),
    new TypeError("foldBatchNorm: kernel.data must be a typed array or a list of numbers, got an object"),
  ],
  [
    "lengths instead of statistics",
    () => fold({ statistics: { runningMean: { length: 4 }, runningVariance: four } }),
    new TypeError("foldBatchNorm: runningMean must be a typed array or a list of numbers, got an object"),
  ],
  [
    "batches without an end",
    () => convertRunningVariance([1], Number.POSITIVE_INFINITY, "biased"),
    new RangeError(
      "convertRunningVariance: count must be a finite number of at least 2 (values per channel in a batch), got Infinity",
    ),
  ],
  [
    "another estimator",
    () => convertRunningVariance([1], 2, "sample" as never),
    new RangeError('convertRunningVariance: to must be "biased" or "unbiased", got "sample"'),
  ],
  [
    "no step",
    () => renormSchedule(undefined as never),
    new TypeError("renormSchedule: step must be a number, that of the training steps so far, got undefined"),
  ],
  [
    "a step that is NaN",
    () => renormSchedule(Number.NaN),
    new RangeError("renormSchedule: step must be at least 0, got NaN"),
  ],
  [
    "a variance for moments",
    () => merge(momentsOf([1]), 2 as never),
    new TypeError("merge: b must be { count, mean, m2 }, as momentsOf() gives, got 2"),
  ],
  [
    "NaN in a mask",
    () => ek.forward(layerNorm(), x, { mask: { shape: [2], data: [1, Number.NaN] } }),
    new RangeError("layerNorm: mask must be 0 or another number at each position, got NaN at index 1"),
  ],
])("%s", (_, run, error) => expect(run).toThrow(error));

it("what is false is not left out", () => {
  for (const wrong of [null, false, 0, "", Number.NaN, 0n] as never[]) {
    refused(() => ek.forward(layerNorm(), x, { residual: wrong }), wrong);
    refused(() => ek.forward(layerNorm(), x, { gamma: wrong }), wrong);
    refused(() => ek.forward(layerNorm(), x, { mask: wrong }), wrong);
    refused(() => ek.backward(ek.forward(layerNorm(), x).saved, x, wrong), wrong);
  }
  expect(() =>
    ek.backward(ek.forward(layerNorm(), x, { residual: undefined }).saved, x, undefined),
  ).not.toThrow();
});

it("null lives in no backend", () => {
  for (const nothing of [null, undefined, x, 1n]) expect(ek.owns(nothing as never)).toBe(false);
});

it("conventions are frozen, since a program shares them", () => {
  const all = [conventions, ...Object.values(conventions).flatMap((one) => [one, ...Object.values(one)])];
  for (const one of all) expect(Object.isFrozen(one)).toBe(true);
});

it("a layer ends by using, where the engine has that", () => {
  if (!Symbol.dispose) return;
  const one = new LayerNorm(ek, 4);
  one[Symbol.dispose]();
  expect(ek.memory()).toEqual({ arrays: 0, elements: 0 });
});
