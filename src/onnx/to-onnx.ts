/**
 * Normalizations as ONNX models: by ONNX's operator where it has one that means the same, else by their formula, in operators that any
 * runtime has. Where lengths are left open, the formula is run at several, and what is written is what holds for all.
 */
import type { Normalization } from "../formula/normalization.js";
import { checkNormalization } from "../formula/run.js";
import { checkOptions } from "../options.js";
import { checkLengths, checkNumbers, described, isNumbers, sizeOf } from "../shape.js";
import { FIRST, LAST, ModelWriter } from "./model-writer.js";
import { type Given, type Input, Runs } from "./open-lengths.js";

/** A length of an input: a number; or a text, the name of one that is left open. undefined and −1 are open without a name. */
export type OpenLength = number | string | undefined;

/** A weight: its values, row-major, with or without their shape. */
export type OnnxWeight =
  | ArrayLike<number>
  | { readonly shape: readonly number[]; readonly data: ArrayLike<number> };

/** Options of `toOnnx`. */
export interface ToOnnxOptions {
  /** Version of ONNX's operators, 17 (default) to 23; RMSNormalization is one from 23 on. */
  opset?: number;
  /** Type of inputs and outputs. Statistics, and all else within, are float32. Default float32. */
  type?: "float32" | "float16";
  /**
   * `operator` (default): by ONNX's operator where there is one, as fast as the runtime has it, and as exact: runtimes may cancel where
   * a mean is far above the spread. `formula`: always by the library's own formula, which holds for any values of float32.
   */
  written?: "operator" | "formula";
  /**
   * Whether group normalization is GroupNormalization from opset 21 on. Default false: it is InstanceNormalization, since the other is
   * defined by E[x²] − E[x]², which cancels (in onnxruntime 1.30 by 2e-4 in groups of two values; NaN at a mean of 10⁴ deviations).
   */
  groupNormalization?: boolean;
}

/** Inputs beside x, as their pages call them. */
const INPUTS: Readonly<Record<string, readonly string[]>> = {
  adaptiveInstanceNorm: ["style"],
  adaptiveLayerNorm: ["condition"],
  conditionalBatchNorm: ["condition"],
  featureWiseLinearModulation: ["condition"],
  spatiallyAdaptiveNorm: ["gamma", "beta"],
  gatedRMSNorm: ["z"],
  normalizedAttention: ["context"],
  weightDemodulation: ["style"],
  reversibleInstanceDenorm: ["mean", "std"],
  layerNormLSTMCell: ["h", "c"],
  layerNormGRUCell: ["h"],
  layerNormRNNCell: ["h"],
};

/**
 * A normalization with its weights as an ONNX model, in evaluation: what is stored, such as running statistics, is constants.
 *
 * Inputs are `x` and those that the norm takes beside it, by the names of its page (`condition`, `style`, `z`, `gamma` and `beta`,
 * `context`, `h` and `c`), outputs `y` and further ones likewise (`mean` and `std`, `median`, `gate`, `factor`, `logDeterminant`,
 * `nextC`), all of one type.
 * @param shape lengths of x; or a list of shapes, x first. Lengths that are open must be of one name where the norm needs them equal
 * @param weights by name: values, or `{ shape, data }`; those left out are as they are initialized
 * @returns the file's bytes
 * @throws TypeError for what is not a normalization, a shape or a weight, or an unknown option; RangeError for a shape or weight that
 * does not fit, for an opset out of range, and for an open length that the formula needs
 *
 *     const bytes = toOnnx(layerNorm(), ["batch", 768], { gamma, beta });
 *     const session = await InferenceSession.create(bytes);
 */
export function toOnnx(
  norm: Normalization,
  shape: readonly OpenLength[] | readonly (readonly OpenLength[])[],
  weights: Readonly<Record<string, OnnxWeight | undefined>> = {},
  options: ToOnnxOptions = {},
): Uint8Array {
  checkNormalization(norm, "toOnnx");
  const settled = settle(options);
  const inputs = inputsOf(norm, shape);
  const given = givenWeights(weights);
  return new ModelWriter(new Runs(norm, inputs, given, settled), settled).bytes();
}

