/** jax-js on its wasm backend, everything under jit. Its arrays are reference-counted: an argument is consumed, `.ref` retains it. */
import { readFileSync } from "node:fs";
import { blockUntilReady, defaultDevice, init, jit, nn, numpy as np, vjp } from "@jax-js/jax";
import { NotOffered, rotation, serve } from "../serve.mjs";
import { trainTransformer } from "./jax-transformer.mjs";

/** @typedef {any} Array jax-js's array; its own types do not say what `.ref` returns */

await init("wasm");
defaultDevice("wasm");
const manifest = new URL("./node_modules/@jax-js/jax/package.json", import.meta.url);

await serve({
  about: `jax-js ${JSON.parse(readFileSync(manifest, "utf8")).version}`,
  prepare(task, inputs, copies) {
    if (task.norm === "transformer") return trainTransformer(task, inputs);
    if (task.norm !== "layer") throw new NotOffered(`${task.norm} is not written for jax-js here`);
    const { shape, epsilon } = task;
    const array = (/** @type {Float32Array} */ values) => np.array(values.slice());
    const many = (/** @type {Float32Array} */ values) =>
      Array.from({ length: copies }, () => array(values).reshape(shape));
    const [x, dy] = [many(inputs.x), task.passes.includes("both") ? many(inputs.dy) : []];
    const [gamma, beta] = [array(inputs.gamma), array(inputs.beta)];

    const normalize = (/** @type {Array} */ x, /** @type {Array} */ gamma, /** @type {Array} */ beta) =>
      nn.standardize(x, -1, { epsilon }).mul(gamma).add(beta);
    const forward = jit(normalize);
    const both = jit(
      (
        /** @type {Array} */ x,
        /** @type {Array} */ gamma,
        /** @type {Array} */ beta,
        /** @type {Array} */ dy,
      ) => {
        const [y, gradients] = vjp(normalize, [x, gamma, beta]);
        return [y, ...gradients(dy)];
      },
    );
    /** @type {Record<string, (i: number) => Array[]>} */
    const calls = {
      forward: (i) => [forward(x[i].ref, gamma.ref, beta.ref)],
      both: (i) => both(x[i].ref, gamma.ref, beta.ref, dy[i].ref),
    };
    const next = rotation(copies);
    const call = async (/** @type {string} */ pass) => {
      const results = calls[pass](next());
      await blockUntilReady(results);
      for (const result of results) result.dispose();
    };
    const results = async (/** @type {string} */ pass) => {
      const [y, dx, dGamma, dBeta] = await Promise.all(calls[pass](0).map((result) => result.data()));
      return { y, dx, dGamma, dBeta };
    };
    return {
      passes: { forward: () => call("forward"), both: () => call("both") },
      results: { forward: () => results("forward"), both: () => results("both") },
      close: () => {
        for (const each of [...x, ...dy, gamma, beta]) each.dispose();
        forward.dispose();
        both.dispose();
      },
    };
  },
});
