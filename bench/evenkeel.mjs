/** Evenkeel without a framework; the argument is the number of threads. */
import * as evenkeel from "evenkeel";
import { normOf } from "./inputs.mjs";
import { rotation, serve } from "./serve.mjs";

/** @typedef {import("evenkeel").BackendArray} BackendArray */

const threads = Number(process.argv[2]);
const ek = await evenkeel.open({ threads });

/** @param {object} results of a call */
function dispose(results) {
  for (const array of Object.values(results)) {
    if (array instanceof evenkeel.BackendArray) array.dispose();
  }
}

await serve({
  about: `Evenkeel ${ek.backend}, ${threads} ${threads === 1 ? "thread" : "threads"}`,
  prepare(task, inputs, copies) {
    const norm = normOf(task);
    const many = (/** @type {Float32Array | undefined} */ values) =>
      values && Array.from({ length: copies }, () => ek.array(task.shape, values));
    const one = (/** @type {Float32Array | undefined} */ values) =>
      values && ek.array([values.length], values);
    const [x, residual, dy, dSum] = [
      many(inputs.x) ?? [],
      many(inputs.residual),
      many(inputs.dy) ?? [],
      many(inputs.dSum),
    ];
    const shared = {
      gamma: one(inputs.gamma),
      beta: one(inputs.beta),
      mean: one(inputs.mean),
      variance: one(inputs.variance),
    };
    const forwardOf = (/** @type {number} */ i) =>
      ek.forward(norm, x[i], residual ? { ...shared, residual: residual[i] } : shared);
    const backwardOf = (
      /** @type {import("evenkeel").Saved<BackendArray>} */ saved,
      /** @type {number} */ i,
    ) => ek.backward(saved, dy[i], dSum?.[i]);

    const ready = x.map((_, i) => {
      const { y, ...rest } = forwardOf(i);
      y.dispose();
      return rest;
    });
    const next = rotation(copies);
    const forward = () => dispose(forwardOf(next()));
    const backward = () => {
      const i = next();
      dispose(backwardOf(ready[i].saved, i));
    };
    const both = () => {
      const i = next();
      const results = forwardOf(i);
      dispose(backwardOf(results.saved, i));
      dispose(results);
    };
    const taken = (/** @type {object} */ results) => {
      /** @type {Record<string, Float32Array>} */
      const values = {};
      for (const [name, array] of Object.entries(results)) {
        if (array instanceof evenkeel.BackendArray)
          values[name] = /** @type {Float32Array} */ (array.data.slice());
      }
      dispose(results);
      return values;
    };
    return {
      passes: { forward, backward, both },
      results: {
        forward: () => taken(forwardOf(0)),
        backward: () => taken(backwardOf(ready[0].saved, 0)),
        both: () => {
          const results = forwardOf(0);
          const gradients = backwardOf(results.saved, 0);
          return { ...taken(results), ...taken(gradients) };
        },
      },
      close: () => {
        for (const array of [...x, ...dy, ...(residual ?? []), ...(dSum ?? [])]) array.dispose();
        dispose(shared);
        for (const each of ready) dispose(each);
      },
    };
  },
});
