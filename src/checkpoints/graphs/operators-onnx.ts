/**
 * What ONNX's operators mean, of opset 7 and later (https://onnx.ai/onnx/operators), and those that ONNX Runtime adds
 * (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).
 */
import type { Operand } from "../../formula/ops.js";
import { mean, square } from "../../formula/terms.js";
import { sizeOf } from "../../shape.js";
import {
  axesFrom,
  binary,
  clamped,
  cut,
  elu,
  folded,
  gelu,
  type Meaning,
  negative,
  type Operands,
  perChannel,
  picked,
  power,
  product,
  type Reduction,
  reduced,
  reductions,
  reshaped,
  scaled,
  softmax,
  split,
  splitEvenly,
  squeezed,
  standardized,
  swish,
  tiled,
  turned,
  unary,
  unknown,
  unsqueezed,
} from "./operators.js";

/** @param first the opset in which axes became an input */
function reduction(kind: Reduction, first = 18): Meaning {
  return (operands) => {
    const { ops, node } = operands;
    const x = operands.at(0);
    if (kind === "mean" || kind === "l2") operands.reals(0);
    const rank = operands.shape().length;
    const axes = node.opset < first ? operands.list("axes") : operands.knownIfGiven(1);
    const keeps = operands.flag("keepdims", true);
    if (axes?.length) return [reduced(ops, kind, x, operands.axes(axes), keeps)];
    if (!operands.flag("noop_with_empty_axes", false)) {
      return [reduced(ops, kind, x, axesFrom(0, rank), keeps)];
    }
    // of the others, versions differ
    return /^(sum|mean|max|min)$/.test(kind) ? [x] : unknown();
  };
}

/** Over all axes behind the channels. */
function pooled(kind: Reduction): Meaning {
  return (operands) => {
    const rank = operands.shape().length;
    return rank < 3 ? unknown() : [reductions[kind](operands.ops, operands.at(0), axesFrom(2, rank))];
  };
}

/** A setting that is an input from an opset on, before it an attribute. */
function listed<T>(operands: Operands<T>, name: string, input: number, first: number) {
  return operands.node.opset < first ? operands.list(name) : operands.knownIfGiven(input);
}

/** A statistic of the kept axes, which are these first ones, as it broadcasts to x. */
function spread<T>(operands: Operands<T>, statistic: T | undefined, kept: number): T {
  const shape = operands.shape();
  if (statistic === undefined) return unknown();
  return operands.ops.reshape(
    statistic,
    shape.map((length, axis) => (axis < kept ? length : 1)),
  );
}

/** x standardized over its axes from one on, gamma and beta; and the mean and 1/σ that it was standardized by. */
function layerNorm<T>(
  operands: Operands<T>,
  x: T,
  how: { readonly axis: number; readonly epsilon: number; readonly centered: boolean },
  gamma?: T,
  beta?: T,
): { y: T; mean?: T; rstd: T } {
  const { ops } = operands;
  const kept = axesFrom(0, how.axis);
  const result = standardized(ops, x, { ...how, kept });
  const variance = spread(operands, result.variance, how.axis);
  return {
    y: scaled(ops, result.y, gamma, beta),
    mean: how.centered ? spread(operands, result.mean, how.axis) : undefined,
    rstd: ops.div(1, ops.sqrt(ops.add(variance, how.epsilon))),
  };
}

/** x [batch, channels, ...] standardized within groups of channels. */
function grouped<T>(operands: Operands<T>, groups: number, affine: (y: T) => T): T {
  const { ops } = operands;
  const shape = operands.shape();
  if (shape.length < 2 || groups < 1 || shape[1] % groups !== 0) unknown();
  const viewed = [shape[0], groups, shape[1] / groups, ...shape.slice(2)];
  const epsilon = operands.number("epsilon", 1e-5);
  const { y } = standardized(ops, operands.at(0), { epsilon, centered: true, kept: [0, 1], viewed });
  return affine(y);
}

/** Of x + skip + bias: the residual connection before, as ONNX Runtime has it. */
function skipped(centered: boolean): Meaning {
  return (operands) => {
    const { ops } = operands;
    const [x, skip, gamma] = [operands.at(0), operands.at(1), operands.at(2)];
    const beta = centered ? operands.optional(3) : undefined;
    const bias = operands.optional(centered ? 4 : 3);
    const both = ops.add(x, skip);
    const sum = bias === undefined ? both : ops.add(both, bias);
    const axis = operands.axis(-1);
    const how = { axis, epsilon: operands.number("epsilon", 1e-12), centered };
    const { y, mean, rstd } = layerNorm(operands, sum, how, gamma, beta);
    // the mean, which the simplified one has not, still has its place
    return [y, mean ?? rstd, rstd, sum];
  };
}

