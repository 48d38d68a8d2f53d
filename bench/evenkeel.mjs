/** Evenkeel without a framework; the last argument is the number of threads. */
import * as evenkeel from "evenkeel";
import { formulas } from "./cases.mjs";
import { formulaOf, gradientName, maskOf, operationOf, weightsIn } from "./inputs.mjs";
import { rotation, serve } from "./serve.mjs";

/**
 * @typedef {import("evenkeel").BackendArray} BackendArray
 * @typedef {import("./serve.mjs").Task} Task
 * @typedef {import("./serve.mjs").Arrays} Arrays
 */

const threads = Number(process.argv.at(-1));
const ek = await evenkeel.open({ threads });

/** @param {object} results of a call */
function dispose(results) {
  for (const array of Object.values(results)) {
    if (array instanceof evenkeel.BackendArray) array.dispose();
  }
}

/** Copies of the arrays of a call, which are disposed. @param {object} results */
async function taken(results) {
  /** @type {Record<string, Float32Array>} */
  const values = {};
  for (const [name, array] of Object.entries(results)) {
    if (array instanceof evenkeel.BackendArray) values[name] = Float32Array.from(await array.read());
  }
  dispose(results);
  return values;
}

/** @param {Record<string, Float32Array>} values @param {Task} task */
const arraysOf = (values, { norm, shape }) => {
  const shapes = formulas[norm] ? formulaOf({ norm }).weights(shape) : {};
  return Object.fromEntries(
    Object.entries(values).map(([name, each]) => [
      name,
      ek.array(shapes[name]?.shape ?? [each.length], each),
    ]),
  );
};

/** @param {Task} task @param {Arrays} inputs @param {number} copies */
function operation(task, inputs, copies) {
  const norm = operationOf(task);
  const many = (/** @type {Float32Array | undefined} */ values) =>
    values && Array.from({ length: copies }, () => ek.array(task.shape, values, { type: task.storage }));
  const [x, residual, dy, dSum] = [
    many(inputs.x) ?? [],
    many(inputs.residual),
    many(inputs.dy) ?? [],
    many(inputs.dSum),
  ];
  const shared = arraysOf(weightsIn(inputs), task);
  const mask = maskOf(task, inputs);
  const forwardOf = (/** @type {number} */ i) =>
    ek.forward(norm, x[i], { ...shared, residual: residual?.[i], mask });
  const backwardOf = (/** @type {import("evenkeel").Saved<BackendArray>} */ saved, /** @type {number} */ i) =>
    ek.backward(saved, dy[i], dSum?.[i]);

  const ready = x.map((_, i) => {
    const { y, ...rest } = forwardOf(i);
    y.dispose();
    return rest;
  });
  const next = rotation(copies);
  return {
    passes: {
      forward: () => dispose(forwardOf(next())),
      backward() {
        const i = next();
        dispose(backwardOf(ready[i].saved, i));
      },
      both() {
        const i = next();
        const results = forwardOf(i);
        dispose(backwardOf(results.saved, i));
        dispose(results);
      },
    },
    results: {
      forward: () => taken(forwardOf(0)),
      backward: () => taken(backwardOf(ready[0].saved, 0)),
      async both() {
        const results = forwardOf(0);
        const gradients = backwardOf(results.saved, 0);
        return { ...(await taken(results)), ...(await taken(gradients)) };
      },
    },
    close() {
      for (const array of [...x, ...dy, ...(residual ?? []), ...(dSum ?? [])]) array.dispose();
      dispose(shared);
      for (const each of ready) dispose(each);
    },
  };
}

/** @param {Task} task @param {Arrays} inputs @param {number} copies */
function formula(task, inputs, copies) {
  const norm = formulaOf(task);
  const many = (/** @type {Float32Array} */ values) =>
    Array.from({ length: copies }, () => ek.array(task.shape, values));
  const [x, dy] = [many(inputs.x), many(inputs.dy)];
  const weights = arraysOf(weightsIn(inputs), task);
  const bothOf = (/** @type {number} */ i) => {
    const { y, state, backward } = evenkeel.apply(ek, norm, x[i], weights);
    const { dx, weights: gradients, state: moved } = backward(dy[i]);
    dispose(state);
    dispose(moved);
    const named = Object.entries(gradients).map(([name, gradient]) => [gradientName(name), gradient]);
    return { y, dx, ...Object.fromEntries(named) };
  };
  const next = rotation(copies);
  return {
    passes: { both: () => dispose(bothOf(next())) },
    results: { both: () => taken(bothOf(0)) },
    close() {
      for (const array of [...x, ...dy]) array.dispose();
      dispose(weights);
    },
  };
}

/** @param {Task} task @param {Arrays} inputs @param {number} copies */
function throughLayer(task, inputs, copies) {
  const layer = new evenkeel.Layer(ek, formulaOf(task), task.shape).eval();
  for (const [name, values] of Object.entries(weightsIn(inputs))) layer.weights[name].data.set(values);
  const x = Array.from({ length: copies }, () => ek.array(task.shape, inputs.x));
  const next = rotation(copies);
  return {
    passes: { evaluate: () => layer.forward(x[next()]).dispose() },
    results: { evaluate: () => taken({ y: layer.forward(x[0]) }) },
    close() {
      for (const array of x) array.dispose();
      layer.dispose();
    },
  };
}

await serve({
  about: `Evenkeel ${ek.backend}, ${threads} ${threads === 1 ? "thread" : "threads"}`,
  prepare(task, inputs, copies) {
    if (task.passes.includes("evaluate")) return throughLayer(task, inputs, copies);
    return (formulas[task.norm] ? formula : operation)(task, inputs, copies);
  },
});
