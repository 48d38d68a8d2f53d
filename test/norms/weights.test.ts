import { describe, expect, it } from "vitest";
import { initialValues } from "../../src/formula/normalization.js";
import {
  apply,
  Layer,
  type Normalization,
  open,
  type PlainArray,
  spectralNorm,
  weightNorm,
  weightNormGain,
  weightStandardization,
} from "../../src/index.js";
import { sizeOf } from "../../src/shape.js";
import { expectClose, largest, normal } from "../support/numerics.js";

const truth = await open({ backend: "reference" });
const wasm = await open({ backend: "wasm", threads: 1 });

const array = (shape: readonly number[], seed: number, mean = 0.2): PlainArray => ({
  shape,
  data: Float64Array.from(normal(sizeOf(shape), seed, mean)),
});
const close = (name: string, actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-9) =>
  expectClose(name, Float64Array.from(actual), expected, () => tolerance * Math.max(1, largest(expected)));
const flat = ({ data }: PlainArray) => Float64Array.from(data);

describe("weight normalization", () => {
  it.each([{ axis: -1 }, { axis: [0, 2] }, { axis: null }])(
    "leaves a weight as it is with its gain, %j",
    (options) => {
      const v = array([3, 4, 2], 1);
      const g = weightNormGain(v, options);
      close("weight", apply(truth, weightNorm(options), v, { g }).y.data, v.data, 1e-6);
    },
  );

  it("has outputs of length |g|, whatever the length of v, and a gradient across w", () => {
    const [v, dy] = [array([5, 3], 2), array([5, 3], 3)];
    const g = Float64Array.of(2, -0.5, 1.5);
    const { y, backward } = apply(truth, weightNorm(), v, { g });
    const { dx } = backward(dy);
    const longer = { shape: v.shape, data: Float64Array.from(v.data, (value) => value * 100) };
    close("of a longer v", apply(truth, weightNorm(), longer, { g }).y.data, y.data);
    for (let o = 0; o < 3; o++) {
      const column = [0, 1, 2, 3, 4].map((i) => i * 3 + o);
      expect(Math.hypot(...column.map((i) => y.data[i]))).toBeCloseTo(Math.abs(g[o]), 9);
      expect(column.reduce((sum, i) => sum + dx.data[i] * y.data[i], 0)).toBeCloseTo(0, 9);
    }
  });
});

describe("spectral normalization", () => {
  const singular = (w: PlainArray) => {
    // the square root of the largest eigenvalue of WᵀW, by squaring until it stands alone
    const [rows, columns] = w.shape;
    let power = Array.from({ length: columns * columns }, (_, at) => {
      const [i, j] = [Math.floor(at / columns), at % columns];
      return Array.from({ length: rows }, (_, k) => w.data[k * columns + i] * w.data[k * columns + j]).reduce(
        (a, b) => a + b,
      );
    });
    let log = 0;
    for (let n = 0; n < 20; n++) {
      const squared = power.map((_, at) => {
        const [i, j] = [Math.floor(at / columns), at % columns];
        return Array.from(
          { length: columns },
          (_, k) => power[i * columns + k] * power[k * columns + j],
        ).reduce((a, b) => a + b);
      });
      const most = largest(squared);
      log += Math.log(most) / 2 ** (n + 1);
      power = squared.map((value) => value / most);
    }
    return Math.exp(log / 2);
  };

  it("has the largest singular value 1, once its vectors are found, and finds them from where it was", () => {
    const w = array([6, 4], 4);
    let state: Record<string, Float64Array> = {};
    for (let step = 0; step < 200; step++) {
      const { state: next } = apply(truth, spectralNorm(), w, state);
      state = { u: flat(next.u), v: flat(next.v) };
    }
    const { y, state: none } = apply(truth, spectralNorm(), w, state, { training: false });
    expect(none).toEqual({});
    expect(singular(w)).not.toBeCloseTo(1, 1);
    expect(singular(y)).toBeCloseTo(1, 5);
    const { y: fromU } = apply(truth, spectralNorm(), w, { u: state.u }, { training: false });
    close("from u alone", fromU.data, y.data, 1e-6);
  });

  it("starts in one direction, the same every time", () => {
    const [{ u, v }, again] = [0, 1].map(() => spectralNorm().weights([7, 5]));
    expect(initialValues(u)).toEqual(initialValues(again.u));
    expect(Math.hypot(...initialValues(u))).toBeCloseTo(1, 6);
    expect(v).toMatchObject({ shape: [7], initial: 0, trained: false });
  });

  it("finds its vectors in evaluation, where no training step did: the more iterations, the closer", () => {
    const w = array([24, 32], 8);
    const evaluated = (options: Parameters<typeof spectralNorm>[0]) =>
      singular(apply(truth, spectralNorm(options), w, {}, { training: false }).y);
    expect(evaluated({ warmUp: 0 })).toBeGreaterThan(1.5);
    expect(evaluated({})).toBeLessThan(1.05);
    expect(evaluated({ iterations: 300 })).toBeCloseTo(1, 5);
    expect(evaluated({ warmUp: 300 })).toBeCloseTo(1, 5);
    const layer = new Layer(truth, spectralNorm(), w.shape);
    expect(singular(layer.eval().forward(w))).toBeLessThan(1.05);
    // what training stored serves as it is
    layer.train().forward(w);
    const { u, v } = layer.stateDict();
    layer.eval().forward(w);
    expect(layer.stateDict()).toEqual({ u, v });
  });

  it("comes back from a weight of 0", () => {
    const zero: PlainArray = { shape: [4, 3], data: new Float32Array(12) };
    const { y, state, backward } = apply(wasm, spectralNorm(), zero);
    expect([...y.data]).toEqual(Array(12).fill(0));
    expect(backward({ shape: [4, 3], data: normal(12, 1) }).dx.data.every(Number.isFinite)).toBe(true);
    expect([...state.u.data]).toEqual([...initialValues(spectralNorm().weights([4, 3]).u)]);
    const w = array([4, 3], 5);
    const of = (held: Record<string, Float64Array>) => apply(wasm, spectralNorm(), w, held).y.data;
    expect([...of({ u: flat(state.u), v: flat(state.v) })]).toEqual([...of({})]);
  });
});

