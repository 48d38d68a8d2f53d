/**
 * What the table of rows does not say about the normalizations over positions and channels: identities
 * between them, gradients of what is given beside y, statistics in every host, and errors.
 */
import { defaultDevice, grad, numpy as np, init as startJax } from "@jax-js/jax";
import * as tf from "@tensorflow/tfjs-core";
import { sequential } from "@tensorflow/tfjs-layers";
import { describe, expect, it } from "vitest";
import { Eager } from "../../src/formula/eager.js";
import { windowSum } from "../../src/formula/terms.js";
import {
  apply,
  batchNorm,
  divisiveNorm,
  dynamicTanh,
  type FusedNorm,
  filterResponseNorm,
  globalResponseNorm,
  groupNorm,
  groupStatistics,
  instanceNorm,
  layerNorm,
  localResponseNorm,
  maskOfLengths,
  momentShortcut,
  type Normalization,
  nearestGroups,
  open,
  type PlainArray,
  positionNorm,
  rmsNorm,
  statistics,
  statisticsOf,
} from "../../src/index.js";
import * as jax from "../../src/jax/index.js";
import { sizeOf } from "../../src/shape.js";
import { apply as applyTf, layers } from "../../src/tfjs/index.js";
import { expectClose, largest, normal } from "../support/numerics.js";
import { leakless, use } from "../support/tfjs-backends.js";

const truth = await open({ backend: "reference" });
const wasm = await open({ backend: "wasm", threads: 1 });

type Shape = readonly number[];
const values = (shape: Shape, seed: number, mean = 0.3): { shape: Shape; data: Float64Array } => ({
  shape,
  data: Float64Array.from(normal(sizeOf(shape), seed, mean)),
});
const close = (name: string, actual: PlainArray, expected: PlainArray, tolerance = 1e-9) =>
  expectClose(name, actual.data, expected.data, () => tolerance * Math.max(1, largest(expected.data)));

/** y and dx of two normalizations are the same. */
function same(one: Normalization, other: Normalization, shape: Shape, others: Normalization[] = []) {
  const [x, dy] = [values(shape, 3), values(shape, 4)];
  const expected = apply(truth, one, x);
  const { dx } = expected.backward(dy);
  for (const norm of [other, ...others]) {
    const actual = apply(truth, norm, x);
    close("y", actual.y, expected.y);
    close("dx", actual.backward(dy).dx, dx);
  }
}

describe("identities", () => {
  it("positional normalization is layer normalization over the channels", () => {
    const plain = { scale: false, center: false };
    same(
      layerNorm({ axis: 1, ...plain }),
      positionNorm({ axis: 1 }),
      [2, 6, 3, 2],
      [positionNorm({ axis: -3, moments: true })],
    );
    same(layerNorm({ axis: -1 }), positionNorm({ scale: true, center: true }), [2, 3, 4]);
  });

  it("the moment shortcut restores what positional normalization removed", () => {
    const x = values([2, 3, 5], 1);
    const { y, more } = apply(truth, positionNorm({ moments: true }), x);
    const [mean, std] = more;
    close("x", apply(truth, momentShortcut(), [y, mean, std]).y, x);
  });

  it("a wide window of local responses is the root mean square", () => {
    const norm = localResponseNorm({ size: 13, alpha: 1 / 7, beta: 0.5, k: 1e-3, alphaPer: "value" });
    same(rmsNorm({ scale: false, epsilon: 1e-3 }), norm, [2, 3, 7]);
  });

  it("global response normalization starts as the identity", () => {
    const x = values([2, 3, 4], 1);
    const { y, backward } = apply(truth, globalResponseNorm(), x);
    expect([...y.data]).toEqual([...x.data]);
    expect([...backward(x).dx.data]).toEqual([...x.data]);
  });

  it("divisive normalization is layer normalization where the windows hold everything, or one position", () => {
    const epsilon = 0.4 ** 2;
    same(
      layerNorm({ epsilon }),
      divisiveNorm({ window: 1, sigma: 0.4 }),
      [2, 3, 4],
      [
        divisiveNorm({ window: 1, sigma: 0.4, channels: 7, edges: "nothing" }),
        divisiveNorm({ window: 1, sigma: 0.4, edges: "nothing", learnedSigma: true }),
      ],
    );
    const plain = { scale: false, center: false };
    same(
      layerNorm({ axis: [1, 2, 3], epsilon, ...plain }),
      divisiveNorm({ window: [5, 3], edges: "nothing", sigma: 0.4, ...plain }),
      [2, 3, 2, 4],
    );
  });

  it("filter response normalization without a threshold is the root mean square over positions", () => {
    const [x, dy] = [values([2, 5, 1], 3), values([2, 5, 1], 4)];
    const flat = ({ data }: PlainArray) => ({ shape: [2, 5], data });
    const one = apply(truth, filterResponseNorm({ thresholded: false }), x);
    const other = apply(truth, rmsNorm({ epsilon: 1e-6, scale: false }), flat(x));
    close("y", one.y, other.y);
    close("dx", one.backward(dy).dx, other.backward(flat(dy)).dx);
  });
});

