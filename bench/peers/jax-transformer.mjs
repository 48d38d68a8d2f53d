/** The transformer of ../transformer.mjs in jax-js: one step, gradients and Adam included, under one jit. */
import { jit, nn, numpy as np, tree, valueAndGrad } from "@jax-js/jax";
import { BLOCKS, HEADS } from "../transformer.mjs";
import { kernelsFrom } from "./kernels.mjs";

/** @typedef {any} Array jax-js's array; its own types do not say what `.ref` returns */

const [RATE, BETA1, BETA2, EPSILON] = [0.001, 0.9, 0.999, 1e-7];

/** @param {import("../serve.mjs").Task} task @param {import("../serve.mjs").Arrays} inputs */
export function trainTransformer({ shape, epsilon }, inputs) {
  const [batch, time, width] = shape;
  const depth = width / HEADS;
  const kernel = kernelsFrom(inputs.kernels);
  const dense = (/** @type {number} */ rows, /** @type {number} */ columns) => ({
    kernel: np.array(kernel(rows, columns)).reshape([rows, columns]),
    bias: np.zeros([columns]),
  });
  const norm = () => ({ gamma: np.ones([width]), beta: np.zeros([width]) });
  /** @type {any} */
  let parameters = Array.from({ length: BLOCKS }, () => ({
    before: norm(),
    between: norm(),
    queries: dense(width, width),
    keys: dense(width, width),
    values: dense(width, width),
    out: dense(width, width),
    up: dense(width, 4 * width),
    down: dense(4 * width, width),
  }));
  const [x, target] = [inputs.x, inputs.target].map((values) =>
    np.array(values).reshape([batch * time, width]),
  );

  const normalize = (/** @type {Array} */ rows, /** @type {any} */ { gamma, beta }) =>
    nn.standardize(rows, -1, { epsilon }).mul(gamma).add(beta);
  const apply = (/** @type {Array} */ rows, /** @type {any} */ { kernel, bias }) =>
    np.matmul(rows, kernel).add(bias);
  const split = (/** @type {Array} */ rows) =>
    rows.reshape([batch, time, HEADS, depth]).transpose([0, 2, 1, 3]);
  const cost = (/** @type {any} */ blocks, /** @type {Array} */ x, /** @type {Array} */ target) => {
    let rows = x;
    for (const block of blocks) {
      const input = normalize(rows.ref, block.before);
      const queries = split(apply(input.ref, block.queries));
      const keys = split(apply(input.ref, block.keys)).transpose([0, 1, 3, 2]);
      const attention = nn.softmax(np.matmul(queries, keys).mul(1 / Math.sqrt(depth)), -1);
      const mixed = np.matmul(attention, split(apply(input, block.values))).transpose([0, 2, 1, 3]);
      rows = rows.add(apply(mixed.reshape([batch * time, width]), block.out));
      rows = rows.ref.add(apply(nn.relu(apply(normalize(rows, block.between), block.up)), block.down));
    }
    return np.square(rows.sub(target)).mean();
  };

  const zeros = () => tree.map((/** @type {Array} */ each) => np.zeros(each.shape), parameters);
  let [first, second] = [zeros(), zeros()];
  let powers = np.ones([2]);
  const update = jit(
    (
      /** @type {any} */ p,
      /** @type {any} */ m,
      /** @type {any} */ v,
      /** @type {Array} */ powers,
      /** @type {Array} */ x,
      /** @type {Array} */ target,
    ) => {
      const [loss, gradients] = valueAndGrad(cost)(tree.ref(p), x, target);
      powers = powers.mul(np.array([BETA1, BETA2]));
      const [power1, power2] = [powers.ref.slice(0), powers.ref.slice(1)];
      m = tree.map(
        (/** @type {Array} */ mean, /** @type {Array} */ g) => mean.mul(BETA1).add(g.mul(1 - BETA1)),
        m,
        tree.ref(gradients),
      );
      v = tree.map(
        (/** @type {Array} */ mean, /** @type {Array} */ g) =>
          mean.mul(BETA2).add(np.square(g).mul(1 - BETA2)),
        v,
        gradients,
      );
      const [bias1, bias2] = [np.subtract(1, power1), np.subtract(1, power2)];
      p = tree.map(
        (/** @type {Array} */ value, /** @type {Array} */ mean, /** @type {Array} */ square) =>
          value.sub(
            mean
              .div(bias1.ref)
              .mul(RATE)
              .div(np.sqrt(square.div(bias2.ref)).add(EPSILON)),
          ),
        p,
        tree.ref(m),
        tree.ref(v),
      );
      bias1.dispose();
      bias2.dispose();
      return [p, m, v, powers, loss];
    },
  );
  const step = async () => {
    const [p, m, v, next, loss] = update(parameters, first, second, powers, x.ref, target.ref);
    [parameters, first, second, powers] = [p, m, v, next];
    return (await loss.data())[0];
  };
  return {
    passes: { step },
    results: {
      step: async () => ({ losses: Float32Array.of(await step(), await step(), await step()) }),
    },
  };
}