function simplified<T>(operands: Operands<T>): readonly T[] {
  const how = {
    axis: operands.axis(operands.number("axis", -1)),
    epsilon: operands.number("epsilon", 1e-5),
    centered: false,
  };
  const { y, rstd } = layerNorm(operands, operands.at(0), how, operands.at(1));
  return [y, rstd];
}

function batchNorm<T>(operands: Operands<T>): readonly T[] {
  const { ops, node } = operands;
  const [x, gamma, beta, runningMean, runningVariance] = [0, 1, 2, 3, 4].map((input) => operands.at(input));
  const rank = operands.shape().length;
  if (rank < 2 || (node.opset < 9 && !operands.flag("spatial", true))) unknown();
  const how = { epsilon: operands.number("epsilon", 1e-5), centered: true, kept: [1] };
  const affine = (y: T) => scaled(ops, y, perChannel(ops, gamma, 1, rank), perChannel(ops, beta, 1, rank));
  // before opset 14, training is told by its outputs
  if (node.opset < 14 && node.outputs.slice(1).some((output) => output !== "")) unknown();
  if (node.opset < 14 || !operands.flag("training_mode", false)) {
    const { y } = standardized(ops, x, { ...how, mean: runningMean, variance: runningVariance });
    return [affine(y)];
  }
  const { y, mean: measured, variance } = standardized(ops, x, how);
  const momentum = operands.number("momentum", 0.9);
  const followed = (running: T, now: T | undefined) =>
    ops.add(ops.mul(running, momentum), ops.mul(now ?? unknown(), 1 - momentum));
  return [affine(y), followed(runningMean, measured), followed(runningVariance, variance)];
}

function slice<T>(operands: Operands<T>): readonly T[] {
  const { node } = operands;
  const early = node.opset < 10;
  const starts = (early ? operands.list("starts") : operands.known(1)) ?? unknown();
  const ends = (early ? operands.list("ends") : operands.known(2)) ?? unknown();
  const axes = (early ? operands.list("axes") : operands.knownIfGiven(3)) ?? [...starts.keys()];
  const steps = (early ? undefined : operands.knownIfGiven(4)) ?? axes.map(() => 1);
  return [
    axes.reduce(
      (x, axis, i) => cut(operands, x, operands.axis(axis), starts[i], ends[i], steps[i]),
      operands.at(0),
    ),
  ];
}

function splitUp<T>(operands: Operands<T>): readonly T[] {
  const { ops, node } = operands;
  const axis = operands.axis(operands.number("axis", 0));
  const lengths = listed(operands, "split", 1, 13);
  if (lengths) return split(ops, operands.at(0), axis, lengths);
  const count = operands.number("num_outputs", node.outputs.length);
  return splitEvenly(ops, operands.at(0), axis, count);
}

function gather<T>(operands: Operands<T>): readonly T[] {
  const { ops } = operands;
  const shape = operands.shape();
  const axis = operands.axis(operands.number("axis", 0));
  const length = shape[axis];
  const wanted = operands.known(1).map((place) => (place < 0 ? place + length : place));
  const rows = picked(ops, operands.at(0), axis, wanted);
  return [ops.reshape(rows, [...shape.slice(0, axis), ...operands.shape(1), ...shape.slice(axis + 1)])];
}

function multiplied<T>(operands: Operands<T>, transA: string, transB: string): T {
  const { ops } = operands;
  const [a, b] = [operands.at(0), operands.at(1)];
  const alpha = operands.number("alpha", 1);
  const all = product(
    operands,
    operands.flag(transA, false) ? turned(ops, a) : a,
    operands.flag(transB, false) ? turned(ops, b) : b,
  );
  return alpha === 1 ? all : ops.mul(all, alpha);
}

function gemm<T>(operands: Operands<T>): readonly T[] {
  const { ops } = operands;
  const c = operands.optional(2);
  const all = multiplied(operands, "transA", "transB");
  const beta = operands.number("beta", 1);
  if (c === undefined || beta === 0) return [all];
  return [ops.add(all, beta === 1 ? c : ops.mul(c, beta))];
}

