/** What every host is asked to do: open the package, normalize a large array, and say how that went. */
import { layerNorm, open } from "evenkeel";

const ROWS = 1000;
const FEATURES = 300;
const EPSILON = 1e-5;

/** How far off y and dx are at most, against a loop in float64. */
function error(x, dy, y, dx) {
  let worst = 0;
  for (let row = 0; row < ROWS; row++) {
    const of = (array) => Array.from(array.subarray(row * FEATURES, (row + 1) * FEATURES));
    const average = (values) => values.reduce((sum, value) => sum + value, 0) / FEATURES;
    const [xs, dys] = [of(x), of(dy)];
    const mean = average(xs);
    const rstd = 1 / Math.sqrt(average(xs.map((value) => (value - mean) ** 2)) + EPSILON);
    const xHat = xs.map((value) => (value - mean) * rstd);
    const [meanDy, meanDyXHat] = [average(dys), average(dys.map((value, i) => value * xHat[i]))];
    xHat.forEach((value, i) => {
      const at = row * FEATURES + i;
      const gradient = rstd * (dys[i] - meanDy - value * meanDyXHat);
      // NaN counts as infinitely far
      for (const off of [Math.abs(y[at] - value), Math.abs(dx[at] - gradient)]) {
        if (!(off <= worst)) worst = Number.isNaN(off) ? Infinity : off;
      }
    });
  }
  return worst;
}

/**
 * With `threads`, calls are repeated until so many share them, at most `calls` times: helpers start while the host's event
 * loop turns. The first and the last call are checked.
 */
export async function check({ threads, calls = 1000 } = {}) {
  const warnings = [];
  const { warn } = console;
  console.warn = (...words) => warnings.push(words.join(" "));
  const ek = await open(threads === undefined ? {} : { threads });
  console.warn = warn;
  const values = (f) => Float32Array.from({ length: ROWS * FEATURES }, (_, i) => f(i * i));
  const [x, dy] = [values(Math.sin), values(Math.cos)];
  const shape = [ROWS, FEATURES];
  const call = () => {
    const { y, saved } = ek.forward(layerNorm({ epsilon: EPSILON }), { shape, data: x });
    const { dx } = ek.backward(saved, { shape, data: dy });
    return error(x, dy, y.data, dx.data);
  };
  const first = call();
  for (let i = 0; i < calls && ek.threads < threads; i++) {
    await new Promise((next) => setTimeout(next, 10));
    ek.forward(layerNorm(), { shape, data: x });
  }
  const report = { backend: ek.backend, threads: ek.threads, error: Math.max(first, call()), warnings };
  ek.close();
  return report;
}
