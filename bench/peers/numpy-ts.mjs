/** numpy-ts: the formula as written with NumPy. */
import { readFileSync } from "node:fs";
import * as np from "numpy-ts";
import { NotOffered, rotation, serve } from "../serve.mjs";

// its memory does not grow from the 256 MiB of the default
np.configureWasm({ maxMemory: 2 ** 31 });
const manifest = new URL("./node_modules/numpy-ts/package.json", import.meta.url);

await serve({
  about: `numpy-ts ${JSON.parse(readFileSync(manifest, "utf8")).version}`,
  prepare({ norm, shape, epsilon }, inputs, copies) {
    if (norm !== "layer") throw new NotOffered(`${norm} is not written for numpy-ts here`);
    const array = (/** @type {Float32Array} */ values, /** @type {number[]} */ of) =>
      np.array(values).reshape(of);
    const x = Array.from({ length: copies }, () => array(inputs.x, shape));
    const [gamma, beta] = [array(inputs.gamma, [shape[1]]), array(inputs.beta, [shape[1]])];
    const forwardOf = (/** @type {number} */ i) => {
      const mean = x[i].mean(-1, true);
      const centred = x[i].subtract(mean);
      const squares = centred.multiply(centred);
      const variance = squares.mean(-1, true);
      const shifted = variance.add(epsilon);
      const root = np.sqrt(shifted);
      const xHat = centred.divide(root);
      const scaled = xHat.multiply(gamma);
      const y = scaled.add(beta);
      for (const each of [mean, centred, squares, variance, shifted, root, xHat, scaled]) each.dispose();
      return y;
    };
    const next = rotation(copies);
    return {
      passes: { forward: () => forwardOf(next()).dispose() },
      results: { forward: () => ({ y: forwardOf(0).data.slice() }) },
      close: () => {
        for (const each of [...x, gamma, beta]) each.dispose();
      },
    };
  },
});