describe("weight standardization", () => {
  const moments = (y: PlainArray, o: number, outputs: number) => {
    const values = Array.from(y.data).filter((_, i) => i % outputs === o);
    const mean = values.reduce((a, b) => a + b) / values.length;
    return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length };
  };

  it("has outputs of mean 0 and variance 1, whatever is added to a weight or it is scaled by; scaled, of length |gain|", () => {
    const w = array([2, 3, 4], 6, 5);
    const { y } = apply(truth, weightStandardization({ epsilon: 0 }), w);
    const moved = { shape: w.shape, data: Float64Array.from(w.data, (value) => 3 * value - 8) };
    close("of a moved weight", apply(truth, weightStandardization({ epsilon: 0 }), moved).y.data, y.data);
    const scaled = apply(truth, weightStandardization({ epsilon: 0, scaled: true, gain: 1.5 }), w).y;
    for (let o = 0; o < 4; o++) {
      expect(moments(y, o, 4).mean).toBeCloseTo(0, 9);
      expect(moments(y, o, 4).variance).toBeCloseTo(1, 9);
      expect(moments(scaled, o, 4).variance).toBeCloseTo(1.5 ** 2 / 6, 9);
    }
  });

  it("measures what a mask lets count, as of a pruned weight", () => {
    const w = array([3, 2], 7);
    const mask = { shape: [3, 2], data: Uint8Array.of(1, 1, 0, 1, 1, 1) };
    const { y } = apply(truth, weightStandardization({ epsilon: 0 }), w, {}, { mask });
    const short = { shape: [2, 1], data: Float64Array.of(w.data[0], w.data[4]) };
    const [a, b] = apply(truth, weightStandardization({ epsilon: 0 }), short).y.data;
    close("the first output", [y.data[0], y.data[2], y.data[4]], [a, 0, b]);
  });
});

it("what is wrong is said", () => {
  const fails = (run: () => unknown, message: string) => expect(run).toThrow(new RangeError(message));
  fails(
    () => weightNorm({ epsilon: -1 }),
    "weightNorm: epsilon must be a finite number of at least 0, got -1",
  );
  fails(
    () => spectralNorm({ iterations: 1.5 }),
    "spectralNorm: iterations must be an integer from 1 to 10000, got 1.5",
  );
  fails(
    () => weightStandardization({ gain: Number.NaN }),
    "weightStandardization: gain must be a finite number, got NaN; omit it for 1",
  );
  const weights =
    (norm: Normalization, ...shape: number[]) =>
    () =>
      norm.weights(shape);
  fails(
    weights(weightNorm({ axis: 2 }), 3, 4),
    "weightNorm: axis must be an integer from -2 to 1 for an array of 2 axes, got 2",
  );
  fails(
    weights(spectralNorm({ axis: [1, -1] }), 3, 4),
    "spectralNorm: axis must name each axis once, got [1, -1]",
  );
  fails(
    weights(weightStandardization(), 1, 4),
    "weightStandardization: shape [1, 4] has one value per statistic, whose variance is 0, so that y would be beta " +
      "whatever x is; do not normalize this weight, or name fewer axes",
  );
});