describe("padding is as if it were not there", () => {
  const kinds: Record<string, Normalization> = {
    filterResponseNorm: filterResponseNorm({ learnedEpsilon: true }),
    globalResponseNorm: globalResponseNorm(),
    "divisiveNorm, zero": divisiveNorm({ window: 4 }),
    "divisiveNorm, nothing": divisiveNorm({ window: 4, edges: "nothing" }),
    "statistics of groupNorm": groupStatistics({ groups: 2 }),
  };
  it.each(Object.entries(kinds))("%s", (_, norm) => {
    const padded = values([1, 7, 4], 5);
    const short = { shape: [1, 4, 4], data: padded.data.slice(0, 16) };
    const weights = Object.fromEntries(
      Object.entries(norm.weights([1, 7, 4])).map(([name, { shape }], i) => [name, values(shape, i).data]),
    );
    const mask = maskOfLengths([4], 7);
    const expected = apply(truth, norm, short, weights);
    const actual = apply(truth, norm, padded, weights, { mask });
    const length = Math.min(expected.y.data.length, actual.y.data.length);
    const cut = (data: PlainArray["data"]) => ({ shape: [length], data: data.slice(0, length) });
    close("y", cut(actual.y.data), cut(expected.y.data));
    const upstream = values(actual.y.shape, 6);
    const gradients = actual.backward(upstream);
    const wanted = expected.backward({ shape: expected.y.shape, data: upstream.data.slice(0, length) });
    close("dx", { shape: [16], data: gradients.dx.data.slice(0, 16) }, wanted.dx);
  });
});

describe("what is given beside y has gradients", () => {
  const x = values([2, 3, 4], 7);
  const norm = positionNorm({ moments: true });
  const upstream = [values([2, 3, 4], 8), values([2, 3, 1], 9), values([2, 3, 1], 10)];
  const loss = (results: readonly PlainArray[]) =>
    results.reduce(
      (all, { data }, i) => upstream[i].data.reduce((sum, value, j) => sum + value * data[j], all),
      0,
    );
  const slopes = x.data.map((value, i) => {
    const at = (moved: number) => {
      const data = x.data.slice();
      data[i] = moved;
      const { y, more } = apply(truth, norm, { shape: x.shape, data });
      return loss([y, ...more]);
    };
    return (at(value + 1e-5) - at(value - 1e-5)) / 2e-5;
  });
  const expected = { shape: x.shape, data: slopes };
  const [dy, ...dMore] = upstream;

  it("without a framework, with a residual too", () => {
    close("dx", apply(truth, norm, x).backward(dy, { dMore }).dx, expected, 1e-8);
    close("dx in wasm", apply(wasm, norm, x).backward(dy, { dMore }).dx, expected, 1e-5);
    const half = { shape: x.shape, data: x.data.map((value) => value / 2) };
    const added = apply<PlainArray>(truth, norm, half, {}, { residual: half });
    close("sum", added.sum as PlainArray, x);
    const { y, more } = apply(truth, norm, x);
    for (const [i, one] of [y, ...more].entries()) close(`result ${i}`, [added.y, ...added.more][i], one);
    close("dx of the residual", added.backward(dy, { dMore }).dx, expected, 1e-8);
  });

  it("in TensorFlow.js", async () => {
    await use("cpu");
    leakless("gradient", () =>
      tf.tidy(() => {
        const weighted = (given: tf.Tensor) => {
          const { y, more = [] } = applyTf(norm, given);
          const parts = [y, ...more].map((one, i) =>
            tf.sum(tf.mul(one, tf.tensor(Float32Array.from(upstream[i].data), [...upstream[i].shape]))),
          );
          return tf.addN(parts) as tf.Scalar;
        };
        const dx = tf.grad(weighted)(tf.tensor(Float32Array.from(x.data), [...x.shape]));
        close("dx", { shape: dx.shape, data: dx.dataSync() as Float32Array }, expected, 1e-5);
      }),
    );
  });

  it("in jax-js", async () => {
    await startJax("wasm");
    defaultDevice("wasm");
    const array = ({ data, shape }: PlainArray) => np.array(Float32Array.from(data)).reshape([...shape]);
    const dx = grad((given: jax.JaxArray) => {
      const { y, more } = jax.apply(norm, given);
      return [y, ...more]
        .map((one, i) => np.sum(one.mul(array(upstream[i]))))
        .reduce((all, one) => all.add(one));
    })(array(x));
    close("dx", { shape: x.shape, data: (await dx.data()) as Float32Array }, expected, 1e-5);
  });
});

