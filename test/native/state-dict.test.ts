/** State dicts: whole or not at all, checked value by value, and under the names of other frameworks. */
import { describe, expect, it } from "vitest";
import {
  BatchNorm,
  batchRenorm,
  GroupNorm,
  Layer,
  LayerNorm,
  layerNorm,
  open,
  RMSNorm,
  residualBlock,
  spectralNorm,
} from "../../src/index.js";
import { kinds } from "../support/layers.js";

const ek = await open({ backend: "wasm", threads: 1 });
type Names = NonNullable<NonNullable<Parameters<Layer["stateDict"]>[0]>["names"]>;
type State = Parameters<Layer["loadStateDict"]>[0];

const two = [2, 2];

describe("values", () => {
  const layer = new BatchNorm(ek, 2);
  const expects = "batchNorm: loadStateDict expected";
  const names = "gamma, beta, runningMean, runningVariance";

  it.each<[string, Record<string, unknown>, Error]>([
    [
      "a list that is none",
      { gamma: { length: 2 } },
      new TypeError(
        `${expects} 2 values for gamma, in a list or a typed array, got an object; in JSON, write Array.from(values)`,
      ),
    ],
    [
      "what JSON makes of a Float32Array",
      { gamma: { 0: 1, 1: 2 } },
      new TypeError(
        `${expects} 2 values for gamma, in a list or a typed array, got an object; in JSON, write Array.from(values)`,
      ),
    ],
    [
      "a string",
      { gamma: "12" },
      new TypeError(
        `${expects} 2 values for gamma, in a list or a typed array, got "12"; in JSON, write Array.from(values)`,
      ),
    ],
    [
      "a number",
      { gamma: 2 },
      new TypeError(
        `${expects} 2 values for gamma, in a list or a typed array, got 2; in JSON, write Array.from(values)`,
      ),
    ],
    [
      "null",
      { gamma: null },
      new TypeError(
        `${expects} 2 values for gamma, in a list or a typed array, got null; in JSON, write Array.from(values)`,
      ),
    ],
    [
      "bits",
      { gamma: new DataView(new ArrayBuffer(2)) },
      new TypeError(
        `${expects} 2 values for gamma, in a list or a typed array, got a DataView; in JSON, write Array.from(values)`,
      ),
    ],
    [
      "big integers",
      { gamma: BigInt64Array.of(1n, 2n) },
      new TypeError(
        `${expects} 2 values for gamma, in a list or a typed array, got a BigInt64Array; in JSON, write Array.from(values)`,
      ),
    ],
    ["strings", { gamma: [1, "2"] }, new TypeError(`${expects} numbers for gamma, got "2" at index 1`)],
    [
      "a hole",
      { gamma: Object.assign(new Array(2), { 0: 1 }) },
      new TypeError(`${expects} numbers for gamma, got undefined at index 1`),
    ],
    [
      "nested lists",
      { gamma: [[1], [2]] },
      new TypeError(
        `${expects} numbers for gamma, got [1] at index 0; flatten nested lists with values.flat(Infinity)`,
      ),
    ],
    [
      "NaN",
      { beta: [0, Number.NaN] },
      new RangeError(`${expects} finite float32 values for beta, got NaN at index 1`),
    ],
    [
      "an infinite one",
      { beta: [Number.NEGATIVE_INFINITY, 0] },
      new RangeError(`${expects} finite float32 values for beta, got -Infinity at index 0`),
    ],
    [
      "one that float32 does not hold",
      { beta: [1e39, 0] },
      new RangeError(`${expects} finite float32 values for beta, got 1e+39 at index 0`),
    ],
    [
      "a negative variance",
      { runningVariance: [1, -1e-9] },
      new RangeError(`${expects} finite values of at least 0 for runningVariance, got -1e-9 at index 1`),
    ],
    ["too many", { runningMean: [1, 2, 3] }, new RangeError(`${expects} 2 values for runningMean, got 3`)],
    [
      "what every object has",
      { constructor: [1, 2], toString: [1, 2] },
      new RangeError(`${expects} ${names}; missing: none; unknown: constructor, toString`),
    ],
    [
      "a prototype from JSON",
      JSON.parse('{ "__proto__": [1, 2] }'),
      new RangeError(`${expects} ${names}; missing: none; unknown: __proto__`),
    ],
  ])("refuses %s, and changes nothing", (_, entry, error) => {
    const before = layer.stateDict();
    const state = Object.assign(Object.create(null), before);
    for (const [name, value] of Object.entries(entry)) {
      Object.defineProperty(state, name, { value, enumerable: true, configurable: true });
    }
    // the entries before the wrong one are others than those that the layer has
    const gamma = "gamma" in entry ? state.gamma : [7, 8];
    expect(() => layer.loadStateDict({ ...state, gamma } as State)).toThrow(error);
    expect(layer.stateDict()).toEqual(before);
  });

  it("refuses entries that are inherited", () => {
    const inherited = Object.create(layer.stateDict()) as State;
    expect(() => layer.loadStateDict(inherited)).toThrow(
      new RangeError(`${expects} ${names}; missing: ${names}; unknown: none`),
    );
  });

  it("takes lists, and typed arrays of any kind", () => {
    layer.loadStateDict({
      gamma: [1.5, 2],
      beta: Int8Array.of(3, 4),
      runningMean: Float64Array.of(5, 6),
      runningVariance: JSON.parse("[7, 0]"),
    });
    expect(layer.stateDict()).toEqual({
      gamma: Float32Array.of(1.5, 2),
      beta: Float32Array.of(3, 4),
      runningMean: Float32Array.of(5, 6),
      runningVariance: Float32Array.of(7, 0),
    });
  });

  it("takes limits that are infinite, where there are limits", () => {
    const renorm = new Layer(ek, batchRenorm({ rMax: Number.POSITIVE_INFINITY }), [4, 2]);
    const state = renorm.stateDict();
    expect([...state.rMax]).toEqual([Number.POSITIVE_INFINITY]);
    expect(() => renorm.loadStateDict(state)).not.toThrow();
    expect(() => renorm.loadStateDict({ ...state, dMax: [Number.NaN] })).toThrow("got NaN at index 0");
    expect(() => renorm.loadStateDict({ ...state, runningDeviation: [1, -1] })).toThrow("at least 0");
    renorm.dispose();
  });
});

