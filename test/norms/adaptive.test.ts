/** What adaptive normalizations are beyond their rows: identities, conditions in every host, errors, and the wrapper of models. */
import { defaultDevice, grad, jit, numpy as np, init as startJax } from "@jax-js/jax";
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { initialValues } from "../../src/formula/normalization.js";
import {
  adaptiveInstanceNorm,
  adaptiveLayerNorm,
  apply,
  batchNorm,
  conditionalBatchNorm,
  deepAdaptiveInputNorm,
  featureWiseLinearModulation,
  instanceNorm,
  layerNorm,
  type Normalization,
  open,
  reversibleInstanceDenorm,
  reversibleInstanceNorm,
  robustReversibleInstanceNorm,
  switchableNorm,
} from "../../src/index.js";
import * as jax from "../../src/jax/index.js";
import { sizeOf } from "../../src/shape.js";
import { install, reversible } from "../../src/tfjs/index.js";
import { apply as applyTf } from "../../src/tfjs/layers/apply.js";
import { layers } from "../../src/tfjs/layers/catalog.js";
import { expectClose, largest, normal } from "../support/numerics.js";
import { backends, leakless, use } from "../support/tfjs-backends.js";
import { adaptive } from "./rows/adaptive.js";
import { gatedRows } from "./rows/gated.js";
import { maps } from "./rows/maps.js";
import { weights as weightRows } from "./rows/weights.js";

const ek = await open({ backend: "reference" });

const array = (shape: number[], seed: number, mean = 0.3, spread = 1) => ({
  shape,
  data: Float64Array.from(normal(sizeOf(shape), seed, mean, spread)),
});
const close = (actual: { data: ArrayLike<number> }, expected: ArrayLike<number>, tolerance = 1e-9) =>
  expectClose(
    "values",
    Float64Array.from(actual.data),
    expected,
    () => tolerance * Math.max(1, largest(expected)),
  );
type Given = ReturnType<typeof array>;
/** Central differences of a loss by values that it reads. */
const differences = (loss: () => number, values: Float64Array) =>
  values.map((value, i) => {
    values[i] = value + 1e-5;
    const above = loss();
    values[i] = value - 1e-5;
    const below = loss();
    values[i] = value;
    return (above - below) / 2e-5;
  });
/** Weights near where they start. */
const weightsOf = (norm: Normalization, shapes: readonly (readonly number[])[]) =>
  Object.fromEntries(
    Object.entries(norm.weights(...shapes)).map(([name, weight], i) => {
      const { shape, trained } = weight;
      const start = initialValues(weight);
      const noise = trained ? 0.3 : 0;
      return [
        name,
        Float64Array.from(normal(sizeOf(shape), 60 + i), (value, at) => start[at] + noise * value),
      ];
    }),
  );

describe("gradients", () => {
  // the table holds constant what a formula calls constant; here nothing is, but for those that say so
  const constant = [reversibleInstanceNorm, robustReversibleInstanceNorm].map(({ about }) => about.name);
  const whole = adaptive.filter(({ norm }) => !constant.includes(norm.name as never));

  it.each(whole.map((row) => ({ row, name: `${row.norm.name} ${row.name ?? ""}` })))(
    "$name: through every statistic, to every input and weight",
    ({ row: { norm, shapes, weights: chosen } }) => {
      const inputs = shapes.map((shape, i) => array([...shape], 5 + i));
      const weights = weightsOf(norm, shapes);
      if (chosen)
        for (const [name, values] of Object.entries(weights)) weights[name].set(chosen(name, values));
      const forward = () => apply(ek, norm, inputs as [Given], weights);
      const dy = array([...forward().y.shape], 9);
      const gradients = forward().backward(dy);
      const loss = () => Array.from(forward().y.data, (y, i) => y * dy.data[i]).reduce((a, b) => a + b);
      inputs.forEach(({ data }, i) => {
        close(gradients.inputs[i] as Given, differences(loss, data), 2e-7);
      });
      for (const [name, { trained }] of Object.entries(norm.weights(...shapes))) {
        if (trained) close(gradients.weights[name], differences(loss, weights[name]), 2e-7);
      }
    },
  );
});