function softmaxOf<T>(operands: Operands<T>): readonly T[] {
  const { ops, node } = operands;
  const x = operands.at(0);
  const shape = operands.shape();
  if (node.opset >= 13) return [softmax(ops, x, operands.axis(operands.number("axis", -1)))];
  // all axes from this one on are one
  const named = operands.number("axis", 1);
  const axis = named === shape.length ? named : operands.axis(named);
  const rows = ops.reshape(x, [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis))]);
  return [ops.reshape(softmax(ops, rows, 1), shape)];
}

function expand<T>(operands: Operands<T>): readonly T[] {
  const shape = operands.shape();
  const wanted = operands.known(1);
  const rank = Math.max(shape.length, wanted.length);
  const full = Array.from({ length: rank }, (_, axis) => {
    const own = shape[axis - rank + shape.length] ?? 1;
    const other = wanted[axis - rank + wanted.length] ?? 1;
    return other === 1 ? own : other;
  });
  return [operands.expanded(operands.at(0), full)];
}

/** Blocks of channels become places, or places channels. */
function blocks(toSpace: boolean): Meaning {
  return (operands) => {
    const { ops } = operands;
    const x = operands.at(0);
    const size = operands.number("blocksize", 0);
    const [n, c, h, w] = operands.shape();
    if (operands.shape().length !== 4 || size < 1) unknown();
    if (!toSpace) {
      const apart = ops.reshape(x, [n, c, h / size, size, w / size, size]);
      return [ops.reshape(ops.transpose(apart, [0, 3, 5, 1, 2, 4]), [n, c * size ** 2, h / size, w / size])];
    }
    const depth = c / size ** 2;
    const columns = operands.text("mode", "DCR") === "CRD";
    const apart = ops.reshape(x, columns ? [n, depth, size, size, h, w] : [n, size, size, depth, h, w]);
    const order = columns ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2];
    return [ops.reshape(ops.transpose(apart, order), [n, depth, h * size, w * size])];
  };
}

function dequantized<T>(operands: Operands<T>): readonly T[] {
  const { ops } = operands;
  if (operands.number("block_size", 0) !== 0) unknown();
  const rank = operands.shape().length;
  // one for all, or one for each place along an axis
  const spread = (input: number) =>
    operands.shape(input).length === 0
      ? operands.at(input)
      : perChannel(ops, operands.at(input), operands.axis(operands.number("axis", 1)), rank);
  const x = operands.at(0);
  return [ops.mul(operands.has(2) ? ops.sub(x, spread(2)) : x, spread(1))];
}

function clip<T>(operands: Operands<T>): readonly T[] {
  const { ops, node } = operands;
  const early = node.opset < 11;
  const bound = (name: string, input: number): Operand<T> | undefined => {
    if (!early) return operands.optional(input);
    return operands.hasAttribute(name) ? operands.number(name, 0) : undefined;
  };
  const [least, most] = [bound("min", 1), bound("max", 2)];
  const above = least === undefined ? operands.at(0) : ops.max(operands.at(0), least);
  return [most === undefined ? above : ops.min(above, most)];
}

const gaussian: Meaning = (operands) => {
  const approximate = operands.text("approximate", "none");
  if (approximate !== "none" && approximate !== "tanh") unknown();
  return [gelu(operands.ops, operands.at(0), approximate === "tanh")];
};

