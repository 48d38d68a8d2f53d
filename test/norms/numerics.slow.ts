/**
 * Every normalization on inputs that cost digits: a mean far above the standard deviation, values whose squares leave float32's range,
 * constants with epsilon 0. Each host against the float64 reference on the same float32 inputs.
 */
import { defaultDevice, numpy as np, init as startJax, vjp } from "@jax-js/jax";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { apply, type Normalization, open } from "../../src/index.js";
import * as jax from "../../src/jax/index.js";
import { fillMask } from "../../src/mask.js";
import { catalog } from "../../src/norms/catalog.js";
import { sizeOf } from "../../src/shape.js";
import { apply as applyTf, install } from "../../src/tfjs/index.js";
import { largest, normal } from "../support/numerics.js";
import { backends, use } from "../support/tfjs-backends.js";
import { rows } from "./rows/index.js";

const truth = await open({ backend: "reference" });
const wasm = await open({ backend: "wasm", threads: 1 });

interface Arrays {
  readonly y: ArrayLike<number>;
  readonly dx: ArrayLike<number>;
}

type Inputs = readonly { readonly shape: readonly number[]; readonly data: Float32Array }[];
type Host = (
  norm: Normalization,
  inputs: Inputs,
  dy: Float32Array,
  training: boolean,
) => Arrays | Promise<Arrays>;

const native =
  (ek: typeof truth): Host =>
  (norm, inputs, dy, training) => {
    const [x, ...others] = inputs;
    const { y, backward } = apply(ek, norm, [x, ...others], {}, { training });
    return { y: y.data, dx: backward({ shape: y.shape, data: dy }).dx.data };
  };

const inTensorFlow: Host = (norm, inputs, dy, training) =>
  tf.tidy(() => {
    const [x, ...others] = inputs.map(({ shape, data }) => tf.tensor(data, [...shape]));
    const moveState = () => {};
    const f = (input: tf.Tensor) => applyTf(norm, [input, ...others], {}, { training, moveState }).y;
    const y = f(x);
    return { y: y.dataSync(), dx: tf.grad(f)(x, tf.tensor(dy, y.shape)).dataSync() };
  });

const inJax: Host = async (norm, inputs, dy, training) => {
  const [x, ...others] = inputs.map(({ shape, data }) => np.array(data).reshape([...shape]));
  const [y, back] = vjp(
    (input: np.Array) => jax.apply(norm, [input, ...others.map(({ ref }) => ref)], {}, { training }).y,
    [x],
  );
  const [dx] = back(np.array(dy).reshape([...y.shape])) as np.Array[];
  return { y: await y.data(), dx: await dx.data() };
};

const hosts: [string, Host, () => Promise<void>][] = [
  ["without a framework", native(wasm), async () => {}],
  ...backends.map((backend): [string, Host, () => Promise<void>] => [
    `in TensorFlow.js on ${backend}`,
    inTensorFlow,
    async () => {
      await use(backend);
      await install();
    },
  ]),
  [
    "in jax-js",
    inJax,
    async () => {
      await startJax("cpu");
      defaultDevice("cpu");
    },
  ],
];

/** What cannot be better, each with its reason. */
const exceptions: { host?: RegExp; inputs: RegExp; norm: RegExp }[] = [
  // products x·W are float32 before they are normalized
  { inputs: /mean of 1e5/, norm: /^recurrentBatchNorm/ },
  // scores of 1e50, by no normalization
  { inputs: /1e25/, norm: /^normalizedAttention plain/ },
  // the mean square itself, which float32 does not hold
  { inputs: /1e25/, norm: /^statistics of rmsNorm/ },
  // the hosts' own erf and tanh are exact to 1e-7 of 1, not of themselves
  { host: /TensorFlow|jax/, inputs: /1e-25/, norm: /Erf/ },
  { host: /jax/, inputs: /1e-25/, norm: /tanh|Tanh|RNN|LSTM|GRU|recurrentBatch|residualBlock/ },
  // the host's own tanh has no slope at 1e25
  { host: /jax/, inputs: /1e25/, norm: /^recurrentBatchNorm/ },
  // its backward pass has state, for which there is no place
  { host: /jax/, inputs: /./, norm: /^onlineNorm(?! without control)/ },
];

const named = rows.map(({ norm, shapes, name }) => ({
  norm,
  shapes,
  name: `${norm.name}${name ? ` ${name}` : ""}`,
}));

function error(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  const scale = Math.max(1e-30, largest(expected));
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const distance = Math.abs(actual[i] - expected[i]) / scale;
    if (!(distance <= worst)) worst = distance;
  }
  return worst;
}

