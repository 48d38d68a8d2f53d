/**
 * The LSTM with layer-normalized input and recurrent pre-activations, and cell.
 *
 *     (i, f, g, o) = LN(x·W; gamma₁, beta₁) + LN(h·U; gamma₂, beta₂) + b
 *     c' = sigmoid(f)·c + sigmoid(i)·tanh(g)        h' = sigmoid(o)·tanh(LN(c'; gamma₃, beta₃))
 *
 * Ba, Kiros & Hinton 2016, arXiv 1607.06450, supplementary equations. Axes: x is [batch, time, features]; each LN runs over the
 * 4·units pre-activations of all gates together (the cell's over its units), per example and step: variance biased, epsilon
 * inside the root. Gates in Keras's order i, f, c, o.
 */
import { checkEpsilon } from "../formula/checks.js";
import { normalization, trained } from "../formula/normalization.js";
import {
  type Cell,
  cellOf,
  checkUnits,
  kernelsFor,
  layerOf,
  lstmBias,
  lstmStep,
  type RecurrentOptions,
  recurrentDefaults,
  type SequenceOptions,
} from "../formula/sequences.js";
import type { Settled } from "../options.js";
import { layerNorm } from "./layer.js";

/** Options of `layerNormLSTMCell`. */
export interface LayerNormLSTMCellOptions extends RecurrentOptions {
  /** Whether the pre-activations have a bias b besides each LN's beta. Default true. */
  useBias?: boolean;
  /** Whether b is initialized to 1 for the forget gate (default, as in Keras) instead of 0. */
  unitForgetBias?: boolean;
  /**
   * The cell passed to the next step: c' (default, the paper), or LN(c') as in TensorFlow Addons' LayerNormLSTMCell, whose
   * epsilon is 1e-3.
   */
  carry?: "cell" | "normalized";
}

/** Options of `layerNormLSTM`. */
export interface LayerNormLSTMOptions extends LayerNormLSTMCellOptions, SequenceOptions {}

const cellDefaults = { ...recurrentDefaults, useBias: true, unitForgetBias: true, carry: "cell" } as const;

const PAPER = "Ba, Kiros & Hinton 2016, arXiv 1607.06450";

/**
 * x [batch, time, features] to y [batch, time, units], or [batch, units] if `returnSequences` is false.
 * Weights: kernel [features, 4·units], recurrentKernel [units, 4·units] and bias [4·units], a gamma and beta [4·units] for each
 * kernel, cellGamma and cellBeta [units].
 * @throws TypeError without units; RangeError for options out of range and, when called, for an x without three axes
 */
export const layerNormLSTM = normalization(
  {
    name: "layerNormLSTM",
    title: "Layer-normalized LSTM",
    summary: "an LSTM with layer-normalized gates and cell state; for sequences in small batches",
    paper: PAPER,
    takes: "sequence",
  },
  { returnSequences: true, ...cellDefaults },
  ({ returnSequences, ...options }: Settled<LayerNormLSTMOptions, "units">) =>
    layerOf("layerNormLSTM", lstmCell("layerNormLSTM", options), returnSequences),
);

/**
 * One step of `layerNormLSTM`, for streamed or generated sequences: x [batch, features], h and c [batch, units] to h', with c' as
 * `more[0]`. Where a mask [batch] is 0, both are unchanged. Weights and errors as in `layerNormLSTM`.
 */
export const layerNormLSTMCell = normalization(
  {
    name: "layerNormLSTMCell",
    title: "Cell of the layer-normalized LSTM",
    summary: "one step of the layer-normalized LSTM, for streamed or generated sequences",
    paper: PAPER,
    takes: "sequence",
  },
  cellDefaults,
  (options: Settled<LayerNormLSTMCellOptions, "units">) =>
    cellOf("layerNormLSTMCell", lstmCell("layerNormLSTMCell", options)),
);

function lstmCell(
  name: string,
  {
    units: length,
    epsilon,
    seed,
    useBias,
    unitForgetBias,
    carry,
  }: Settled<LayerNormLSTMCellOptions, "units">,
): Cell {
  const units = checkUnits(name, length, 2);
  checkEpsilon(name, epsilon);
  if (carry !== "cell" && carry !== "normalized") {
    throw new RangeError(`${name}: carry must be "cell" or "normalized", got "${carry}"`);
  }
  const kernels = kernelsFor(name, units, 4, seed);
  // one each, since a norm caches the plan of its last shape only
  const [ofInput, ofState, ofCell] = [0, 1, 2].map(() => layerNorm({ epsilon }));
  const sums = [4 * units];
  return {
    units,
    states: 2,
    weights: (features) => ({
      ...kernels(features),
      ...(useBias && { bias: lstmBias(units, unitForgetBias) }),
      kernelGamma: trained(sums, 1),
      kernelBeta: trained(sums, 0),
      recurrentGamma: trained(sums, 1),
      recurrentBeta: trained(sums, 0),
      cellGamma: trained([units], 1),
      cellBeta: trained([units], 0),
    }),
    project(ops, rows, { kernel, bias, kernelGamma: gamma, kernelBeta }) {
      const beta = bias === undefined ? kernelBeta : ops.add(kernelBeta, bias);
      return [ops.normalize(ofInput, ops.matMul(rows, kernel), { gamma, beta }).y];
    },
    step(ops, [input], [h, c], { recurrentKernel, cellGamma, cellBeta, ...weights }) {
      const { recurrentGamma: gamma, recurrentBeta: beta } = weights;
      const recurrent = ops.normalize(ofState, ops.matMul(h, recurrentKernel), { gamma, beta }).y;
      const next = lstmStep(
        ops,
        ops.add(input, recurrent),
        c,
        (cell) => ops.normalize(ofCell, cell, { gamma: cellGamma, beta: cellBeta }).y,
      );
      return [next.h, carry === "cell" ? next.cell : next.normalized];
    },
  };
}
