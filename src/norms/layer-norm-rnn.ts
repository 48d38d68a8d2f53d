/**
 * The simple recurrent network with layer-normalized pre-activations.
 *
 *     h' = tanh(LN(x·W + h·U; gamma) + bias)
 *
 * Ba, Kiros & Hinton 2016, arXiv 1607.06450, equation 4. Axes: x is [batch, time, features]; LN runs over the units,
 * per example and step: variance biased, epsilon inside the root.
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
 * x [batch, time, features] to y [batch, time, units], or [batch, units] if `returnSequences` is false.
 * Weights: kernel [features, units], recurrentKernel [units, units], gamma and bias [units].
 * @throws TypeError without units; RangeError for options out of range and, when called, for an x without three axes
 */
export const layerNormRNN = normalization(
  {
    name: "layerNormRNN",
    title: "Layer-normalized simple RNN",
    summary: "a layer-normalized simple recurrent network; the smallest, for short sequences",
    paper: PAPER,
    takes: "sequence",
  },
  { returnSequences: true, ...recurrentDefaults },
  ({ returnSequences, ...options }: Settled<SequenceOptions, "units">) =>
    layerOf("layerNormRNN", simpleCell("layerNormRNN", options), returnSequences),
);

/**
 * One step of `layerNormRNN`, for streamed or generated sequences: x [batch, features] and h [batch, units] to h'. Where a mask
 * [batch] is 0, h' is h. Weights and errors as in `layerNormRNN`.
 */
export const layerNormRNNCell = normalization(
  {
    name: "layerNormRNNCell",
    title: "Cell of the layer-normalized simple RNN",
    summary: "one step of the layer-normalized simple RNN, for streamed or generated sequences",
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