/** ONNX's own. */
export const onnx: Readonly<Record<string, Meaning>> = {
  Add: binary((ops, a, b) => ops.add(a, b)),
  Sub: binary((ops, a, b) => ops.sub(a, b)),
  Mul: binary((ops, a, b) => ops.mul(a, b)),
  Div: binary((ops, a, b, operands) => {
    operands.reals(0, 1);
    return ops.div(a, b);
  }),
  Pow: power,
  Max: folded((ops, a, b) => ops.max(a, b)),
  Min: folded((ops, a, b) => ops.min(a, b)),
  Sum: folded((ops, a, b) => ops.add(a, b)),
  Mean: (operands) => {
    const { ops, count } = operands;
    return [
      ops.div(
        operands.all().reduce((a, b) => ops.add(a, b)),
        count,
      ),
    ];
  },
  Greater: binary((ops, a, b) => ops.greater(a, b)),
  Less: binary((ops, a, b) => ops.greater(b, a)),
  Where: (operands) => [operands.ops.where(operands.at(0), operands.at(1), operands.at(2))],
  Clip: clip,
  Neg: unary(negative),
  Abs: unary((ops, x) => ops.abs(x)),
  Sqrt: unary((ops, x) => ops.sqrt(x)),
  Reciprocal: unary((ops, x) => ops.div(1, x)),
  Exp: unary((ops, x) => ops.exp(x)),
  Erf: unary((ops, x) => ops.erf(x)),
  Tanh: unary((ops, x) => ops.tanh(x)),
  Sigmoid: unary((ops, x) => ops.sigmoid(x)),
  Sign: unary((ops, x) => ops.sub(ops.greater(x, 0), ops.greater(0, x))),
  Softsign: unary((ops, x) => ops.div(x, ops.add(ops.abs(x), 1))),
  Relu: unary((ops, x) => ops.max(x, 0)),
  LeakyRelu: unary((ops, x, operands) =>
    ops.add(ops.max(x, 0), ops.mul(ops.min(x, 0), operands.number("alpha", 0.01))),
  ),
  PRelu: binary((ops, x, slope) => ops.add(ops.max(x, 0), ops.mul(ops.min(x, 0), slope))),
  Elu: unary((ops, x, operands) => elu(ops, x, operands.number("alpha", 1))),
  Selu: unary((ops, x, operands) =>
    elu(ops, x, operands.number("alpha", 1.6732632423543772), operands.number("gamma", 1.0507009873554805)),
  ),
  Celu: unary((ops, x, operands) => {
    const alpha = operands.number("alpha", 1);
    return elu(ops, x, alpha, 1, 1 / alpha);
  }),
  HardSigmoid: unary((ops, x, operands) =>
    clamped(ops, ops.add(ops.mul(x, operands.number("alpha", 0.2)), operands.number("beta", 0.5)), 1),
  ),
  HardSwish: unary((ops, x) => ops.mul(x, clamped(ops, ops.add(ops.mul(x, 1 / 6), 0.5), 1))),
  Swish: unary((ops, x, operands) => swish(ops, x, operands.number("alpha", 1))),
  Gelu: gaussian,
  Softmax: softmaxOf,
  Identity: unary((_, x) => x),
  Cast: (operands) => [operands.cast(operands.at(0), operands.text("to", ""))],
  CastLike: (operands) => [operands.cast(operands.at(0), operands.dtype(1) ?? unknown())],
  DequantizeLinear: dequantized,
  Dropout: (operands) => {
    if (operands.has(2) && operands.scalar(2) !== 0) unknown();
    return [operands.at(0)];
  },
  ReduceSum: reduction("sum", 13),
  ReduceMean: reduction("mean"),
  ReduceMax: reduction("max"),
  ReduceMin: reduction("min"),
  ReduceL1: reduction("l1"),
  ReduceL2: reduction("l2"),
  ReduceSumSquare: reduction("sumOfSquares"),
  GlobalAveragePool: pooled("mean"),
  GlobalMaxPool: pooled("max"),
  Shape: (operands) => {
    const shape = operands.shape();
    const wanted = shape.slice(operands.number("start", 0), operands.number("end", shape.length));
    return [operands.ops.constant(wanted, [wanted.length])];
  },
  Size: (operands) => [operands.ops.constant([sizeOf(operands.shape())], [])],
  Reshape: (operands) => [
    reshaped(operands.ops, operands.at(0), operands.known(1), !operands.flag("allowzero", false)),
  ],
  Flatten: (operands) => {
    const shape = operands.shape();
    const axis = operands.number("axis", 1);
    const first = axis === shape.length ? axis : operands.axis(axis);
    const [rows, columns] = [shape.slice(0, first), shape.slice(first)].map(sizeOf);
    return [operands.ops.reshape(operands.at(0), [rows, columns])];
  },
  Squeeze: (operands) => {
    const shape = operands.shape();
    const axes = listed(operands, "axes", 1, 13);
    const ones = () => [...shape.keys()].filter((axis) => shape[axis] === 1);
    return [squeezed(operands.ops, operands.at(0), axes ? operands.axes(axes) : ones())];
  },
  Unsqueeze: (operands) => {
    const axes = listed(operands, "axes", 1, 13) ?? unknown();
    const rank = operands.shape().length + axes.length;
    return [unsqueezed(operands.ops, operands.at(0), operands.axes(axes, rank))];
  },
  Transpose: (operands) => {
    const axes = [...operands.shape().keys()];
    const order = operands.list("perm") ?? axes.toReversed();
    if (operands.axes(order).length !== axes.length) unknown();
    return [operands.ops.transpose(operands.at(0), order)];
  },
  Expand: expand,
  Tile: (operands) => [tiled(operands, operands.at(0), operands.known(1))],
  Slice: slice,
  Split: splitUp,
  Concat: (operands) => {
    const axis = operands.axis(operands.number("axis", 0));
    return [operands.ops.concat(operands.all(), axis)];
  },
  Gather: gather,
  DepthToSpace: blocks(true),
  SpaceToDepth: blocks(false),
  MatMul: (operands) => [product(operands, operands.at(0), operands.at(1))],
  Gemm: gemm,
  BatchNormalization: batchNorm,
  InstanceNormalization: (operands) => {
    const { ops } = operands;
    const rank = operands.shape().length;
    const [gamma, beta] = [1, 2].map((input) => perChannel(ops, operands.at(input), 1, rank));
    return [grouped(operands, operands.shape()[1], (y) => scaled(ops, y, gamma, beta))];
  },
  GroupNormalization: (operands) => {
    const { ops, node } = operands;
    const shape = operands.shape();
    const groups = operands.number("num_groups", 0);
    if (node.opset < 18) unknown();
    // in 18 a factor for each group, from 21 for each channel
    const perGroup = node.opset < 21;
    const rows = [shape[0], groups, sizeOf(shape.slice(1)) / groups];
    const [gamma, beta] = [1, 2].map((input) =>
      perChannel(ops, operands.at(input), 1, perGroup ? 3 : shape.length),
    );
    return [
      grouped(operands, groups, (y) => {
        if (!perGroup) return scaled(ops, y, gamma, beta);
        return ops.reshape(scaled(ops, ops.reshape(y, rows), gamma, beta), shape);
      }),
    ];
  },
  LayerNormalization: (operands) => {
    const how = {
      axis: operands.axis(operands.number("axis", -1)),
      epsilon: operands.number("epsilon", 1e-5),
      centered: true,
    };
    const [x, gamma, beta] = [operands.at(0), operands.at(1), operands.optional(2)];
    const { y, mean, rstd } = layerNorm(operands, x, how, gamma, beta);
    return [y, mean ?? unknown(), rstd];
  },
  RMSNormalization: (operands) => simplified(operands).slice(0, 1),
  SimplifiedLayerNormalization: simplified,
  LpNormalization: (operands) => {
    const { ops } = operands;
    const x = operands.at(0);
    const axes = [operands.axis(operands.number("axis", -1))];
    const p = operands.number("p", 2);
    if (p !== 1 && p !== 2) unknown();
    return [ops.div(x, reductions[p === 1 ? "l1" : "l2"](ops, x, axes))];
  },
  MeanVarianceNormalization: (operands) => {
    const { ops } = operands;
    const x = operands.at(0);
    const axes = operands.axes(operands.list("axes") ?? [0, 2, 3]);
    const distance = ops.sub(x, mean(ops, x, axes));
    const deviation = ops.sqrt(mean(ops, square(ops, distance), axes));
    return [ops.div(distance, ops.add(deviation, 1e-9))];
  },
};

