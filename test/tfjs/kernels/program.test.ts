/** A formula as one operation of TensorFlow.js: what it leaves behind, and what may happen between it and its gradient. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeEach, describe, expect, it } from "vitest";
import type { ApplyOptions, Normalization, Weight } from "../../../src/formula/normalization.js";
import type { Ops } from "../../../src/formula/ops.js";
import { batchRenorm, dynamicTanh, layerNorm, rmsNorm, withActivation } from "../../../src/index.js";
import { apply, install } from "../../../src/tfjs/index.js";
import { expectClose, normal } from "../../support/numerics.js";
import { leakless, use } from "../../support/tfjs-backends.js";

const values = (shape: number[], seed: number) => tf.tensor(normal(24, seed, 0.3), shape);
const x = () => values([4, 6], 1);
const close = (name: string, actual: tf.Tensor, expected: tf.Tensor) =>
  expectClose(name, actual.dataSync() as Float32Array, expected.dataSync(), () => 2e-5);

const norms: Normalization[] = [
  dynamicTanh(),
  withActivation(layerNorm(), "silu"),
  batchRenorm(),
  rmsNorm({ type: "bfloat16" }),
];

/** A normalization of any operations. */
function formula(
  make: <T>(
    ops: Ops<T>,
    x: T,
    weights: Readonly<Record<string, T>>,
    options: ApplyOptions<T>,
  ) => { y: T; more?: readonly T[]; state?: Record<string, T> },
  weights: Readonly<Record<string, Weight>> = {},
): Normalization {
  return {
    name: "formula",
    weights: () => ({ ...weights }),
    apply: (ops, [x], held, options) => make(ops, x, held, options),
  };
}

/** All that a call gives, as one loss. */
const loss = (norm: Normalization, x: tf.Tensor, options: Parameters<typeof apply>[3] = {}) => {
  const { y, sum, more = [] } = apply(norm, x, {}, options);
  const all = [y, ...(sum ? [sum] : []), ...more];
  return tf.addN(all.map((one, i) => tf.sum(tf.mul(one, tf.cos(tf.add(one, i)))))) as tf.Scalar;
};

beforeEach(async () => {
  await use("wasm");
  await install();
});

describe("a step", () => {
  it("leaves no tensor and no memory, whatever it brings", () => {
    const backend = tf.backend() as unknown as { numDataIds(): number };
    for (const norm of norms) {
      for (const residual of [undefined, values([4, 6], 2)]) {
        for (const mask of [undefined, tf.tensor([1, 0, 1, 1], [4, 1], "bool")]) {
          const step = () =>
            tf.tidy(() => {
              tf.grad((x: tf.Tensor) => loss(norm, x, { residual, mask, moveState: () => {} }))(
                x(),
              ).dataSync();
            });
          step();
          const before = backend.numDataIds();
          leakless(norm.name, step);
          expect(backend.numDataIds(), norm.name).toBe(before);
        }
      }
    }
  });

  it("that finds no room leaves nothing, and ends", () => {
    type Memory = { wasm: { _malloc(bytes: number): number }; numDataIds(): number };
    const backend = tf.backend() as unknown as Memory;
    const malloc = backend.wasm._malloc;
    const given = x();
    const weights = { gamma: tf.ones([6]), beta: tf.zeros([6]) };
    const [, norm] = norms;
    const run = () => tf.dispose(apply(norm, given, weights, { residual: given }) as never);
    run();
    const before = backend.numDataIds();
    let failed = 0;
    try {
      for (let left = -1; left < 0; ) {
        left = failed;
        backend.wasm._malloc = (bytes) => (left-- === 0 ? 0 : malloc(bytes));
        leakless(norm.name, () => {
          try {
            run();
          } catch (error) {
            expect((error as Error).message).toContain("no room");
            failed++;
          }
        });
      }
    } finally {
      backend.wasm._malloc = malloc;
    }
    expect(failed).toBeGreaterThan(2);
    expect(backend.numDataIds()).toBe(before);
  });
});