describe("statistics of a norm", () => {
  const x = values([2, 3, 4, 4], 11, 2);
  const norms: FusedNorm[] = [
    layerNorm(),
    layerNorm({ axis: [1, 3] }),
    rmsNorm(),
    batchNorm(),
    batchNorm({ axis: 1 }),
    groupNorm({ groups: 2 }),
    groupNorm({ groups: 3, axis: 1 }),
    instanceNorm(),
    positionNorm({ axis: 1 }),
  ];

  it.each(norms.map((norm) => ({ norm, shape: norm.plan(x.shape).statisticsShape })))(
    "$norm.name, $shape: those that it normalizes by, in every host",
    async ({ norm, shape }) => {
      const { mean, variance } = truth.forward(norm, x);
      const measured = statistics(truth, norm, x);
      expect(Object.keys(measured).sort()).toEqual(
        norm.centered ? ["backward", "mean", "variance"] : ["backward", "variance"],
      );
      expect(measured.variance.shape).toEqual(shape);
      close("variance", measured.variance, variance as PlainArray);
      if (mean) close("mean", measured.mean as PlainArray, mean);

      const statistic = values(shape, 12);
      const upstream = { dVariance: statistic, ...(norm.centered && { dMean: values(shape, 13) }) };
      const given = measured.backward(upstream);
      const loss = (data: Float64Array) => {
        const one = statistics(truth, norm, { shape: x.shape, data });
        const sum = (a: PlainArray | undefined, b: PlainArray | undefined) =>
          a && b ? statistic.data.reduce((all, _, i) => all + a.data[i] * b.data[i], 0) : 0;
        return sum(one.variance, upstream.dVariance) + sum(one.mean, upstream.dMean);
      };
      const slopes = x.data.map((value, i) => {
        const at = (moved: number) => loss(x.data.map((other, j) => (i === j ? moved : other)));
        return (at(value + 1e-5) - at(value - 1e-5)) / 2e-5;
      });
      close("dx", given, { shape: x.shape, data: slopes }, 1e-8);

      const results = norm.centered ? [mean, variance] : [variance];
      await use("cpu");
      tf.tidy(() => {
        const { y, more = [] } = applyTf(
          statisticsOf(norm),
          tf.tensor(Float32Array.from(x.data), [...x.shape]),
        );
        [y, ...more].forEach((tensor, i) => {
          expect(tensor.shape).toEqual(shape);
          const data = tensor.dataSync() as Float32Array;
          close(`statistic ${i} in TensorFlow.js`, { shape, data }, results[i] as PlainArray, 1e-5);
        });
      });
      await startJax("wasm");
      defaultDevice("wasm");
      const { y, more } = jax.apply(
        statisticsOf(norm),
        np.array(Float32Array.from(x.data)).reshape([...x.shape]),
      );
      for (const [i, one] of [y, ...more].entries()) {
        const data = (await one.data()) as Float32Array;
        close(`statistic ${i} in jax-js`, { shape, data }, results[i] as PlainArray, 1e-5);
      }
    },
  );

  it("of arrays of the backend, without one left behind", () => {
    const before = wasm.memory().arrays;
    const held = wasm.array(x.shape, x.data);
    const { mean, variance, backward } = statistics(wasm, groupNorm({ groups: 2 }), held);
    expect(wasm.memory().arrays).toBe(before + 1);
    const expected = statistics(truth, groupNorm({ groups: 2 }), x);
    close("mean", mean as PlainArray, expected.mean as PlainArray, 1e-6);
    close("variance", variance, expected.variance, 1e-6);
    const dVariance = values([2, 2], 1);
    const dx = backward({ dVariance });
    close("dx", dx, expected.backward({ dVariance }), 1e-6);
    for (const array of [dx, held]) array.dispose();
    expect(wasm.memory().arrays).toBe(before);
  });

  it("groupStatistics are those of groupNorm", () => {
    const { y, more } = apply(truth, groupStatistics({ groups: 2 }), x);
    const { mean, variance } = statistics(truth, groupNorm({ groups: 2 }), x);
    expect([y, ...more]).toEqual([mean, variance]);
  });

  it("refuses what has no statistics of its own", () => {
    expect(() => statistics(truth, dynamicTanh() as unknown as FusedNorm, x)).toThrow(
      "statisticsOf: expected a norm with a plan, such as groupNorm(), got dynamicTanh; other normalizations measure differently, or nothing",
    );
    expect(() => statisticsOf(groupNorm as unknown as FusedNorm)).toThrow(TypeError);
  });
});

