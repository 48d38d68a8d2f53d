/** Activation normalization of flows: initialized by its first batch, and its inverse. */
import { actNorm, actNormInverse } from "../../../src/index.js";
import { average, groupsBy, positions, type Row } from "./row.js";

const last = (position: readonly number[]) => position[position.length - 1];
const second = ([, channel]: readonly number[]) => channel;

/** The logarithm of the determinant: a term for each value that counts. */
function logarithms(
  shape: readonly number[],
  term: (at: readonly number[]) => number,
  mask?: Float64Array,
): Float64Array {
  const sums = new Float64Array(shape[0]);
  positions(shape).forEach((at, i) => {
    if (mask?.[i] !== 0) sums[at[0]] += term(at);
  });
  return sums;
}

function act(
  channel: typeof last,
  {
    epsilon = 1e-6,
    unbiased = false,
    given = false,
  }: { epsilon?: number; unbiased?: boolean; given?: boolean } = {},
): Row["expected"] {
  return ([x], { logScale, beta, initialMean, initialDeviation, initialized }, { training, mask }) => {
    const state = {
      initialMean: initialMean.slice(),
      initialDeviation: initialDeviation.slice(),
      initialized: initialized.slice(),
    };
    for (const [name, indexes] of groupsBy(x.shape, channel, mask)) {
      const c = Number(name);
      if (!training || initialized[c] !== 0) continue;
      const values = indexes.map((i) => x.data[i]);
      const mean = average(values);
      const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
      state.initialMean[c] = mean;
      state.initialDeviation[c] = Math.sqrt(squares / (values.length - (unbiased ? 1 : 0))) + epsilon;
      state.initialized[c] = 1;
    }
    const y = Float64Array.from(positions(x.shape), (at, i) => {
      const c = channel(at);
      if (mask?.[i] === 0) return 0;
      const standard = (x.data[i] - state.initialMean[c]) / state.initialDeviation[c];
      return standard * Math.exp(logScale[c]) + beta[c];
    });
    const term = (at: readonly number[]) =>
      logScale[channel(at)] - Math.log(state.initialDeviation[channel(at)]);
    return {
      y,
      ...(given && { more: [logarithms(x.shape, term, mask)] }),
      ...(training && { state }),
    };
  };
}

/** Before any batch. */
const fresh: NonNullable<Row["weights"]> = (name, values) =>
  name === "initialized" ? values.fill(0) : values;

export const flows: Row[] = [
  { name: "once initialized", norm: actNorm(), shapes: [[3, 5, 4]], expected: act(last) },
  { norm: actNorm(), shapes: [[3, 5, 4]], weights: fresh, expected: act(last) },
  {
    name: "channels first, unbiased, with its determinant",
    norm: actNorm({ axis: 1, variance: "unbiased", epsilon: 0, logDeterminant: true }),
    shapes: [[3, 2, 3, 2]],
    mask: [3, 1, 3],
    weights: fresh,
    expected: act(second, { epsilon: 0, unbiased: true, given: true }),
  },
  {
    name: "of features, a part of the channels initialized, each masked for itself",
    norm: actNorm({ epsilon: 0.1, logDeterminant: true }),
    shapes: [[9, 3]],
    mask: [9, 3],
    weights: (name, values) => (name === "initialized" ? Float64Array.of(0, 1, 0) : values),
    expected: act(last, { epsilon: 0.1, given: true }),
  },
  {
    norm: actNormInverse({ logDeterminant: true }),
    shapes: [[3, 5, 4]],
    evaluates: false,
    expected([z], { logScale, beta, initialMean, initialDeviation }, { mask }) {
      const y = Float64Array.from(positions(z.shape), (at, i) => {
        const c = last(at);
        if (mask?.[i] === 0) return 0;
        return ((z.data[i] - beta[c]) / Math.exp(logScale[c])) * initialDeviation[c] + initialMean[c];
      });
      const term = (at: readonly number[]) => Math.log(initialDeviation[last(at)]) - logScale[last(at)];
      return { y, more: [logarithms(z.shape, term, mask)] };
    },
  },
  {
    name: "channels first",
    norm: actNormInverse({ axis: 1 }),
    shapes: [[2, 3, 4]],
    mask: [2, 1, 4],
    evaluates: false,
    expected: ([z], { logScale, beta, initialMean, initialDeviation }, { mask }) => ({
      y: Float64Array.from(positions(z.shape), (at, i) => {
        const c = at[1];
        if (mask?.[i] === 0) return 0;
        return ((z.data[i] - beta[c]) / Math.exp(logScale[c])) * initialDeviation[c] + initialMean[c];
      }),
    }),
  },
];