describe("results", () => {
  const cases: Record<string, Normalization> = {
    "x itself, in several shapes": formula((ops, x) => ({ y: x, more: [x, ops.reshape(x, [24])] })),
    "the same several times": formula((ops, x) => {
      const y = ops.tanh(x);
      return { y, more: [y, ops.transpose(y, [1, 0])] };
    }),
    "statistics of a call": formula((ops, x) => {
      const { y, mean, variance } = ops.normalize(layerNorm(), x);
      return { y: ops.mul(y, ops.tanh(y)), more: [mean, variance] as (typeof x)[] };
    }),
    "numbers, and nothing": formula((ops, x) => ({
      y: ops.mul(x, 2),
      more: [ops.constant([1, 1], [2]), ops.constant([1, 2], [2]), ops.slice(x, 0, 2, 2)],
    })),
  };

  it.each(Object.keys(cases))("of %s are those of the composition, with their gradients", async (name) => {
    const run = () => {
      const { value, grad } = tf.valueAndGrad((x: tf.Tensor) => loss(cases[name], x))(x());
      return [value, grad];
    };
    const fused = run();
    await use("cpu");
    run().forEach((expected, i) => {
      close(`${name}, ${i}`, fused[i], expected);
    });
  });

  it("of the backward pass may be what the forward pass made", async () => {
    const norm = formula(
      (ops, x, { held }, { moveState }) => {
        const made = ops.mul(held, 3);
        const y = ops.intercept?.(ops.exp(x), [made], (gradient, [saved]) => {
          moveState?.({ held: saved });
          return ops.mul(gradient, saved);
        });
        return { y: y ?? x };
      },
      { held: { shape: [6], initial: 1, trained: false } },
    );
    for (const backend of ["wasm", "cpu"] as const) {
      await use(backend);
      let moved: number[] = [];
      const moveState = (state: Readonly<Record<string, tf.Tensor>>) => {
        moved = [...state.held.dataSync()];
      };
      const slope = tf.grad((x: tf.Tensor) => apply(norm, x, {}, { moveState }).y)(x());
      expect(moved, backend).toEqual([3, 3, 3, 3, 3, 3]);
      close(backend, slope, tf.mul(tf.exp(x()), 3));
    }
  });

  it("of x and of its residual are two gradients, of which either may be disposed of first", () => {
    const slopes = () =>
      tf.grads((x: tf.Tensor, residual: tf.Tensor) => apply(norms[0], x, {}, { residual }).y)([
        x(),
        values([4, 6], 2),
      ]);
    const expected = [...slopes()[0].dataSync()];
    for (const first of [0, 1]) {
      const pair = slopes();
      pair[first].dispose();
      const other = tf.mul(values([4, 6], 3), 1000);
      expect([...pair[1 - first].dataSync()]).toEqual(expected);
      tf.dispose([other, pair[1 - first]]);
    }
  });
});

describe("a backend that is chosen between a call and its gradient", () => {
  it.each(norms)("$name gives the same", async (norm) => {
    const dy = values([4, 6], 3);
    const switched = (from: "cpu" | "wasm", to: "cpu" | "wasm") => {
      tf.setBackend(from);
      return tf.valueAndGrad((x: tf.Tensor) => {
        const { y } = apply(norm, x);
        tf.setBackend(to);
        return tf.sum(tf.mul(y, dy)) as tf.Scalar;
      })(x());
    };
    const expected = switched("wasm", "wasm");
    for (const [from, to] of [
      ["wasm", "cpu"],
      ["cpu", "wasm"],
    ] as const) {
      const { value, grad } = switched(from, to);
      close("y", value, expected.value);
      close("dx", grad, expected.grad);
    }
    await use("wasm");
  });
});

describe("tensors of other types", () => {
  it("are taken as numbers, and masks as what is not 0", () => {
    const integers = tf.tensor([1, 2, 3, 4, 5, 6], [2, 3], "int32");
    for (const norm of norms) {
      const [a, b] = [integers, tf.cast(integers, "float32")].map((given) =>
        tf.grad((given: tf.Tensor) => loss(norm, given))(given),
      );
      close(norm.name, a, b);
      const masks = [
        tf.tensor([1, 0], [2], "bool"),
        tf.tensor([7, 0], [2, 1], "int32"),
        tf.tensor([0.5, 0], [2]),
      ];
      const [first, ...others] = masks.map((mask) => apply(norm, integers, {}, { mask }).y);
      for (const other of others) close(`${norm.name}, masked`, other, first);
    }
  });
});