describe.each(hosts)("%s", (host, run, start) => {
  beforeAll(start);

  describe.each([
    ["a mean of 1e5, standard deviation 1", (value: number) => 1e5 + value],
    ["values of 1e25", (value: number) => 1e25 * value],
    ["values of 1e-25", (value: number) => 1e-25 * value],
  ])("%s", (kind, of) => {
    const excepted = ({ name }: (typeof named)[number]) =>
      exceptions.some(
        ({ host: where = /./, inputs, norm }) => where.test(host) && inputs.test(kind) && norm.test(name),
      );
    it.each(named.filter((one) => !excepted(one)))("$name", async ({ norm, shapes }) => {
      const inputs = shapes.map((shape, i) => ({
        shape,
        data: normal(sizeOf(shape), 11 + i).map((value) => (i === 0 ? of(value) : value)) as Float32Array,
      }));
      const measures = Object.values(norm.weights(...shapes)).some(({ trained }) => !trained);
      for (const training of measures ? [true, false] : [true]) {
        const shape = norm.outputs?.(...shapes)[0] ?? shapes[0];
        const dy = normal(sizeOf(shape), 51);
        const expected = await native(truth)(norm, inputs, dy, training);
        const actual = await run(norm, inputs, dy, training);
        const errors = { y: error(actual.y, expected.y), dx: error(actual.dx, expected.dx) };
        expect(errors.y, `y, training ${training}`).toBeLessThan(2e-5);
        expect(errors.dx, `dx, training ${training}`).toBeLessThan(2e-4);
      }
    });
  });
});

/** What a normalization needs on the shapes of its first row. */
const optionsFor = (name: string): object =>
  ({ groupNorm: { groups: 1 }, evoNormS0: { groups: 1 }, normalizedAttention: { heads: 2 } })[name] ?? {};

describe("without epsilon, constants and zeros", () => {
  const takesEpsilon = rows.filter(({ norm }) => {
    const factory = (catalog as Record<string, { defaults: object } | undefined>)[norm.name];
    return factory !== undefined && "epsilon" in factory.defaults;
  });
  const names = [...new Set(takesEpsilon.map(({ norm }) => norm.name))]
    // says that it must be above 0, since zeros are divided by it
    .filter((name) => name !== "globalResponseNorm");

  it.each(names)("%s", (name) => {
    const row = rows.find(({ norm }) => norm.name === name) as (typeof rows)[number];
    const factory = (catalog as unknown as Record<string, (options: object) => Normalization>)[name];
    const recurrent = "units" in (factory as unknown as { defaults: object }).defaults;
    const norm = factory({ epsilon: 0, ...(recurrent && { units: 4 }), ...optionsFor(name) });
    for (const value of [0, 3]) {
      const [first, ...others] = row.shapes.map((shape, i) => ({
        shape,
        data: i === 0 ? new Float32Array(sizeOf(shape)).fill(value) : normal(sizeOf(shape), 11 + i),
      }));
      for (const ek of [truth, wasm]) {
        for (const training of [true, false]) {
          const { y, backward } = apply(ek, norm, [first, ...others], {}, { training });
          const { dx, weights } = backward({ shape: y.shape, data: normal(y.data.length, 3) });
          for (const [what, { data }] of Object.entries({ y, dx, ...weights })) {
            expect(data.every(Number.isFinite), `${what}, ${value}, training ${training}`).toBe(true);
          }
        }
      }
    }
  });
});

it("gradients that are NaN at padding reach nothing, in every normalization that takes a mask", () => {
  for (const { norm, shapes, mask, name } of rows) {
    const [shape] = shapes;
    const maskShape = mask === undefined ? (shape.length > 2 ? shape.slice(0, -1) : null) : mask;
    if (!maskShape || (norm.outputs?.(...shapes)[0] ?? shape).join() !== shape.join()) continue;
    const data = Float32Array.from(normal(sizeOf(maskShape), 71), (value) => (value > -0.4 ? 1 : 0));
    const [x, ...others] = shapes.map((one, i) => ({ shape: one, data: normal(sizeOf(one), 11 + i) }));
    const { y, backward } = apply(truth, norm, [x, ...others], {}, { mask: { shape: maskShape, data } });
    const counts = new Float32Array(y.data.length);
    fillMask({ shape: maskShape, data }, { shape: y.shape, data: counts });
    const dy = normal(y.data.length, 3).map((value, i) => (counts[i] === 0 ? Number.NaN : value));
    const { dx, weights } = backward({ shape: y.shape, data: dy });
    for (const [what, gradient] of Object.entries({ dx, ...weights })) {
      expect(gradient.data.every(Number.isFinite), `${norm.name} ${name ?? ""}: ${what}`).toBe(true);
    }
  }
});