it("sums over windows as plain loops do", () => {
  const ops = new Eager();
  const x = values([2, 7, 3], 1);
  for (let before = 0; before < 9; before++) {
    for (let after = 0; after < 9; after++) {
      const sums = windowSum(ops, { shape: x.shape, data: Float64Array.from(x.data) }, 1, before, after);
      const expected = x.data.map((_, i) => {
        const [a, b, c] = [Math.floor(i / 21), Math.floor(i / 3) % 7, i % 3];
        let sum = 0;
        for (let at = Math.max(0, b - before); at <= Math.min(6, b + after); at++) {
          sum += x.data[a * 21 + at * 3 + c];
        }
        return sum;
      });
      close(`${before} before, ${after} after`, sums, { shape: x.shape, data: expected });
    }
  }
});

it("stays finite where all is 0", () => {
  const zeros = { shape: [2, 3, 4], data: new Float32Array(24) };
  const ones = { shape: [2, 3, 4], data: new Float32Array(24).fill(1) };
  for (const norm of [globalResponseNorm(), filterResponseNorm(), divisiveNorm(), localResponseNorm()]) {
    const weights: Record<string, Float32Array> =
      norm.name === "globalResponseNorm" ? { gamma: new Float32Array(4).fill(1) } : {};
    const { y, backward } = apply(wasm, norm, zeros, weights);
    for (const { data } of [y, backward(ones).dx]) expect(data.every(Number.isFinite), norm.name).toBe(true);
  }
});

describe("as layers of TensorFlow.js", () => {
  it("stand in a sequential model", async () => {
    await use("cpu");
    const model = sequential();
    model.add(layers.positionNormalization({ inputShape: [4, 6] }));
    model.add(layers.localResponseNormalization({ size: 3 }));
    model.add(layers.filterResponseNormalization({ learnedEpsilon: true }));
    model.add(layers.globalResponseNormalization());
    model.add(layers.divisiveNormalization({ window: 3, learnedSigma: true }));
    expect(model.outputShape).toEqual([null, 4, 6]);
    expect(model.countParams()).toBe(6 + 6 + 6 + 1 + 12 + 13);
    model.dispose();
  });

  it("positional normalization gives its moments", async () => {
    await use("cpu");
    const layer = layers.positionNormalization({ axis: 1, moments: true });
    expect(layer.computeOutputShape([null, 3, 5, 5])).toEqual([
      [null, 3, 5, 5],
      [null, 1, 5, 5],
      [null, 1, 5, 5],
    ]);
    tf.tidy(() => {
      const outputs = layer.apply(tf.ones([2, 3, 5, 5])) as tf.Tensor[];
      expect(outputs.map(({ shape }) => shape)).toEqual([
        [2, 3, 5, 5],
        [2, 1, 5, 5],
        [2, 1, 5, 5],
      ]);
    });
    layer.dispose();
  });
});