describe("conditions", () => {
  const conditioned = [...adaptive, ...maps, ...gatedRows, ...weightRows].filter(
    ({ shapes }) => shapes.length > 1,
  );

  it.each(conditioned.map((row) => ({ row, name: `${row.norm.name} ${row.name ?? ""}` })))(
    "$name: every input's gradient in TensorFlow.js and jax-js",
    async ({ row: { norm, shapes } }) => {
      const inputs = shapes.map((shape, i) => array([...shape], 5 + i));
      const weights = weightsOf(norm, shapes);
      const applied = apply(ek, norm, inputs as [Given], weights);
      const dy = array(applied.y.shape, 9);
      const expected = applied.backward(dy).inputs;
      expect(expected.length).toBe(shapes.length);
      for (const backend of backends) {
        await use(backend);
        await install();
        tf.tidy(() => {
          const shapesOf = norm.weights(...shapes);
          const held = Object.fromEntries(
            Object.entries(weights).map(([name, data]) => [
              name,
              tf.tensor(Float32Array.from(data), [...shapesOf[name].shape]),
            ]),
          );
          const slopes = tf.grads((...list: tf.Tensor[]) => applyTf(norm, list, held).y)(
            inputs.map(({ data, shape }) => tf.tensor(Float32Array.from(data), [...shape])),
            tf.tensor(Float32Array.from(dy.data), [...dy.shape]),
          );
          slopes.forEach((slope, i) => {
            close({ data: slope.dataSync() }, (expected[i] as { data: Float64Array }).data, 1e-4);
          });
        });
      }
      await startJax("wasm");
      defaultDevice("wasm");
      const given = ({ data, shape }: { data: ArrayLike<number>; shape: readonly number[] }) =>
        np.array(Float32Array.from(data)).reshape([...shape]);
      for (const [at, { shape }] of inputs.entries()) {
        const loss = (x: jax.JaxArray) => {
          const list = inputs.map((input, i) => (i === at ? x : given(input)));
          const held = Object.fromEntries(
            Object.entries(norm.weights(...shapes)).map(([name, weight]) => [
              name,
              given({ shape: weight.shape, data: weights[name] }),
            ]),
          );
          const { y, more, state } = jax.apply(norm, list, held);
          for (const other of [...more, ...Object.values(state)]) other.dispose();
          return np.sum(np.multiply(y, given(dy)));
        };
        const slopeOf = grad(loss as never) as unknown as typeof loss;
        const slope = slopeOf(given({ shape, data: inputs[at].data }));
        close(
          { data: (await slope.data()) as Float32Array },
          (expected[at] as { data: Float64Array }).data,
          1e-4,
        );
      }
    },
  );

  it("adaptiveInstanceNorm gives a content that is its own style back", () => {
    const x = array([2, 6, 3], 1, 5, 3);
    close(apply(ek, adaptiveInstanceNorm(), [x, x]).y, x.data);
  });

  it("adaptiveInstanceNorm gives the style's mean and spread", () => {
    const style = array([2, 9, 3], 2, -4, 7);
    const { y } = apply(ek, adaptiveInstanceNorm({ epsilon: 0 }), [array([2, 6, 3], 1), style]);
    const measured = [y, style].map((one) => apply(ek, reversibleInstanceNorm({ epsilon: 0 }), one).more);
    measured[0].forEach((statistic, i) => {
      close(statistic, measured[1][i].data);
    });
  });

  it("adaptiveLayerNorm starts as layer normalization, with a gate of 0, and the gate has its gradient", () => {
    const [x, condition] = [array([2, 4, 3], 1), array([2, 5], 2)];
    const norm = adaptiveLayerNorm({ zero: true });
    const { y, more } = apply(ek, norm, [x, condition]);
    close(y, apply(ek, layerNorm({ epsilon: 1e-6, scale: false, center: false }), x).y.data);
    expect(more[0].shape).toEqual([2, 1, 3]);
    expect([...more[0].data]).toEqual(new Array(6).fill(0));

    const weights = weightsOf(norm, [x.shape, condition.shape]);
    const upstream = array([2, 1, 3], 3);
    const loss = () =>
      Array.from(
        apply(ek, norm, [x, condition], weights).more[0].data,
        (value, i) => value * upstream.data[i],
      ).reduce((a, b) => a + b);
    const gradients = apply(ek, norm, [x, condition], weights).backward(
      { shape: x.shape, data: new Float64Array(24) },
      { dMore: [upstream] },
    );
    close(gradients.weights.kernel, differences(loss, weights.kernel), 1e-7);
    close(gradients.weights.bias, differences(loss, weights.bias), 1e-7);
    close(gradients.inputs[1] as { data: Float64Array }, differences(loss, condition.data), 1e-7);
  });

  it("conditionalBatchNorm takes classes as indexes, in one axis or two, as it takes them one-hot", () => {
    const x = array([4, 5, 3], 1);
    const norm = conditionalBatchNorm({ classes: 3 });
    const weights = weightsOf(norm, [x.shape, [4]]);
    const classes = [2, 0, 1, 2];
    const oneHot = classes.flatMap((one) => [0, 1, 2].map((k) => (k === one ? 1 : 0)));
    const [flat, column, hot] = [
      { shape: [4], data: Float64Array.from(classes) },
      { shape: [4, 1], data: Float64Array.from(classes) },
      { shape: [4, 3], data: Float64Array.from(oneHot) },
    ].map((condition) => {
      const applied = apply(ek, norm, [x, condition], weights);
      return { y: applied.y, slopes: applied.backward(array(x.shape, 8)) };
    });
    // each example is scaled by its class's row
    const plain = apply(ek, batchNorm({ scale: false, center: false }), x).y.data;
    const byHand = plain.map((value, i) => {
      const at = classes[Math.floor(i / 15)] * 3 + (i % 3);
      return value * weights.gamma[at] + weights.beta[at];
    });
    for (const { y, slopes } of [flat, column, hot]) {
      close(y, byHand as Float64Array);
      close(slopes.dx, hot.slopes.dx.data);
      close(slopes.weights.gamma, hot.slopes.weights.gamma.data);
    }
  });

  it("conditionalBatchNorm of a vector is FiLM after batch normalization", () => {
    const [x, condition] = [array([4, 5, 3], 1), array([4, 2], 2)];
    const film = featureWiseLinearModulation();
    const weights = weightsOf(film, [x.shape, condition.shape]);
    const { y } = apply(ek, batchNorm({ scale: false, center: false }), x);
    const expected = apply(ek, film, [y, condition], weights).y;
    close(apply(ek, conditionalBatchNorm(), [x, condition], weights).y, expected.data);
  });

  it("featureWiseLinearModulation starts as x", () => {
    const x = array([2, 3, 4], 1);
    expect([...apply(ek, featureWiseLinearModulation(), [x, array([2, 5], 2)]).y.data]).toEqual([...x.data]);
  });

  it("class indexes work under jit", async () => {
    await startJax("wasm");
    defaultDevice("wasm");
    const norm = conditionalBatchNorm({ classes: 3 });
    const x = array([4, 3], 1);
    const gamma = array([3, 3], 2);
    const condition = { shape: [4], data: Float64Array.from([0, 2, 1, 2]) };
    const f = (...[values, classes, scale]: jax.JaxArray[]) => {
      const { y, state } = jax.apply(norm, [values, classes], { gamma: scale });
      for (const other of Object.values(state)) other.dispose();
      return y;
    };
    const [values, classes, scale] = [x, condition, gamma].map(({ data, shape }) =>
      np.array(Float32Array.from(data)).reshape([...shape]),
    );
    const y = (jit(f as never) as unknown as typeof f)(values, classes, scale);
    const expected = apply(ek, norm, [x, condition], { gamma: gamma.data }).y.data;
    close({ data: (await y.data()) as Float32Array }, expected, 1e-5);
  });
});