describe("names", () => {
  it.each<[Names, () => Layer, string[]]>([
    ["pytorch", () => new BatchNorm(ek, 2), ["weight", "bias", "running_mean", "running_var"]],
    ["pytorch", () => new LayerNorm(ek, 2), ["weight", "bias"]],
    ["pytorch", () => new RMSNorm(ek, 2), ["weight"]],
    ["pytorch", () => new GroupNorm(ek, 1, 2), ["weight", "bias"]],
    ["pytorch", () => new Layer(ek, spectralNorm(), [3, 2]), ["weight_u", "weight_v"]],
    ["keras", () => new BatchNorm(ek, 2), ["gamma", "beta", "moving_mean", "moving_variance"]],
    ["keras3", () => new RMSNorm(ek, 2), ["scale"]],
    ["gluon", () => new BatchNorm(ek, 2), ["gamma", "beta", "running_mean", "running_var"]],
    ["flax", () => new BatchNorm(ek, 2), ["scale", "bias", "mean", "var"]],
    [
      "pytorch",
      () => new Layer(ek, residualBlock(layerNorm()), [3, 2]),
      ["norm/weight", "norm/bias", "branch/weight", "branch/bias"],
    ],
  ])("of %s", (names, make, expected) => {
    const [layer, other] = [make(), make()];
    for (const { data } of Object.values(layer.weights)) data.set(data.map((_, i) => i + 0.5));
    const state = layer.stateDict({ names });
    expect(Object.keys(state)).toEqual(expected);
    expect(Object.values(state)).toEqual(Object.values(layer.stateDict()));
    other.loadStateDict(
      JSON.parse(
        JSON.stringify(state, (_, v) => (ArrayBuffer.isView(v) ? Array.from(v as Float32Array) : v)),
      ),
      { names },
    );
    expect(other.stateDict()).toEqual(layer.stateDict());
    for (const one of [layer, other]) one.dispose();
  });

  it("of every framework and normalization come back as they went", () => {
    const frameworks: Names[] = [
      "pytorch",
      "fastai",
      "keras",
      "keras2",
      "keras3",
      "tensorflowjs",
      "gluon",
      "mxnet",
      "flax",
      "onnx",
    ];
    for (const kind of kinds) {
      const layer = new Layer(ek, kind.make(), ...kind.shapes(8));
      for (const names of frameworks) {
        const state = layer.stateDict({ names });
        expect(Object.keys(state).length, `${kind.name}, ${names}`).toBe(Object.keys(layer.weights).length);
        expect(() => layer.loadStateDict(state, { names }), `${kind.name}, ${names}`).not.toThrow();
      }
      layer.dispose();
    }
  });

  it("PyTorch's number of batches is that of a cumulative average, and is ignored elsewhere", () => {
    const state = { weight: [1, 1], bias: [0, 0], running_mean: [2, 3], running_var: [4, 5] };
    const counted = { ...state, num_batches_tracked: 7 };
    const exponential = new BatchNorm(ek, 2);
    for (const one of [state, counted]) exponential.loadStateDict(one, { names: "pytorch" });
    expect(exponential.stateDict().runningMean).toEqual(Float32Array.of(2, 3));
    const cumulative = new BatchNorm(ek, 2, { average: "cumulative" });
    expect(() => cumulative.loadStateDict(state, { names: "pytorch" })).toThrow(
      "missing: num_batches_tracked",
    );
    cumulative.loadStateDict(counted, { names: "pytorch" });
    expect(cumulative.stateDict().runningCount).toEqual(Float32Array.of(7, 7));
    expect(cumulative.stateDict({ names: "pytorch" }).num_batches_tracked).toEqual(Float32Array.of(7));
    // the eighth batch has a share of one eighth
    cumulative.forward({ shape: [2, 2], data: Float32Array.of(9, 10, 11, 12) });
    expect(cumulative.stateDict().runningMean).toEqual(Float32Array.of(2 + (10 - 2) / 8, 3 + (11 - 3) / 8));
    for (const layer of [exponential, cumulative]) {
      expect(() =>
        layer.loadStateDict({ ...state, num_batches_tracked: [-1] }, { names: "pytorch" }),
      ).toThrow(
        new RangeError(
          "batchNorm: loadStateDict expected finite values of at least 0 for num_batches_tracked, got -1 at index 0",
        ),
      );
      expect(() => layer.loadStateDict(counted, { names: "keras" })).toThrow("unknown: weight");
      layer.dispose();
    }
  });

  it("changes nothing where one of the weights was disposed", () => {
    for (const change of [
      (layer: BatchNorm) =>
        layer.loadStateDict({ gamma: two, beta: two, runningMean: two, runningVariance: two }),
      (layer: BatchNorm) => layer.resetState(),
    ]) {
      const layer = new BatchNorm(ek, 2);
      layer.weights.runningMean.data.fill(5);
      layer.weights.runningVariance.dispose();
      const left = ["gamma", "beta", "runningMean"].map((name) => layer.weights[name]);
      const before = left.map(({ data }) => [...data]);
      expect(() => change(layer)).toThrow(
        "data: this array of shape [2] was disposed; keep it until its last use",
      );
      expect(left.map(({ data }) => [...data])).toEqual(before);
      layer.dispose();
    }
  });

  it("takes the values that it checked, whatever the list's iterator or getters say", () => {
    const layer = new BatchNorm(ek, 2, { scale: false, center: false });
    const iterated = Object.assign([7, 8], {
      *[Symbol.iterator]() {
        yield* [Number.NaN, Number.NaN];
      },
    });
    let reads = 0;
    const read = Object.defineProperty([7, 8], 1, { get: () => (reads++ === 0 ? 8 : Number.NaN) });
    const typed = Object.defineProperty(Float32Array.of(7, 8), Symbol.iterator, {
      value: () => [Number.NaN].values(),
    });
    for (const runningMean of [iterated, read, typed]) {
      layer.loadStateDict({ runningMean, runningVariance: two });
      expect([...layer.weights.runningMean.data]).toEqual([7, 8]);
      layer.resetState();
    }
    layer.dispose();
  });

  it("says what is missing in the framework's names", () => {
    const layer = new BatchNorm(ek, 2);
    expect(() => layer.loadStateDict(layer.stateDict(), { names: "pytorch" })).toThrow(
      new RangeError(
        "batchNorm: loadStateDict expected weight, bias, running_mean, running_var; missing: weight, bias, running_mean, running_var; " +
          "unknown: gamma, beta, runningMean, runningVariance",
      ),
    );
    for (const names of ["torch", "constructor", "", 3, null]) {
      for (const [called, run] of [
        ["stateDict", () => layer.stateDict({ names: names as Names })],
        ["loadStateDict", () => layer.loadStateDict(layer.stateDict(), { names: names as Names })],
      ] as const) {
        expect(run).toThrow(
          new RangeError(
            `batchNorm: ${called}: names must be those of pytorch, fastai, keras, keras2, keras3, tensorflowjs, gluon, mxnet, flax, onnx, got ${JSON.stringify(names)}`,
          ),
        );
      }
    }
    expect(() => layer.stateDict({ name: "pytorch" } as object)).toThrow(
      'no option is called "name"; did you mean "names"?',
    );
    layer.dispose();
  });
});