it.each([
  [16, 5, 4],
  [16, 6, 8],
  [16, 3, 4],
  [96, 32, 32],
  [100, 32, 25],
  [7, 3, 1],
  [7, 4, 7],
  [12, 1000, 12],
  [1, 1, 1],
])("of %i channels the number of groups nearest to %i is %i", (channels, wanted, nearest) => {
  expect(nearestGroups(channels, wanted)).toBe(nearest);
});

describe("errors", () => {
  const weights = (norm: Normalization, ...shapes: Shape[]) => norm.weights(...shapes);
  const cases: [() => unknown, string][] = [
    [() => nearestGroups(12, 0), "nearestGroups: wanted must be an integer from 1 to 1073741824, got 0"],
    [() => nearestGroups(2.5, 1), "nearestGroups: channels must be an integer from 1 to 1073741824, got 2.5"],
    [
      () => weights(positionNorm(), [2, 3, 1]),
      "positionNorm: shape [2, 3, 1] has one value per statistic, whose variance is 0, so that y would be beta whatever x is; " +
        "use instance or batch normalization for a single channel",
    ],
    [
      () => weights(positionNorm({ axis: 0 }), [2, 3]),
      "positionNorm: axis must name the channels or features, got 0, which is the batch axis; use 1 or -1",
    ],
    [
      () => positionNorm({ epsilon: -1 }),
      "positionNorm: epsilon must be a finite number of at least 0, got -1",
    ],
    [
      () => weights(momentShortcut(), [2, 3, 4], [2, 3, 1], [2, 3]),
      "momentShortcut: std must have shape [2, 3, 1] for x of shape [2, 3, 4], got [2, 3]; give [x, mean, std]",
    ],
    [
      () => weights(momentShortcut(), [2, 3, 4]),
      "momentShortcut: mean must have shape [2, 3, 1] for x of shape [2, 3, 4], got none; give [x, mean, std]",
    ],
    [() => localResponseNorm({ size: 0 }), "localResponseNorm: size must be an integer of at least 1, got 0"],
    [() => localResponseNorm({ k: 0 }), "localResponseNorm: k must be a finite number above 0, got 0"],
    [
      () => localResponseNorm({ alpha: -1 }),
      "localResponseNorm: alpha must be a finite number of at least 0, got -1",
    ],
    [
      () => localResponseNorm({ beta: Number.NaN }),
      "localResponseNorm: beta, the exponent, must be a finite number, got NaN",
    ],
    [
      () => localResponseNorm({ alphaPer: "size" as "value" }),
      'localResponseNorm: alphaPer must be "window" or "value", got "size"',
    ],
    [
      () => weights(localResponseNorm(), [3]),
      "localResponseNorm: x must have at least 2 axes (batch and channels), got shape [3]",
    ],
    [
      () => weights(filterResponseNorm(), [2, 3]),
      "filterResponseNorm: x must have at least 3 axes (batch, channels and at least one of positions), got shape [2, 3]",
    ],
    [
      () => weights(filterResponseNorm(), [2, 1, 1, 3]),
      "filterResponseNorm: shape [2, 1, 1, 3] has one position, so that y would be the sign of x; set learnedEpsilon, as the " +
        "paper does there, or use layer normalization",
    ],
    [
      () => globalResponseNorm({ epsilon: 0 }),
      "globalResponseNorm: epsilon must be above 0, got 0; an x of zeros would be divided by it",
    ],
    [() => divisiveNorm({ window: [3, 0] }), "divisiveNorm: window must be an integer of at least 1, got 0"],
    [() => divisiveNorm({ sigma: 0 }), "divisiveNorm: sigma must be a finite number above 0, got 0"],
    [
      () => divisiveNorm({ edges: "mirror" as "zero" }),
      'divisiveNorm: edges must be "zero" or "nothing", got "mirror"',
    ],
    [
      () => weights(divisiveNorm({ window: [3] }), [2, 5, 5, 3]),
      "divisiveNorm: window must have one width for each of the 2 axes of positions of x, shape [2, 5, 5, 3], got [3]; a single " +
        "number serves all",
    ],
  ];
  it.each(cases.map(([call, message]) => ({ call, message })))("$message", ({ call, message }) => {
    expect(call).toThrow(new RangeError(message));
  });
});