describe("switchableNorm", () => {
  const x = array([3, 4, 5, 2], 1);
  const dy = array(x.shape, 2);
  const kinds = {
    instance: instanceNorm(),
    layer: layerNorm({ axis: [1, 2, 3], scale: false, center: false }),
    batch: batchNorm(),
  };

  it.each(Object.entries(kinds).map(([name, norm], k) => ({ name, norm, k })))(
    "with all weight on $name statistics is that normalization, its gradient too",
    ({ name, norm, k }) => {
      const logits = Float64Array.from([0, 0, 0]);
      logits[k] = 60;
      const affine = { gamma: array([2], 3).data, beta: array([2], 4).data };
      const actual = apply(ek, switchableNorm(), x, {
        ...affine,
        meanLogits: logits,
        varianceLogits: logits,
      });
      const own = name === "layer" ? {} : affine;
      const expected = apply(ek, norm as Normalization, x, own);
      const scaled = (data: ArrayLike<number>, weights: Float64Array) =>
        Array.from(data, (value, i) => value * weights[i % 2]);
      if (name !== "layer") {
        close(actual.y, expected.y.data);
        close(actual.backward(dy).dx, expected.backward(dy).dx.data);
        return;
      }
      close(
        actual.y,
        scaled(expected.y.data, affine.gamma).map((value, i) => value + affine.beta[i % 2]),
      );
      const through = { shape: x.shape, data: Float64Array.from(scaled(dy.data, affine.gamma)) };
      close(actual.backward(dy).dx, expected.backward(through).dx.data);
    },
  );

  it("keeps its accuracy far from 0", () => {
    const far = { shape: x.shape, data: x.data.map((value) => Math.fround(value + 1000)) };
    const near = { shape: x.shape, data: far.data.map((value) => value - 1000) };
    close(apply(ek, switchableNorm(), far).y, apply(ek, switchableNorm(), near).y.data);
  });
});

