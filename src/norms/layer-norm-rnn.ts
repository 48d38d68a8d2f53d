/**
 * The simple recurrent network with layer normalization of what it sums.
 *
 *     h' = tanh(LN(x·W + h·U; gamma) + bias)
 *
 * Ba, Kiros & Hinton 2016, arXiv 1607.06450, equation 4. Axes: x is [batch, time, features]; LN runs over the units of one
 * example at one step: variance biased, epsilon inside the root.
 */
import { checkEpsilon } from "../formula/checks.js";
import { normalization, trained } from "../formula/normalization.js";
import {
  type Cell,
  cellOf,
  checkUnits,
  kernelsFor,
  layerOf,
  type RecurrentOptions,
  recurrentDefaults,
  type SequenceOptions,
} from "../formula/sequences.js";
import type { Settled } from "../options.js";
import { layerNorm } from "./layer.js";

const PAPER = "Ba, Kiros & Hinton 2016, arXiv 1607.06450";

/**
 * x [batch, time, features] to y [batch, time, units], or [batch, units] where `returnSequences` is false.
 * Throws TypeError without units, RangeError for options out of range, and for an x that is not of three axes.
 */
export const layerNormRNN = normalization(
  {
    name: "layerNormRNN",
    title: "Layer-normalized simple RNN",
    summary: "a simple recurrent network that is layer-normalized; the smallest, for short sequences",
    paper: PAPER,
    takes: "sequence",
  },
  { returnSequences: true, ...recurrentDefaults },
  ({ returnSequences, ...options }: Settled<SequenceOptions, "units">) =>
    layerOf("layerNormRNN", simpleCell("layerNormRNN", options), returnSequences),
);

/**
 * One step of it, for sequences that come as they are made: x [batch, features] and h [batch, units] to h'. Where a mask [batch]
 * is 0 it stays as it was.
 */
export const layerNormRNNCell = normalization(
  {
    name: "layerNormRNNCell",
    title: "Cell of the layer-normalized simple RNN",
    summary: "one step of the layer-normalized simple RNN, for sequences that come as they are made",
    paper: PAPER,
    takes: "sequence",
  },
  recurrentDefaults,
  (options: Settled<RecurrentOptions, "units">) =>
    cellOf("layerNormRNNCell", simpleCell("layerNormRNNCell", options)),
);

function simpleCell(
  name: string,
  { units: length, epsilon, seed }: Settled<RecurrentOptions, "units">,
): Cell {
  const units = checkUnits(name, length, 2);
  checkEpsilon(name, epsilon);
  const kernels = kernelsFor(name, units, 1, seed);
  const norm = layerNorm({ epsilon });
  return {
    units,
    states: 1,
    weights: (features) => ({
      ...kernels(features),
      gamma: trained([units], 1),
      bias: trained([units], 0),
    }),
    project: (ops, rows, { kernel }) => [ops.matMul(rows, kernel)],
    step(ops, [ofInput], [h], { recurrentKernel, gamma, bias }) {
      const sum = ops.add(ofInput, ops.matMul(h, recurrentKernel));
      return [ops.tanh(ops.normalize(norm, sum, { gamma, beta: bias }).y)];
    },
  };
}