/** ONNX Runtime's, "com.microsoft". */
export const microsoft: Readonly<Record<string, Meaning>> = {
  SkipLayerNormalization: skipped(true),
  SkipSimplifiedLayerNormalization: skipped(false),
  Gelu: unary((ops, x) => gelu(ops, x, false)),
  QuickGelu: unary((ops, x, operands) => swish(ops, x, operands.number("alpha", 1.702))),
  BiasGelu: binary((ops, x, bias) => gelu(ops, ops.add(x, bias), false)),
  FastGelu: unary((ops, x, operands) => {
    const bias = operands.optional(1);
    return gelu(ops, bias === undefined ? x : ops.add(x, bias), true);
  }),
  FusedMatMul: (operands) => {
    if (operands.flag("transBatchA", false) || operands.flag("transBatchB", false)) unknown();
    return [multiplied(operands, "transA", "transB")];
  },
  GroupNorm: (operands) => {
    const { ops } = operands;
    const shape = operands.shape();
    const rank = shape.length;
    const groups = operands.number("groups", 0);
    if (rank < 3) unknown();
    const last = operands.flag("channels_last", true);
    const axis = last ? rank - 1 : 1;
    const each = shape[axis] / groups;
    if (!Number.isInteger(each)) unknown();
    const viewed = [...shape.slice(0, axis), groups, each, ...shape.slice(axis + 1)];
    const how = { epsilon: operands.number("epsilon", 1e-5), centered: true, kept: [0, axis], viewed };
    const { y } = standardized(ops, operands.at(0), how);
    const [gamma, beta] = [1, 2].map((input) => perChannel(ops, operands.at(input), axis, rank));
    const all = scaled(ops, y, gamma, beta);
    return [operands.number("activation", 0) === 1 ? swish(ops, all, 1) : all];
  },
};