describe("reversibleInstanceNorm", () => {
  const x = array([2, 6, 3], 1, 50, 4);
  const weights = { gamma: array([3], 2, 1.5, 0.2).data, beta: array([3], 3).data };

  it.each([{ subtractLast: false }, { subtractLast: true }])("is undone by its denorm: %o", (options) => {
    const { y, more } = apply(ek, reversibleInstanceNorm(options), x, weights);
    const [mean, std] = more;
    close(apply(ek, reversibleInstanceDenorm(), [y, mean, std] as never, weights).y, x.data);
  });

  it("has statistics that are constants to the gradient: dx = dy · gamma / std", () => {
    const applied = apply(ek, reversibleInstanceNorm(), x, weights);
    const std = applied.more[1].data;
    const dy = array(x.shape, 4);
    const expected = dy.data.map(
      (value, i) => (value * weights.gamma[i % 3]) / std[Math.floor(i / 18) * 3 + (i % 3)],
    );
    close(applied.backward(dy).dx, expected);
  });

  it.each([1, 2, 3, 5, 6])("takes the last of %i values that count", (count) => {
    const mask = {
      shape: [2, 6],
      data: Float64Array.from({ length: 12 }, (_, i) => (i % 6 < count ? 1 : 0)),
    };
    const { more } = apply(ek, reversibleInstanceNorm({ subtractLast: true }), x, {}, { mask });
    close(
      more[0],
      Float64Array.from({ length: 6 }, (_, i) => x.data[(Math.floor(i / 3) * 6 + count - 1) * 3 + (i % 3)]),
    );
  });
});

describe("robustReversibleInstanceNorm", () => {
  const x = array([2, 97, 3], 1, 50, 4);
  const weights = { gamma: array([3], 2, 1.5, 0.2).data, beta: array([3], 3).data };
  const series = (...values: number[]) => ({ shape: [1, values.length, 1], data: Float64Array.from(values) });
  const statistics = (given: Given, mask?: Given) =>
    apply(ek, robustReversibleInstanceNorm(), given, {}, { mask }).more.map(({ data }) => [...data]);

  it("is undone by reversibleInstanceDenorm", () => {
    const { y, more } = apply(ek, robustReversibleInstanceNorm(), x, weights);
    const [level, std] = more;
    close(apply(ek, reversibleInstanceDenorm(), [y, level, std] as never, weights).y, x.data);
  });

  it("has statistics that are constants to the gradient: dx = dy · gamma / std", () => {
    const applied = apply(ek, robustReversibleInstanceNorm(), x, weights);
    const std = applied.more[1].data;
    const dy = array(x.shape, 4);
    const expected = dy.data.map(
      (value, i) => (value * weights.gamma[i % 3]) / std[Math.floor(i / (97 * 3)) * 3 + (i % 3)],
    );
    close(applied.backward(dy).dx, expected);
  });

  it("has RevIN's scale on normal values", () => {
    const many = array([1, 20_000, 1], 5, 7, 3);
    const [[level], [std]] = statistics(many);
    expect(level).toBeCloseTo(7, 1);
    expect(std / (apply(ek, reversibleInstanceNorm(), many).more[1].data[0] as number)).toBeCloseTo(1, 1);
  });

  it("one huge value leaves the others nearly as they were, which RevIN flattens", () => {
    const spoiled = { shape: x.shape, data: x.data.slice() };
    spoiled.data[3 * 40] = 1e9;
    const others = (values: ArrayLike<number>) =>
      Array.from(values).filter((_, i) => i < 97 * 3 && i % 3 === 0 && i !== 3 * 40);
    const moved = (norm: Normalization) => {
      const [plain, after] = [x, spoiled].map((given) => others(apply(ek, norm, given).y.data));
      return largest(after.map((value, i) => value - plain[i]));
    };
    expect(moved(robustReversibleInstanceNorm())).toBeLessThan(0.15);
    expect(moved(reversibleInstanceNorm())).toBeGreaterThan(1);
  });

  it("takes the mean of the middle two of an even number", () => {
    const [[level], [std]] = statistics(series(4, 1, 10, 2));
    expect(level).toBe(3);
    // distances 1, 2, 7, 1
    expect(std).toBeCloseTo(Math.sqrt((1.4826 * 1.5) ** 2 + 1e-5), 12);
  });

  it.each([
    ["mostly 0", [0, 0, 5, 0, 0, 3, 0, 0], 0, 1.2533],
    ["half of them equal", [2, 2, 2, 2, 4, 6, 0, 8], 2, 1.4826],
    ["equal but for rounding", [0.1 + 0.2, 0.3, 0.3, 0.3, 0.3, 8.3], 0.3, (1.2533 * 8) / 6],
    ["constant", [7, 7, 7, 7, 7], 7, 0],
    ["a single step", [7], 7, 0],
  ])("of series that are %s", (_, values, level, spread) => {
    const [[measured], [std]] = statistics(series(...values));
    expect(measured).toBeCloseTo(level, 12);
    expect(std).toBeCloseTo(Math.sqrt(spread ** 2 + 1e-5), 12);
  });

  it.each([0, 1, 2, 5])("counts %i values under a mask, whatever their place", (count) => {
    const values = [9, -4, 7, -8, 1, -3];
    const counts = [3, 1, 5, 0, 2].slice(0, count);
    const mask = { shape: [1, 6], data: Float64Array.from(values, (_, i) => (counts.includes(i) ? 1 : 0)) };
    const kept = counts.map((i) => values[i]);
    expect(statistics(series(...values), mask)).toEqual(
      count === 0 ? [[0], [Math.sqrt(1e-5)]] : statistics(series(...kept)),
    );
  });

  describe("a NaN spoils itself alone, and counts as the largest value", () => {
    const spoiled = series(3, Number.NaN, 1, 2, Number.NEGATIVE_INFINITY, 8, 4);
    const finite = [0, 2, 3, 5, 6];
    // the median of [−∞, 1, 2, 3, 4, 8, NaN], and that of distances [0, 1, 1, 2, 5, ∞, NaN]
    const expected = finite.map((i) => (spoiled.data[i] - 3) / Math.sqrt((1.4826 * 2) ** 2 + 1e-5));
    const check = (y: ArrayLike<number>) => {
      close({ data: finite.map((i) => y[i]) }, expected, 1e-6);
      expect([y[1], y[4]]).toEqual([Number.NaN, Number.NEGATIVE_INFINITY]);
    };

    it("without a framework", () => check(apply(ek, robustReversibleInstanceNorm(), spoiled).y.data));

    it.each(backends)("in TensorFlow.js on %s", async (backend) => {
      await use(backend);
      tf.tidy(() => {
        const given = tf.tensor(Float32Array.from(spoiled.data), spoiled.shape);
        check(applyTf(robustReversibleInstanceNorm(), given).y.dataSync());
      });
    });

    it("in jax-js", async () => {
      await startJax("wasm");
      defaultDevice("wasm");
      const given = np.array(Float32Array.from(spoiled.data)).reshape(spoiled.shape);
      const { y, more } = jax.apply(robustReversibleInstanceNorm(), [given]);
      for (const one of more) one.dispose();
      check((await y.data()) as Float32Array);
    });
  });
});

