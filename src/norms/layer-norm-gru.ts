/**
 * The GRU with layer-normalized input and recurrent pre-activations.
 *
 *     (z, r) = LN(x·W_zr; gamma₁, beta₁) + LN(h·U_zr; gamma₂, beta₂)
 *     g = tanh(LN(x·W_g; gamma₃, beta₃) + sigmoid(r)·LN(h·U_g; gamma₄, beta₄))
 *     h' = sigmoid(z)·h + (1 − sigmoid(z))·g
 *
 * Ba, Kiros & Hinton 2016, arXiv 1607.06450, supplementary equations, in which z and 1 − z are swapped: here as in
 * the authors' code, Keras and PyTorch. The reset gate is applied after the product with U (Keras's `reset_after`). Axes: x is
 * [batch, time, features]; LN runs over the 2·units pre-activations of both gates together, and over those of the candidate,
 * per example and step: variance biased, epsilon inside the root. Order z, r, g, as in Keras.
 */
import { checkEpsilon } from "../formula/checks.js";
import { normalization, trained } from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import {
  type Cell,
  cellOf,
  checkUnits,
  columns,
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
 * Weights: kernel [features, 3·units], recurrentKernel [units, 3·units], and a gamma and beta [3·units] for each.
 * @throws TypeError without units; RangeError for options out of range and, when called, for an x without three axes
 */
export const layerNormGRU = normalization(
  {
    name: "layerNormGRU",
    title: "Layer-normalized GRU",
    summary: "a GRU with layer-normalized gates; lighter than the LSTM, for small batches",
    paper: PAPER,
    takes: "sequence",
  },
  { returnSequences: true, ...recurrentDefaults },
  ({ returnSequences, ...options }: Settled<SequenceOptions, "units">) =>
    layerOf("layerNormGRU", gruCell("layerNormGRU", options), returnSequences),
);

/**
 * One step of `layerNormGRU`, for streamed or generated sequences: x [batch, features] and h [batch, units] to h'. Where a mask
 * [batch] is 0, h' is h. Weights and errors as in `layerNormGRU`.
 */
export const layerNormGRUCell = normalization(
  {
    name: "layerNormGRUCell",
    title: "Cell of the layer-normalized GRU",
    summary: "one step of the layer-normalized GRU, for streamed or generated sequences",
    paper: PAPER,
    takes: "sequence",
  },
  recurrentDefaults,
  (options: Settled<RecurrentOptions, "units">) =>
    cellOf("layerNormGRUCell", gruCell("layerNormGRUCell", options)),
);

function gruCell(name: string, { units: length, epsilon, seed }: Settled<RecurrentOptions, "units">): Cell {
  const units = checkUnits(name, length, 2);
  checkEpsilon(name, epsilon);
  const kernels = kernelsFor(name, units, 3, seed);
  const sums = [3 * units];

  /** LN of products [rows, 3·units]: over the gates' columns together, and over the candidate's. */
  function normalizer() {
    const [ofGates, ofCandidate] = [0, 1].map(() => layerNorm({ epsilon }));
    return <T>(ops: Ops<T>, products: T, gamma: T, beta: T): T[] => {
      const normalized = (norm: typeof ofGates, from: number, to: number) =>
        ops.normalize(norm, ops.slice(products, 1, from, to), {
          gamma: ops.slice(gamma, 0, from, to),
          beta: ops.slice(beta, 0, from, to),
        }).y;
      return [normalized(ofGates, 0, 2 * units), normalized(ofCandidate, 2 * units, 3 * units)];
    };
  }
  const [inputs, states] = [normalizer(), normalizer()];

  return {
    units,
    states: 1,
    weights: (features) => ({
      ...kernels(features),
      kernelGamma: trained(sums, 1),
      kernelBeta: trained(sums, 0),
      recurrentGamma: trained(sums, 1),
      recurrentBeta: trained(sums, 0),
    }),
    project: (ops, rows, { kernel, kernelGamma, kernelBeta }) =>
      inputs(ops, ops.matMul(rows, kernel), kernelGamma, kernelBeta),
    step(ops, [gatesOfInput, candidateOfInput], [h], { recurrentKernel, recurrentGamma, recurrentBeta }) {
      const products = ops.matMul(h, recurrentKernel);
      const [gatesOfState, candidateOfState] = states(ops, products, recurrentGamma, recurrentBeta);
      const gates = ops.sigmoid(ops.add(gatesOfInput, gatesOfState));
      const [z, r] = [0, 1].map((gate) => columns(ops, gates, gate, units));
      const candidate = ops.tanh(ops.add(candidateOfInput, ops.mul(r, candidateOfState)));
      return [ops.add(candidate, ops.mul(z, ops.sub(h, candidate)))];
    },
  };
}