type Settled = Required<ToOnnxOptions>;

function settle(options: ToOnnxOptions): Settled {
  checkOptions("toOnnx", options, ["opset", "type", "written", "groupNormalization"]);
  const { opset = FIRST, type = "float32", written = "operator", groupNormalization = false } = options;
  if (typeof opset !== "number") {
    throw new TypeError(`toOnnx: opset must be a number, got ${described(opset)}; leave it out for ${FIRST}`);
  }
  if (!Number.isInteger(opset) || opset < FIRST || opset > LAST) {
    throw new RangeError(
      `toOnnx: opset must be an integer from ${FIRST} to ${LAST}, got ${opset}; runtimes read older ones than their own`,
    );
  }
  if (type !== "float32" && type !== "float16") {
    throw new RangeError(`toOnnx: type must be "float32" or "float16", got ${described(type)}`);
  }
  if (written !== "operator" && written !== "formula") {
    throw new RangeError(`toOnnx: written must be "operator" or "formula", got ${described(written)}`);
  }
  if (typeof groupNormalization !== "boolean") {
    throw new TypeError(
      `toOnnx: groupNormalization must be true or false, got ${described(groupNormalization)}; leave it out for false`,
    );
  }
  return { opset, type, written, groupNormalization };
}

/** @throws TypeError for what is no shape, RangeError for lengths that are none */
function inputsOf(
  { name: norm }: Normalization,
  shape: readonly OpenLength[] | readonly (readonly OpenLength[])[],
): Input[] {
  if (!Array.isArray(shape)) {
    throw new TypeError(
      `toOnnx: shape must be a list of lengths such as ["batch", 768], or a list of such lists, got ${described(shape)}`,
    );
  }
  const shapes = (Array.isArray(shape[0]) ? shape : [shape]) as readonly (readonly OpenLength[])[];
  return shapes.map((lengths, i) => {
    const name = i === 0 ? "x" : (INPUTS[norm]?.[i - 1] ?? `input${i}`);
    if (!Array.isArray(lengths)) {
      throw new TypeError(
        `toOnnx: shape must be a list of lengths for each input, got ${described(lengths)} for ${name}`,
      );
    }
    const open = Array.from(lengths, (length, axis) => {
      if (length !== undefined && length !== -1 && length !== "") return length;
      return axis === 0 ? "batch" : `${name}_${axis}`;
    });
    checkLengths(
      "toOnnx",
      i === 0 ? "shape" : `shape of ${name}`,
      open.map((length) => (typeof length === "string" ? 1 : length)),
    );
    if (open.includes(0)) {
      throw new RangeError(
        `toOnnx: shape must have lengths of at least 1, got [${open.join(", ")}] for ${name}; an empty array has nothing to normalize`,
      );
    }
    return { name, shape: open as (number | string)[] };
  });
}

/** @throws TypeError for what are no values */
function givenWeights(weights: Readonly<Record<string, OnnxWeight | undefined>>): Given {
  if (typeof weights !== "object" || weights === null || isNumbers(weights)) {
    throw new TypeError(
      `toOnnx: weights must be an object, arrays by name, got ${described(weights)}; leave it out for initial values`,
    );
  }
  const entries = Object.entries(weights).flatMap(([name, weight]) => {
    if (weight === undefined) return [];
    const isShaped = typeof weight === "object" && weight !== null && !isNumbers(weight) && "data" in weight;
    const { shape, data } = isShaped ? weight : { shape: undefined, data: weight };
    checkNumbers("toOnnx", `weights.${name}`, data);
    if (shape !== undefined) checkLengths("toOnnx", `the shape of weights.${name}`, shape);
    if (shape !== undefined && sizeOf(shape) !== data.length) {
      throw new RangeError(
        `toOnnx: weights.${name} of shape [${shape.join(", ")}] must have ${sizeOf(shape)} values, got ${data.length}`,
      );
    }
    return [[name, { shape, data }] as const];
  });
  return Object.fromEntries(entries);
}