describe("deepAdaptiveInputNorm", () => {
  const x = array([2, 6, 3], 1, 50, 4);

  it("starts as standardization, by half", () => {
    const plain = instanceNorm({ epsilon: 1e-8, scale: false, center: false });
    close(
      apply(ek, deepAdaptiveInputNorm(), x).y,
      (apply(ek, plain, x).y.data as Float64Array).map((value) => value / 2),
    );
  });

  it("leaves what a scale of 0 or below would divide, in the gradient too", () => {
    const norm = deepAdaptiveInputNorm({ mode: "adaptiveScale" });
    const shifted = deepAdaptiveInputNorm({ mode: "averageOnly" });
    const dy = array(x.shape, 4);
    const expected = apply(ek, shifted, x);
    for (const value of [0, -1]) {
      const actual = apply(ek, norm, x, { scaleKernel: new Float64Array(9).fill(value) });
      close(actual.y, expected.y.data);
      const { dx, weights } = actual.backward(dy);
      close(dx, apply(ek, shifted, x).backward(dy).dx.data);
      expect([...weights.scaleKernel.data]).toEqual(new Array(9).fill(0));
    }
  });

  it("makes a constant series 0", () => {
    const constant = { shape: [1, 4, 1], data: Float64Array.from([7, 7, 7, 7]) };
    const applied = apply(ek, deepAdaptiveInputNorm(), constant);
    expect([...applied.y.data]).toEqual([0, 0, 0, 0]);
    expect(applied.backward(array([1, 4, 1], 2)).dx.data.every(Number.isFinite)).toBe(true);
  });
});

