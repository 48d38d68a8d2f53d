/** Without a framework: where arrays live, stateful layers, identities across norms, and every error with its full text. */
import { describe, expect, it } from "vitest";
import {
  type BackendName,
  BatchNorm,
  batchNorm,
  type FusedNorm,
  GroupNorm,
  groupNorm,
  InstanceNorm,
  instanceNorm,
  type Layer,
  LayerNorm,
  layerNorm,
  legalGroups,
  open,
  type PlainArray,
  RMSNorm,
  rmsNorm,
  type StateDict,
} from "../../src/index.js";
import { reference } from "../../src/kernels/reference/reference.js";
import { Evenkeel } from "../../src/native/evenkeel.js";
import { expectClose, normal } from "../support/numerics.js";

const plain = (shape: number[], seed = 1): PlainArray => ({
  shape,
  data: normal(
    shape.reduce((a, b) => a * b, 1),
    seed,
  ),
});

describe.each<BackendName>(["wasm", "reference"])("%s", async (backend) => {
  const ek = await open({ backend });
  const close = (actual: PlainArray, expected: PlainArray) => {
    expect(actual.shape).toEqual(expected.shape);
    expectClose("y", actual.data, expected.data, (i) => 1e-5 * (1 + Math.abs(expected.data[i])));
  };

  it("plain arrays and arrays of the backend give the same, and stay what they were", () => {
    const x = plain([3, 5]);
    const gamma = normal(5, 2);
    const copied = ek.forward(layerNorm(), x, { gamma });
    expect(ek.memory()).toEqual({ arrays: 0, elements: 0 });
    const [held, heldGamma] = [ek.array(x.shape, x.data), ek.array([5], gamma)];
    const kept = ek.forward(layerNorm(), held, { gamma: heldGamma });
    expect(ek.memory()).toEqual({ arrays: 5, elements: 15 + 5 + 15 + 3 + 3 });
    expect([...kept.y.data]).toEqual([...copied.y.data]);
    const gradient = ek.backward(kept.saved, held);
    expect([...gradient.dx.data]).toEqual([...ek.backward(copied.saved, x).dx.data]);
    expect(gradient.dBeta).toBeUndefined();
    for (const array of [held, heldGamma, kept.y, kept.mean, kept.variance, gradient.dx, gradient.dGamma])
      array?.dispose();
    expect(ek.memory()).toEqual({ arrays: 0, elements: 0 });
    held.dispose();
    expect(ek.memory().arrays).toBe(0);
  });

  it.each([
    ["leakyRelu", 0.3, (y: number) => (y > 0 ? y : 0.3 * y), (y: number) => (y > 0 ? 1 : 0.3)],
    ["leakyRelu", 0, (y: number) => Math.max(y, 0), (y: number) => (y > 0 ? 1 : 0)],
    ["relu", undefined, (y: number) => Math.max(y, 0), (y: number) => (y > 0 ? 1 : 0)],
    [
      "sigmoid",
      undefined,
      (y: number) => 1 / (1 + Math.exp(-y)),
      (y: number) => Math.exp(-y) / (1 + Math.exp(-y)) ** 2,
    ],
  ] as const)(
    "layers end with an activation: %s %s; at 0 a rectifier's slope is that below",
    (activation, negativeSlope, value, slope) => {
      const options = { activation, negativeSlope };
      const makers: [options: object, make: (own: object) => Layer][] = [
        [{}, (own) => new LayerNorm(ek, [5, 4], own)],
        [{ center: true }, (own) => new RMSNorm(ek, 4, own)],
        [{}, (own) => new GroupNorm(ek, 2, 4, own)],
        [{ scale: true }, (own) => new InstanceNorm(ek, 4, own)],
        [{}, (own) => new BatchNorm(ek, 4, own)],
      ];
      for (const [own, make] of makers) {
        const [plainLayer, layer] = [make(own), make({ ...own, ...options })];
        const x = plain([3, 5, 4]);
        x.data.fill(0, 0, 20);
        const dy = plain([3, 5, 4], 2);
        const before = plainLayer.forward(x);
        const y = layer.forward(x);
        expectClose("y", y.data, Float64Array.from(before.data, value), () => 1e-6);
        const dBefore = {
          shape: dy.shape,
          data: Float32Array.from(dy.data, (d, i) => d * slope(before.data[i])),
        };
        const [dx, expected] = [layer.backward(dy), plainLayer.backward(dBefore)];
        expectClose("dx", dx.data, expected.data, (i) => 1e-5 * (1 + Math.abs(expected.data[i])));
        plainLayer.dispose();
        layer.dispose();
      }
      expect(ek.memory().arrays).toBe(0);
    },
  );

  it("axes that alternate too often for a view are transposed and back", () => {
    const [x, dy] = [plain([2, 3, 4, 5]), plain([2, 3, 4, 5], 2)];
    const gamma = normal(15, 3);
    const moved = ek.forward(layerNorm({ axis: [1, 3] }), x, { gamma });
    const gradient = ek.backward(moved.saved, dy);
    // the same by hand: [0, 2, 1, 3] puts the features last
    const order = (array: PlainArray, [b, h, w, c]: number[]) => ({
      shape: [b, w, h, c],
      data: Float32Array.from({ length: b * h * w * c }, (_, i) => {
        const [k, j, m, n] = [
          i % c,
          Math.floor(i / c) % h,
          Math.floor(i / (c * h)) % w,
          Math.floor(i / (c * h * w)),
        ];
        return array.data[((n * h + j) * w + m) * c + k];
      }),
    });
    const byHand = ek.forward(layerNorm({ axis: [2, 3] }), order(x, [2, 3, 4, 5]), { gamma });
    const gradientByHand = ek.backward(byHand.saved, order(dy, [2, 3, 4, 5]));
    close(moved.y, order(byHand.y, [2, 4, 3, 5]));
    close(gradient.dx, order(gradientByHand.dx, [2, 4, 3, 5]));
    close(gradient.dGamma as PlainArray, gradientByHand.dGamma as PlainArray);
    expect(ek.memory().arrays).toBe(0);
  });

  describe("a residual", () => {
    const added = (a: PlainArray, b: PlainArray) => ({
      shape: a.shape,
      data: Float32Array.from(a.data, (value, i) => value + b.data[i]),
    });
    const norms: [FusedNorm, number[]][] = [
      [layerNorm(), [3, 5]],
      [layerNorm({ axis: [1, 3] }), [2, 3, 4, 5]],
      [rmsNorm(), [4, 7]],
      [rmsNorm({ axis: 0 }), [4, 7]],
      [batchNorm(), [6, 3]],
      [batchNorm({ axis: 1 }), [3, 2, 2, 2]],
      [groupNorm({ groups: 2 }), [2, 3, 4]],
      [instanceNorm({ axis: 1 }), [2, 3, 4]],
    ];

    it.each(norms.map(([norm, shape]) => ({ norm, shape })))(
      "is added before anything else: $norm.name [$shape]",
      ({ norm, shape }) => {
        const [x, residual, dy, dSum] = [1, 2, 3, 4].map((seed) => plain(shape, seed));
        const gamma = normal(
          norm.plan(shape).parameterShape.reduce((a, b) => a * b, 1),
          5,
        );
        const fused = ek.forward(norm, x, { gamma, residual });
        const byHand = ek.forward(norm, added(x, residual), { gamma });
        close(fused.sum as PlainArray, added(x, residual));
        expect(fused.saved.x).toBe(fused.sum);
        close(fused.y, byHand.y);
        expect(fused.mean === undefined).toBe(byHand.mean === undefined);
        if (fused.mean) close(fused.mean, byHand.mean as PlainArray);
        close(fused.variance as PlainArray, byHand.variance as PlainArray);
        const gradient = ek.backward(fused.saved, dy, dSum);
        const gradientByHand = ek.backward(byHand.saved, dy);
        close(gradient.dx, added(gradientByHand.dx, dSum));
        close(gradient.dGamma as PlainArray, gradientByHand.dGamma as PlainArray);
        close(ek.backward(fused.saved, dy).dx, gradientByHand.dx);
        expect(ek.memory().arrays).toBe(0);
      },
    );

    it("of zeros gives what no residual gives", () => {
      const [x, dy, zeros] = [plain([4, 9]), plain([4, 9], 2), { shape: [4, 9], data: new Float32Array(36) }];
      const without = ek.forward(layerNorm(), x);
      const fused = ek.forward(layerNorm(), x, { residual: zeros });
      expect(without.sum).toBeUndefined();
      expect([...(fused.sum as PlainArray).data]).toEqual([...x.data]);
      close(fused.y, without.y);
      const { dx } = ek.backward(without.saved, dy);
      close(ek.backward(fused.saved, dy, zeros).dx, dx);
      // x goes past the norm too where nothing was added to it
      close(ek.backward(without.saved, dy, x).dx, added(dx, x));
    });

    it("with given statistics is added before they are used", () => {
      const [x, residual] = [plain([4, 3]), plain([4, 3], 2)];
      const statistics = { mean: normal(3, 3), variance: Float32Array.of(1, 2, 3) };
      const fused = ek.forward(batchNorm(), x, { ...statistics, residual });
      close(fused.y, ek.forward(batchNorm(), added(x, residual), statistics).y);
      expect([fused.mean, fused.variance]).toEqual([undefined, undefined]);
      close(ek.backward(fused.saved, x, residual).dx, added(ek.backward(fused.saved, x).dx, residual));
    });

    it("and the sum live in the backend as x does, and are the caller's", () => {
      const [x, residual] = [1, 2].map((seed) => ek.array([2, 3, 4, 5], normal(120, seed)));
      const { y, sum, mean, variance, saved } = ek.forward(layerNorm({ axis: [1, 3] }), x, { residual });
      expect(ek.memory()).toEqual({ arrays: 6, elements: 4 * 120 + 2 * 8 });
      close(sum as PlainArray, added(x, residual));
      const { dx } = ek.backward(saved, y, residual);
      for (const array of [x, residual, y, sum, mean, variance, dx]) array?.dispose();
      expect(ek.memory()).toEqual({ arrays: 0, elements: 0 });
    });

    it.each([
      { name: "LayerNorm", make: () => new LayerNorm(ek, 4) },
      { name: "RMSNorm", make: () => new RMSNorm(ek, 4) },
      { name: "GroupNorm", make: () => new GroupNorm(ek, 2, 4) },
      { name: "InstanceNorm", make: () => new InstanceNorm(ek, 4) },
      { name: "BatchNorm in training", make: () => new BatchNorm(ek, 4) },
      { name: "BatchNorm in evaluation", make: () => new BatchNorm(ek, 4).eval() },
    ])("goes through a layer, and its gradient back: $name", ({ make }) => {
      const [x, residual, dy, dSum] = [1, 2, 3, 4].map((seed) => plain([2, 3, 4], seed));
      const [fused, byHand] = [make(), make()];
      const { y, sum } = fused.forward(x, residual);
      close(sum, added(x, residual));
      close(y, byHand.forward(added(x, residual)));
      close(fused.backward(dy, dSum), added(byHand.backward(dy), dSum));
      const state = byHand.stateDict();
      for (const [name, values] of Object.entries(fused.stateDict())) {
        expectClose(name, values, state[name], () => 1e-6);
      }
      for (const layer of [fused, byHand]) layer.dispose();
      expect(ek.memory().arrays).toBe(0);
    });
  });

  describe("identities across norms, with random gamma and beta", () => {
    const x = plain([2, 3, 4, 8]);
    const parameters = { gamma: normal(8, 2), beta: normal(8, 3) };
    const y = (norm: Parameters<typeof ek.forward>[0], input = x) => ek.forward(norm, input, parameters).y;

    it("as many groups as channels is instance normalization", () => {
      close(y(groupNorm({ groups: 8 })), y(instanceNorm()));
    });
    it("one group without positions is layer normalization", () => {
      const rows = { shape: [24, 8], data: x.data };
      close(y(groupNorm({ groups: 1 }), rows), y(layerNorm(), rows));
    });
    it("batch normalization of one image is instance normalization", () => {
      const image = { shape: [1, 3, 4, 8], data: x.data.subarray(0, 96) };
      close(y(batchNorm(), image), y(instanceNorm(), image));
    });
    it("RMS normalization of centred rows is layer normalization", () => {
      const rows = { shape: [24, 8], data: Float64Array.from(x.data) };
      for (let row = 0; row < 24; row++) {
        const values = rows.data.subarray(row * 8, row * 8 + 8);
        const mean = values.reduce((a, b) => a + b) / 8;
        for (let i = 0; i < 8; i++) values[i] -= mean;
      }
      close(y(rmsNorm(), rows), y(layerNorm(), rows));
    });
    it("channels first is channels last, moved", () => {
      const last = ek.forward(batchNorm(), { shape: [6, 8], data: x.data.subarray(0, 48) }, parameters).y;
      const first = Float32Array.from({ length: 48 }, (_, i) => x.data[(i % 6) * 8 + Math.floor(i / 6)]);
      const moved = ek.forward(batchNorm({ axis: 1 }), { shape: [1, 8, 6], data: first }, parameters).y;
      expectClose(
        "y",
        moved.data,
        Float64Array.from({ length: 48 }, (_, i) => last.data[(i % 6) * 8 + Math.floor(i / 6)]),
        () => 1e-5,
      );
    });
  });

  it("a constant row gives beta and finite gradients", () => {
    const x = { shape: [2, 6], data: new Float32Array(12).fill(7.1) };
    const { y, saved } = ek.forward(layerNorm(), x, { beta: normal(6, 1) });
    expectClose("y", y.data, [...normal(6, 1), ...normal(6, 1)], () => 1e-6);
    expect(ek.backward(saved, plain([2, 6])).dx.data.every(Number.isFinite)).toBe(true);
  });

  describe("layers", () => {
    it("normalize, and give gradients of x and of the parameters", () => {
      for (const layer of [
        new LayerNorm(ek, 4),
        new RMSNorm(ek, [4], { center: true }),
        new GroupNorm(ek, 2, 4),
        new InstanceNorm(ek, 4, { scale: true, center: true }),
        new BatchNorm(ek, 4),
      ]) {
        layer.loadStateDict({ ...layer.stateDict(), gamma: normal(4, 5), beta: normal(4, 6) });
        const [x, dy] = [plain([2, 3, 4]), plain([2, 3, 4], 2)];
        const expected = ek.forward(layer.norm as unknown as FusedNorm, x, {
          gamma: normal(4, 5),
          beta: normal(4, 6),
        });
        close(layer.forward(x), expected.y);
        const gradient = ek.backward(expected.saved, dy);
        close(layer.backward(dy), gradient.dx);
        close({ shape: [4], data: layer.dGamma as Float32Array }, gradient.dGamma as PlainArray);
        close({ shape: [4], data: layer.dBeta as Float32Array }, gradient.dBeta as PlainArray);
        layer.dispose();
      }
      expect(ek.memory().arrays).toBe(0);
    });

    it("on arrays of the backend keep no array but what they give", () => {
      const layer = new BatchNorm(ek, 4);
      const x = ek.array([6, 4], normal(24, 1));
      const before = ek.memory().arrays;
      for (let round = 0; round < 3; round++) {
        const y = layer.forward(x);
        const dx = layer.backward(y);
        y.dispose();
        dx.dispose();
      }
      expect(ek.memory().arrays).toBe(before);
      layer.dispose();
      x.dispose();
      expect(ek.memory().arrays).toBe(0);
    });

    it("batch normalization trains with the batch's statistics and evaluates with running ones", () => {
      const layer = new BatchNorm(ek, 2, { momentum: 0.5, runningVariance: "unbiased", axis: 1 });
      layer.forward({ shape: [2, 2, 2], data: Float32Array.of(1, 3, 10, 10, 5, 7, 20, 40) });
      const state = layer.stateDict();
      // means 4 and 20; unbiased variances 20/3 and 200, half way from 0 and 1
      expectClose("runningMean", state.runningMean, [2, 10], () => 1e-6);
      expectClose("runningVariance", state.runningVariance, [0.5 + 10 / 3, 100.5], () => 1e-4);
      const y = layer.eval().forward({ shape: [1, 2, 1], data: Float32Array.of(4, 30) });
      expectClose(
        "y",
        y.data,
        [2 / Math.sqrt(0.5 + 10 / 3 + 1e-5), 20 / Math.sqrt(100.5 + 1e-5)],
        () => 1e-5,
      );
      layer.train().forward({ shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) });
      expectClose("runningMean", layer.stateDict().runningMean, [2, 6.5], () => 1e-6);
    });

    it("state dicts go out and in, whole or not at all", () => {
      const layer = new BatchNorm(ek, 2);
      const state: StateDict = {
        ...layer.stateDict(),
        gamma: Float32Array.of(3, 4),
        runningMean: Float32Array.of(5, 6),
      };
      const other = new BatchNorm(ek, 2);
      other.loadStateDict(state);
      expect(other.stateDict()).toEqual(state);
      expect(() => other.loadStateDict({ ...state, gamma: Float32Array.of(1) })).toThrow(
        new RangeError("batchNorm: loadStateDict expected 2 values for gamma, got 1"),
      );
      const { beta, ...rest } = state;
      expect(() => other.loadStateDict({ ...rest, bias: beta })).toThrow(
        new RangeError(
          "batchNorm: loadStateDict expected gamma, beta, runningMean, runningVariance; missing: beta; unknown: bias",
        ),
      );
      expect(other.stateDict()).toEqual(state);
    });

    it("a batch that is not finite raises, and poisons nothing", () => {
      const layer = new BatchNorm(ek, 2);
      layer.forward(plain([4, 2]));
      const before = layer.stateDict();
      const held = ek.array([2, 2], [1, Number.NaN, 2, 3]);
      const arrays = ek.memory().arrays;
      expect(() => layer.forward(held)).toThrow(
        new RangeError(
          "batchNorm: x has a value that is not finite, or too large to square, in channel 1 (of runningMean); the layer's " +
            "state was left as it was; look for a learning rate that is too high or a bad example in this batch",
        ),
      );
      expect(layer.stateDict()).toEqual(before);
      expect(ek.memory().arrays).toBe(arrays);
      held.dispose();
    });
  });
});

