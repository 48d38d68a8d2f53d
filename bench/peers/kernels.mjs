/** The initial kernels of the transformer, the same for every library: slices of one array, scaled by 1/√inputs. */

/** @param {Float32Array} values */
export function kernelsFrom(values) {
  let used = 0;
  return (/** @type {number} */ inputs, /** @type {number} */ outputs) => {
    const kernel = values.slice(used, used + inputs * outputs);
    used += kernel.length;
    return kernel.map((value) => value / Math.sqrt(inputs));
  };
}