describe("errors", () => {
  const x = array([2, 4, 3], 1);
  const cases: [string, () => unknown, string, ErrorConstructor?][] = [
    [
      "no condition",
      () => apply(ek, featureWiseLinearModulation(), x),
      "featureWiseLinearModulation: expected two inputs, x and a condition, got x alone; give [x, condition]",
      TypeError,
    ],
    [
      "a condition with positions",
      () => apply(ek, adaptiveLayerNorm(), [x, array([2, 4, 5], 2)]),
      "adaptiveLayerNorm: condition must have shape [batch, features], got [2, 4, 5]; " +
        "reduce it to one row per example first, by a mean over positions or a reshape",
    ],
    [
      "a condition of another batch",
      () => apply(ek, adaptiveLayerNorm(), [x, array([3, 5], 2)]),
      "adaptiveLayerNorm: condition must have as many examples as x, 2, got 3 (shape [3, 5]); repeat or slice it",
    ],
    [
      "an unknown activation",
      () => adaptiveLayerNorm({ activation: "relu" as never }),
      'adaptiveLayerNorm: activation must be "silu" or "none", got "relu"',
    ],
    [
      "no style",
      () => apply(ek, adaptiveInstanceNorm(), x),
      "adaptiveInstanceNorm: expected two inputs, x and a style, got x alone; give [x, style]",
      TypeError,
    ],
    [
      "a style of other channels",
      () => apply(ek, adaptiveInstanceNorm(), [x, array([2, 4, 5], 2)]),
      "adaptiveInstanceNorm: style must have the 3 channels of x on axis -1, got 5 (shape [2, 4, 5]); " +
        "take both from the same layer of a network",
    ],
    [
      "the batch axis for channels",
      () => apply(ek, switchableNorm({ axis: 0 }), x),
      "switchableNorm: axis must name the channels or features, got 0, which is the batch axis; use 1 or -1",
    ],
    [
      "classes that are not counted",
      () => apply(ek, conditionalBatchNorm(), [x, { shape: [2], data: Float64Array.from([0, 1]) }]),
      "conditionalBatchNorm: condition of shape [2] holds class indices, but the option classes was not given; set it to their number",
    ],
    [
      "shares of other classes",
      () => apply(ek, conditionalBatchNorm({ classes: 4 }), [x, array([2, 3], 2)]),
      "conditionalBatchNorm: condition must be each example's class, [batch], or weights of the 4 classes, [batch, 4], got shape [2, 3]",
    ],
    [
      "no classes",
      () => conditionalBatchNorm({ classes: 0 }),
      "conditionalBatchNorm: classes must be an integer of at least 1, got 0",
    ],
    [
      "an image from its last value",
      () => apply(ek, reversibleInstanceNorm({ subtractLast: true }), array([2, 2, 2, 3], 1)),
      "reversibleInstanceNorm: with subtractLast x must have the 3 axes batch, time and features, got shape [2, 2, 2, 3]; " +
        "reshape it, or omit subtractLast",
    ],
    [
      "a forecast without statistics",
      () => apply(ek, reversibleInstanceDenorm(), x),
      "reversibleInstanceDenorm: expected three inputs, z, mean and std, got 1; mean and std are `more` of reversibleInstanceNorm",
      TypeError,
    ],
    [
      "a forecast of fewer features",
      () =>
        apply(ek, reversibleInstanceDenorm(), [
          array([2, 4, 1], 1),
          array([2, 1, 3], 2),
          array([2, 1, 3], 3),
        ] as never),
      "reversibleInstanceDenorm: mean must have the shape of z with length 1 for time, for z of shape [2, 4, 1], " +
        "got [2, 1, 3]; the forecast must have the features of the history",
    ],
    [
      "an unknown mode",
      () => deepAdaptiveInputNorm({ mode: "gate" as never }),
      'deepAdaptiveInputNorm: mode must be one of "averageOnly", "adaptiveShift", "adaptiveScale", "full", got "gate"',
    ],
    [
      "nothing to wrap",
      () => reversible("lstm" as never),
      "Reversible: expected a layer to wrap, such as tf.layers.dense({ units: 8 }), got string",
      TypeError,
    ],
    [
      "a forecast of other features in TensorFlow.js",
      () => reversible(tfl.layers.dense({ units: 2, name: "inner" })).apply(tfl.input({ shape: [4, 3] })),
      "reversible: inner must output [batch, horizon, features] or [batch, features], with the 3 features of its input, " +
        "got [null, 4, 2]; forecast all of them, and select those you want from the result",
    ],
    [
      "an input without time",
      () => reversible(tfl.layers.dense({ units: 3 })).apply(tfl.input({ shape: [3] })),
      "reversible: the input must have the 3 axes batch, time and features, got [null, 3]; reshape it first",
    ],
    [
      "two levels to subtract",
      () => reversible(tfl.layers.dense({ units: 3 }), { robust: true, subtractLast: true }),
      "reversible: robust and subtractLast are two levels to subtract, the median and the last value; set one of them",
    ],
    [
      "robust by another type",
      () => reversible(tfl.layers.dense({ units: 3 }), { robust: "yes" as never }),
      'reversible: robust must be a boolean, got "yes"; leave it out for its default',
      TypeError,
    ],
    [
      "unknown features",
      () =>
        reversible(tfl.layers.activation({ activation: "linear" })).apply(tfl.input({ shape: [4, null] })),
      "reversible: the number of features must be known, got input shape [null, 4, null]; give the model's input a shape",
    ],
  ];

  it.each(cases)("%s", (_, run, message, kind = RangeError) => {
    expect(run).toThrow(new kind(message));
  });
});

