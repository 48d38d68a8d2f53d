/**
 * Gradients of gradients in TensorFlow.js, such as gradient penalties take them, of every normalization: against central differences of
 * the gradient in float64. TensorFlow.js's own exp, tanh and sigmoid hold the value that they saved constant.
 */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { initialValues } from "../../src/formula/normalization.js";
import { run } from "../../src/formula/run.js";
import { onlineNorm } from "../../src/index.js";
import { sizeOf } from "../../src/shape.js";
import { apply, install } from "../../src/tfjs/index.js";
import { rows } from "../norms/rows/index.js";
import { Frozen } from "../support/eager.js";
import { largest, normal } from "../support/numerics.js";
import { backends, use } from "../support/tfjs-backends.js";

const named = rows
  // its gradient has state of its own, and no gradient
  .filter(({ norm, name }) => !(norm.name === "onlineNorm" && name !== "without control"))
  .map(({ norm, shapes, name, input = (value: number) => value }) => {
    const inputs = shapes.map((shape, i) =>
      Float64Array.from(normal(sizeOf(shape), 11 + i, 0.3)).map(i === 0 ? input : (value) => value),
    );
    const weights = Object.entries(norm.weights(...shapes)).map(([weight, one], i) => {
      const start = initialValues(one);
      const noise = normal(start.length, 31 + i);
      const values = start.map((value, at) =>
        Math.fround(one.trained ? value + 0.3 * noise[at] : Math.abs(noise[at]) + 0.5),
      );
      return { weight, shape: one.shape, values };
    });
    return { norm, shapes, inputs, weights, name: `${norm.name}${name ? ` ${name}` : ""}` };
  });

describe.each(backends)("on %s", (backend) => {
  beforeAll(async () => {
    await use(backend);
    await install();
  });

  it.each(named)("$name", ({ norm, shapes, inputs, weights }) => {
    const [x] = inputs;
    const [shape] = shapes;
    const output = norm.outputs?.(...shapes)[0] ?? shape;
    const dy = Float64Array.from(normal(sizeOf(output), 51));
    const direction = Float64Array.from(normal(x.length, 61));

    // Σ dy·y in float64; the gradient is wanted of its slope along `direction`
    const constants = new Frozen();
    const held = Object.fromEntries(
      weights.map(({ weight, shape: of, values }) => [
        weight,
        { shape: of, data: Float64Array.from(values) },
      ]),
    );
    const loss = () => {
      const arrays = inputs.map((data, i) => ({ shape: shapes[i], data: Float64Array.from(data) }));
      const { y } = run(constants.replay(), norm, arrays, held, { training: true });
      return y.data.reduce((sum, value, i) => sum + value * dy[i], 0);
    };
    loss();
    const step = 2e-4;
    const slopeAlong = () => {
      const at = (distance: number) => {
        const start = x.slice();
        for (const [i, part] of direction.entries()) x[i] += distance * part;
        const result = loss();
        x.set(start);
        return result;
      };
      return (at(step) - at(-step)) / (2 * step);
    };
    const expected = x.map((value, i) => {
      const at = (moved: number) => {
        x[i] = moved;
        const result = slopeAlong();
        x[i] = value;
        return result;
      };
      return (at(value + step) - at(value - step)) / (2 * step);
    });

    const actual = tf.tidy(() => {
      const [first, ...others] = inputs.map((data, i) => tf.tensor(Float32Array.from(data), [...shapes[i]]));
      const held = Object.fromEntries(
        weights.map(({ weight, shape: of, values }) => [
          weight,
          tf.tensor(Float32Array.from(values), [...of]),
        ]),
      );
      const f = (input: tf.Tensor) => apply(norm, [input, ...others], held).y;
      const upstream = tf.tensor(Float32Array.from(dy), [...output]);
      const penalty = (input: tf.Tensor) =>
        tf.sum(tf.mul(tf.grad(f)(input, upstream), tf.tensor(Float32Array.from(direction), input.shape)));
      // TensorFlow.js refuses where no part of the gradient depends on x
      return tf
        .grad((input) => tf.add(penalty(input), tf.mul(0, tf.sum(input))))(first)
        .dataSync();
    });
    const scale = Math.max(1, largest(expected));
    const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - actual[i])), 0);
    expect(worst / scale).toBeLessThan(2e-3);
  });

  it("online normalization, whose gradient has state, says that it has none", () => {
    const x = tf.randomNormal([4, 3], 0, 1, "float32", 1);
    const f = (input: tf.Tensor) => apply(onlineNorm(), input, {}, { moveState() {} }).y;
    expect(() => tf.grad((input) => tf.sum(tf.grad(f)(input)))(x)).toThrow(
      "evenkeel: a gradient that is replaced in the backward pass, as online normalization's, is not differentiable; " +
        "take second derivatives with control: false",
    );
  });
});