it.each([
  [layerNorm({ axis: [1, 2] }), [2, 3, 4]],
  [rmsNorm(), [2, 3, 4]],
  [batchNorm(), [2, 3, 4]],
  [groupNorm({ groups: 2 }), [2, 3, 4]],
  [instanceNorm({ axis: 1 }), [2, 3, 4]],
] as [FusedNorm, number[]][])("$name keeps its last plan, for that shape alone", (norm, shape) => {
  const plan = norm.plan(shape);
  expect(norm.plan([...shape])).toBe(plan);
  shape[0] = 5;
  expect(plan.shape).toEqual([2, 3, 4]);
  expect(norm.plan(shape).shape).toEqual([5, 3, 4]);
  expect(() => norm.plan([])).toThrow(RangeError);
  expect(norm.plan([2, 3, 4])).toEqual(plan);
});

describe("errors", async () => {
  const ek = await open({ backend: "wasm" });
  const made = {
    batch: new BatchNorm(ek, 3, { scale: false, center: false }),
    layer: new LayerNorm(ek, [3, 4]),
  };
  const raises = (run: () => unknown, error: Error) => {
    const before = ek.memory().arrays;
    expect(run).toThrow(error);
    expect(ek.memory().arrays).toBe(before);
  };
  const zeros = (...shape: number[]): PlainArray => ({
    shape,
    data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
  });

  it.each<[string, () => unknown, Error]>([
    [
      "an axis that is not there",
      () => ek.forward(layerNorm({ axis: 2 }), zeros(2, 3)),
      new RangeError("layerNorm: axis must be an integer from -2 to 1 for an array of 2 axes, got 2"),
    ],
    [
      "an axis twice",
      () => ek.forward(layerNorm({ axis: [1, -1] }), zeros(2, 3)),
      new RangeError("layerNorm: axis must name each axis once, got [1, -1]"),
    ],
    [
      "no axis",
      () => ek.forward(rmsNorm({ axis: [] }), zeros(2, 3)),
      new RangeError("rmsNorm: axis must name at least one axis, got []; the last axis is -1"),
    ],
    [
      "a wrong gamma",
      () => ek.forward(layerNorm(), zeros(2, 3), { gamma: new Float32Array(2) }),
      new RangeError("layerNorm: gamma must have shape [3], got 2 values"),
    ],
    [
      "a wrong beta",
      () => ek.forward(batchNorm({ axis: 1 }), zeros(2, 3, 4), { beta: zeros(4) }),
      new RangeError("batchNorm: beta must have shape [3], got [4]"),
    ],
    [
      "values that do not fill the shape",
      () => ek.forward(layerNorm(), { shape: [2, 3], data: new Float32Array(5) }),
      new RangeError("layerNorm: x of shape [2, 3] must have 6 values, got 5"),
    ],
    [
      "a dy of another shape",
      () => ek.backward(ek.forward(layerNorm(), zeros(2, 3)).saved, zeros(3, 2)),
      new RangeError("layerNorm: dy must have the shape of x, [2, 3], got [3, 2]"),
    ],
    [
      "a dy without a shape",
      () =>
        ek.backward(ek.forward(layerNorm(), zeros(2, 3)).saved, new Float32Array(6) as unknown as PlainArray),
      new TypeError(
        "layerNorm: dy must be an array with a shape, such as { shape: [2, 3], data }, got undefined for its shape",
      ),
    ],
    [
      "a residual of another shape",
      () => ek.forward(layerNorm(), zeros(2, 3), { residual: zeros(3) }),
      new RangeError("layerNorm: residual must have the shape of x, [2, 3], got [3]"),
    ],
    [
      "a residual without a shape",
      () => ek.forward(rmsNorm(), zeros(2, 3), { residual: new Float32Array(6) as unknown as PlainArray }),
      new TypeError(
        "rmsNorm: residual must be an array with a shape, such as { shape: [2, 3], data }, got undefined for its shape",
      ),
    ],
    [
      "a residual that does not fill its shape",
      () => ek.forward(layerNorm(), zeros(2, 3), { residual: { shape: [2, 3], data: new Float32Array(4) } }),
      new RangeError("layerNorm: residual of shape [2, 3] must have 6 values, got 4"),
    ],
    [
      "a dSum of another shape",
      () =>
        ek.backward(
          ek.forward(layerNorm(), zeros(2, 3), { residual: zeros(2, 3) }).saved,
          zeros(2, 3),
          zeros(3, 2),
        ),
      new RangeError("layerNorm: dSum must have the shape of x, [2, 3], got [3, 2]"),
    ],
    [
      "groups that do not divide",
      () => ek.forward(groupNorm({ groups: 5 }), zeros(2, 12)),
      new RangeError(
        "groupNorm: groups must divide the 12 channels of axis -1, got 5; 1, 2, 3, 4, 6, 12 would",
      ),
    ],
    [
      "groups that are no number of groups",
      () => groupNorm({ groups: 1.5 }),
      new RangeError("groupNorm: groups must be an integer of at least 1, got 1.5"),
    ],
    [
      "the batch axis as channels",
      () => ek.forward(groupNorm({ groups: 1, axis: 0 }), zeros(2, 12)),
      new RangeError(
        "groupNorm: axis must name the channels or features, got 0, which is the batch axis; use 1 or -1",
      ),
    ],
    [
      "one value per group",
      () => ek.forward(groupNorm({ groups: 4 }), zeros(2, 4)),
      new RangeError(
        "groupNorm: shape [2, 4] has one value per statistic, whose variance is 0, so that y would be beta whatever x is; use fewer groups",
      ),
    ],
    [
      "one position",
      () => ek.forward(instanceNorm(), zeros(2, 1, 1, 4)),
      new RangeError(
        "instanceNorm: shape [2, 1, 1, 4] has one value per statistic, whose variance is 0, so that y would be beta whatever x is; use layer or group normalization for a single position",
      ),
    ],
    [
      "no position",
      () => ek.forward(instanceNorm(), zeros(2, 4)),
      new RangeError(
        "instanceNorm: x must have at least 3 axes (batch, channels and at least one of positions), got shape [2, 4]",
      ),
    ],
    [
      "one value per channel",
      () => made.batch.forward(zeros(1, 3)),
      new RangeError(
        "batchNorm: a training batch of shape [1, 3] has one value per channel, so that y is beta, and the running statistics were left as they were; train on larger batches, or use layer or group normalization",
      ),
    ],
    [
      "a length that is none",
      () => ek.forward(layerNorm(), { shape: [2, Number.NaN], data: new Float32Array(2) }),
      new RangeError("layerNorm: x must have non-negative integer lengths, got [2, NaN]"),
    ],
    [
      "a negative epsilon",
      () => batchNorm({ epsilon: -1 }),
      new RangeError("batchNorm: epsilon must be a finite number of at least 0, got -1"),
    ],
    [
      "half of the statistics",
      () => ek.forward(batchNorm(), zeros(2, 3), { mean: new Float32Array(3) }),
      new TypeError("batchNorm: mean and variance must be given together, or neither of them"),
    ],
    [
      "a mean for RMS",
      () => ek.forward(rmsNorm(), zeros(2, 3), { mean: new Float32Array(2) }),
      new TypeError("rmsNorm: mean must be left out, this normalization takes none"),
    ],
    [
      "a layer without features",
      () => new LayerNorm(ek, []),
      new RangeError("LayerNorm: shape must have at least one length, got []"),
    ],
    [
      "a momentum that is none",
      () => new BatchNorm(ek, 2, { momentum: 1.5 }),
      new RangeError("batchNorm: momentum must be from 0 to 1 (the weight of the old value), got 1.5"),
    ],
    [
      "backward before forward",
      () => new GroupNorm(ek, 1, 2, { scale: false, center: false }).backward(zeros(2, 2)),
      new Error(
        "groupNorm: backward needs a forward call before it: each takes back one, the last first, and a forward after a backward drops the others",
      ),
    ],
  ])("%s", (_, run, error) => raises(run, error));

  it.each<[string, () => unknown, Error]>([
    [
      "a shape that is none",
      () => ek.array([-1, 4]),
      new RangeError("array: shape must have non-negative integer lengths, got [-1, 4]"),
    ],
    [
      "values that are no array",
      () => ek.forward(layerNorm(), new Float32Array(3) as unknown as PlainArray),
      new TypeError(
        "layerNorm: x must be an array with a shape, such as { shape: [2, 3], data }, got undefined for its shape",
      ),
    ],
    [
      "a norm that was not called",
      () => ek.forward(layerNorm as unknown as FusedNorm, zeros(2, 3)),
      new TypeError(
        "forward: norm must be the operation alone, such as layerNorm(); call the function that makes it, and apply other normalizations by apply()",
      ),
    ],
    [
      "a gamma that is no array",
      () => ek.forward(layerNorm(), zeros(2, 3), { gamma: [1, 2, 3] as unknown as Float32Array }),
      new TypeError(
        "layerNorm: gamma must be a Float32Array, an array of the backend or { shape, data }, got [1, 2, 3]",
      ),
    ],
    [
      "a gamma of another shape",
      () => ek.forward(layerNorm({ axis: [1, 2] }), zeros(2, 4, 3), { gamma: zeros(3, 4) }),
      new RangeError("layerNorm: gamma must have shape [4, 3], got [3, 4]"),
    ],
    [
      "an x that the layer was not made for",
      () => made.layer.forward(zeros(2, 4, 3)),
      new RangeError(
        "layerNorm: this layer was made for [3, 4], got x of shape [2, 4, 3], which has [4, 3] there",
      ),
    ],
    [
      "more channels than the layer has",
      () => made.batch.forward(zeros(2, 5)),
      new RangeError("batchNorm: this layer was made for [3], got x of shape [2, 5], which has [5] there"),
    ],
    [
      "a variance that there is not",
      () => new BatchNorm(ek, 3, { runningVariance: "unbaised" as "biased" }),
      new RangeError('batchNorm: runningVariance must be "biased" or "unbiased", got "unbaised"'),
    ],
  ])("%s", (_, run, error) => raises(run, error));

  it("an array of another backend", async () => {
    for (const backend of ["wasm", "reference"] as const) {
      const other = await open({ backend });
      const x = other.array([2, 3], normal(6, 1));
      raises(
        () => ek.forward(layerNorm(), x),
        new TypeError(
          "layerNorm: x lives in another backend; make it with this one's array(), or pass a copy of its data",
        ),
      );
    }
  });

  it("an array after its end", () => {
    const x = ek.array([2, 3], normal(6, 1));
    x.dispose();
    expect(() => ek.forward(layerNorm(), x)).toThrow(
      new Error("layerNorm: x: this array of shape [2, 3] was disposed; keep it until its last use"),
    );
  });

  it("a backend that there is not", async () => {
    await expect(open({ backend: "cuda" as BackendName })).rejects.toThrow(
      new RangeError('open: backend must be "auto", "wasm" or "reference", got "cuda"'),
    );
  });

  it("legal group counts", () => expect(legalGroups(12)).toEqual([1, 2, 3, 4, 6, 12]));
});

it("plain results are ordinary memory, where the backend's is shared", () => {
  const shared = (length: number) => new Float64Array(new SharedArrayBuffer(length * 8));
  const ek = new Evenkeel({ ...reference, allocate: shared } as typeof reference);
  const { y, saved } = ek.forward(layerNorm(), plain([2, 3]));
  expect(ek.array([3]).data.buffer).toBeInstanceOf(SharedArrayBuffer);
  for (const { data } of [y, ek.backward(saved, y).dx]) expect(data.buffer).toBeInstanceOf(ArrayBuffer);
});
