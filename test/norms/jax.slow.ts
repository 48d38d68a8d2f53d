/** Every row of the table in jax-js: y and the gradients of inputs and weights, and both under jit, against float64. */
import { defaultDevice, jit, numpy as np, init as startJax, vjp } from "@jax-js/jax";
import { describe, it } from "vitest";
import * as jax from "../../src/jax/index.js";
import { close, named, prepared, truth } from "./rows/prepared.js";

describe.each(named)("$name", ({ row }) => {
  const { norm, inputs, specified, weights, dy, trainedNames, tolerance, calls, run } = prepared(row);

  describe.each(calls)("$name", (call) => {
    const { training, masked } = call;
    const best = run(truth, call);
    const gradients = best.backward();

    it("in jax-js, its gradient too, and both under jit", async () => {
      await startJax("wasm");
      defaultDevice("wasm");
      const array = (data: ArrayLike<number>, shape: readonly number[]) =>
        np.array(Float32Array.from(data)).reshape([...shape]);
      const maskArray = masked ? array(masked.data, masked.shape) : undefined;
      const kept = Object.keys(specified).filter((name) => !specified[name].trained);
      const f = (...list: jax.JaxArray[]) => {
        const held: jax.Weights = {};
        trainedNames.forEach((name, i) => {
          held[name] = list[inputs.length + i];
        });
        for (const name of kept) held[name] = array(weights[name], specified[name].shape);
        const { y, more, state, sum } = jax.apply(norm, list.slice(0, inputs.length), held, {
          training,
          mask: maskArray?.ref,
        });
        for (const other of [...more, ...Object.values(state), ...(sum ? [sum] : [])]) other.dispose();
        return y;
      };
      const all = () => [
        ...inputs.map(({ data, shape }) => array(data, shape)),
        ...trainedNames.map((name) => array(weights[name], specified[name].shape)),
      ];
      const both = (...list: jax.JaxArray[]) => {
        const upstream = list.pop() as jax.JaxArray;
        const [y, back] = vjp(f as never, list as never) as unknown as [
          jax.JaxArray,
          (dy: jax.JaxArray) => jax.JaxArray[],
        ];
        return [y, ...back(upstream)];
      };
      for (const call of [both, jit(both as never) as unknown as typeof both]) {
        const [y, ...slopes] = call(...all(), array(dy.data, dy.shape));
        const plain = async (given: jax.JaxArray) => ({
          shape: given.shape,
          data: (await given.data()) as Float32Array,
        });
        close("y", await plain(y), best.applied.y.data, tolerance);
        close("dx", await plain(slopes[0]), gradients.dx.data, 10 * tolerance);
        for (const [i, name] of trainedNames.entries()) {
          const slope = slopes[inputs.length + i];
          close(`gradient of ${name}`, await plain(slope), gradients.weights[name].data, 10 * tolerance);
        }
      }
      maskArray?.dispose();
    });
  });
});