/** A model's JSON and weights as it would be on disk. */
async function artifacts(model: tfl.LayersModel): Promise<tf.io.ModelArtifacts> {
  let saved: tf.io.ModelArtifacts | undefined;
  await model.save(
    tf.io.withSaveHandler(async (made) => {
      saved = made;
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
    }),
  );
  return JSON.parse(JSON.stringify({ ...saved, weightData: undefined })) && (saved as tf.io.ModelArtifacts);
}

const values = (tensor: tf.Tensor | tf.Tensor[]) => (tensor as tf.Tensor).dataSync() as Float32Array;
const randomize = (model: tfl.LayersModel) => {
  model.setWeights(
    model.getWeights().map((weight, i) => tf.tensor(normal(weight.size, 30 + i, 0.2, 0.5), weight.shape)),
  );
};

describe.each(backends)("in TensorFlow.js on %s", (backend) => {
  beforeAll(async () => {
    await use(backend);
    await install();
  });

  const conditioned = {
    "adaptiveLayerNormalization with a gate": () => ({
      layer: layers.adaptiveLayerNormalization({ zero: true }),
      condition: [5],
    }),
    "conditionalBatchNormalization of classes": () => ({
      layer: layers.conditionalBatchNormalization({ classes: 3 }),
      condition: [1],
    }),
    "conditionalBatchNormalization of a vector": () => ({
      layer: layers.conditionalBatchNormalization({ axis: -1, gammaKernelInitializer: "glorotUniform" }),
      condition: [5],
    }),
    featureWiseLinearModulation: () => ({ layer: layers.featureWiseLinearModulation({}), condition: [5] }),
    adaptiveInstanceNormalization: () => ({
      layer: layers.adaptiveInstanceNormalization({}),
      condition: [4, 2],
    }),
  };

  it.each(Object.entries(conditioned))("%s: a layer of [x, condition], saved and loaded", async (_, make) => {
    const { layer, condition } = make();
    const inputs = [tfl.input({ shape: [6, 2] }), tfl.input({ shape: condition })];
    const outputs = [layer.apply(inputs)].flat() as tfl.SymbolicTensor[];
    const model = tfl.model({
      inputs,
      outputs: outputs.map((one) => tfl.layers.flatten().apply(one) as tfl.SymbolicTensor),
    });
    if (model.getWeights().length > 0) randomize(model);
    const x = tf.tensor(normal(36, 1), [3, 6, 2]);
    const given =
      condition[0] === 1
        ? tf.tensor([[0], [2], [1]])
        : tf.randomNormal([3, ...condition], 0, 1, "float32", 7);
    const before = [model.predict([x, given])].flat().map((one) => [...values(one)]);
    expect(before.flat().every(Number.isFinite)).toBe(true);
    const loaded = await tfl.loadLayersModel(tf.io.fromMemory(await artifacts(model)));
    expect([loaded.predict([x, given])].flat().map((one) => [...values(one)])).toEqual(before);
  });

  it("a mask of x goes through a layer of [x, condition], and on with y", () => {
    const [x, condition] = [tfl.input({ shape: [3, 2] }), tfl.input({ shape: [1] })];
    const masked = tfl.layers.masking({ maskValue: -9 }).apply(x) as tfl.SymbolicTensor;
    const layer = layers.conditionalBatchNormalization({ classes: 2 });
    const y = layer.apply([masked, condition]) as tfl.SymbolicTensor;
    const sums = tfl.layers.simpleRNN({
      units: 2,
      useBias: false,
      activation: "linear",
      kernelInitializer: "identity",
      recurrentInitializer: "identity",
      returnSequences: true,
    });
    const model = tfl.model({ inputs: [x, condition], outputs: [y, sums.apply(y) as tfl.SymbolicTensor] });
    // running statistics are 0 and 1, so that y is x but for epsilon
    const series = tf.tensor3d([
      [
        [1, 2],
        [3, 4],
        [-9, -9],
      ],
    ]);
    const [normalized, summed] = model.predict([series, tf.tensor([[1]])]) as tf.Tensor[];
    close({ data: values(normalized) }, [1, 2, 3, 4, 0, 0], 1e-4);
    close({ data: values(summed) }, [1, 2, 4, 6, 4, 6], 1e-4);
  });

  const forecasters = {
    "a model": () =>
      tfl.sequential({
        layers: [
          tfl.layers.permute({ dims: [2, 1], inputShape: [8, 2] }),
          tfl.layers.dense({ units: 3, activation: "tanh" }),
          tfl.layers.permute({ dims: [2, 1] }),
        ],
      }),
    "a layer that gives one step": () => tfl.layers.lstm({ units: 2, recurrentInitializer: "glorotUniform" }),
    "a layer that was built before": () => {
      const layer = tfl.layers.dense({ units: 2, kernelRegularizer: tfl.regularizers.l2() });
      layer.build([null, 8, 2]);
      layer.built = true;
      return layer;
    },
  };
  const history = () => tf.tensor(normal(4 * 8 * 2, 1, 100, 5), [4, 8, 2]);

  const saved = Object.entries(forecasters).flatMap(([name, make]) =>
    [{ subtractLast: true }, { robust: true }].map((options) => ({ name, make, options })),
  );
  it.each(saved)("reversible around $name survives save and load: $options", async ({ make, options }) => {
    const wrapped = reversible(make() as tfl.layers.Layer, { inputShape: [8, 2], ...options });
    const model = tfl.sequential({ layers: [wrapped] });
    randomize(model);
    const before = [...values(model.predict(history()))];
    const loaded = await tfl.loadLayersModel(tf.io.fromMemory(await artifacts(model)));
    expect(loaded.layers[0].constructor).toBe(wrapped.constructor);
    expect(loaded.toJSON()).toEqual(model.toJSON());
    expect([...values(loaded.predict(history()))]).toEqual(before);
    expect(loaded.trainableWeights.length).toBe(model.trainableWeights.length);
  });

  it("reversible forecasts move with the level and spread of their history", () => {
    const model = tfl.sequential({
      layers: [reversible(forecasters["a model"](), { inputShape: [8, 2], epsilon: 1e-12 })],
    });
    const moved = tf.add(tf.mul(history(), 3), 40);
    const [plain, after] = [history(), moved].map((x) => values(model.predict(x)));
    close(
      { data: after },
      plain.map((value) => 3 * value + 40),
      1e-4,
    );
  });

  it("reversible trains its own weights and the inner ones, and leaves nothing behind", async () => {
    const model = tfl.sequential({ layers: [reversible(forecasters["a model"](), { inputShape: [8, 2] })] });
    model.compile({ optimizer: "adam", loss: "meanSquaredError" });
    const y = tf.tensor(normal(4 * 3 * 2, 2, 103, 5), [4, 3, 2]);
    const x = history();
    const start = model.getWeights().map((weight) => [...values(weight)]);
    const first = (await model.trainOnBatch(x, y)) as number;
    const before = tf.memory().numTensors;
    let last = first;
    for (let step = 0; step < 30; step++) last = (await model.trainOnBatch(x, y)) as number;
    expect(tf.memory().numTensors).toBe(before);
    expect(last).toBeLessThan(first);
    model.getWeights().forEach((weight, i) => {
      expect([...values(weight)], `weight ${i}`).not.toEqual(start[i]);
    });
  });

  it.each([
    [{}, reversibleInstanceNorm],
    [{ robust: true }, robustReversibleInstanceNorm],
  ])("reversible is its two formulas with one gamma and beta, mask and all: %o", (options, norm) => {
    const weights = { gamma: Float64Array.of(1.5, -0.7), beta: Float64Array.of(0.4, 2) };
    const mask = { shape: [4, 8], data: Float64Array.from({ length: 32 }, (_, i) => (i % 8 < 5 ? 1 : 0)) };
    const { y, more } = apply(ek, norm({ epsilon: 0.5 }), array([4, 8, 2], 1, 100, 5), weights, { mask });
    const squashed = { shape: y.shape, data: y.data.map(Math.tanh) };
    const [mean, std] = more;
    const expected = apply(ek, reversibleInstanceDenorm({ epsilon: 0.5 }), [squashed, mean, std], weights).y;
    leakless("reversible", () => {
      tf.tidy(() => {
        const inner = tfl.layers.activation({ activation: "tanh" });
        const layer = reversible(inner, { epsilon: 0.5, ...options });
        layer.apply(history());
        layer.setWeights([weights.gamma, weights.beta].map((one) => tf.tensor(Float32Array.from(one))));
        const counts = tf.tensor(Uint8Array.from(mask.data), mask.shape, "bool");
        close({ data: values(layer.apply(history(), { mask: counts }) as tf.Tensor) }, expected.data, 1e-5);
        layer.dispose();
      });
    });
  });

  it("reversible counts the inner layer's regularizers, and freezes it", () => {
    const layer = reversible(forecasters["a layer that was built before"]() as tfl.layers.Layer);
    layer.apply(history());
    expect(layer.calculateLosses().length).toBe(1);
    expect(layer.trainableWeights.length).toBe(4);
    layer.trainable = false;
    expect(layer.trainableWeights.length).toBe(0);
    expect(layer.nonTrainableWeights.length).toBe(4);
  });
});
