/** What TensorFlow's operators mean (https://www.tensorflow.org/api_docs/python/tf/raw_ops), as frozen graphs and graph models have them. */
import type { ElementaryOps } from "../../formula/ops.js";
import { square } from "../../formula/terms.js";
import { sizeOf } from "../../shape.js";
import {
  axesFrom,
  binary,
  clamped,
  cut,
  elu,
  folded,
  type Meaning,
  negative,
  type Operands,
  perChannel,
  picked,
  power,
  product,
  type Reduction,
  reduced,
  reshaped,
  scaled,
  softmax,
  split,
  splitEvenly,
  squeezed,
  standardized,
  strided,
  tiled,
  turned,
  unary,
  unknown,
  unsqueezed,
} from "./operators.js";

const same: Meaning = (operands) => [operands.at(0)];

const quotient = binary((ops, a, b, operands) => {
  operands.reals(0, 1);
  return ops.div(a, b);
});

function reduction(kind: Reduction): Meaning {
  return (operands) => {
    if (kind === "mean") operands.reals(0);
    const axes = operands.axes(operands.known(1));
    return [reduced(operands.ops, kind, operands.at(0), axes, operands.flag("keep_dims", false))];
  };
}

/** The axis of channels, by the order that the node names. */
function channelsOf<T>(operands: Operands<T>): number {
  return operands.text("data_format", "NHWC").startsWith("NC") ? 1 : operands.shape().length - 1;
}

function batchNorm<T>(operands: Operands<T>): readonly T[] {
  const { ops } = operands;
  const shape = operands.shape();
  const [x, gamma, beta] = [0, 1, 2].map((input) => operands.at(input));
  const axis = channelsOf(operands);
  if (shape.length < 4) unknown();
  const how = { epsilon: operands.number("epsilon", 1e-4), centered: true, kept: [axis] };
  const affine = (y: T) =>
    scaled(ops, y, perChannel(ops, gamma, axis, shape.length), perChannel(ops, beta, axis, shape.length));
  if (!operands.flag("is_training", true)) {
    const [mean, variance] = [operands.at(3), operands.at(4)];
    return [affine(standardized(ops, x, { ...how, mean, variance }).y), mean, variance];
  }
  const { y, mean, variance } = standardized(ops, x, how);
  if (operands.number("exponential_avg_factor", 1) !== 1 || !mean || !variance) return [affine(y)];
  const count = sizeOf(shape) / shape[axis];
  return [affine(y), mean, ops.mul(variance, count / Math.max(count - 1, 1))];
}

function multiplied(transA: string, transB: string): Meaning {
  return binary((ops, a, b, operands) =>
    product(
      operands,
      operands.flag(transA, false) ? turned(ops, a) : a,
      operands.flag(transB, false) ? turned(ops, b) : b,
    ),
  );
}

/** @param axisFirst whether the axis is the first input, not the last */
function concat(axisFirst: boolean): Meaning {
  return (operands) => {
    const last = operands.count - 1;
    const from = axisFirst ? 1 : 0;
    if (last < 1) unknown();
    const parts = Array.from({ length: last }, (_, i) => operands.at(from + i));
    const axis = operands.scalar(axisFirst ? 0 : last) ?? unknown();
    return [operands.ops.concat(parts, operands.axis(axis, operands.shape(from).length))];
  };
}

function stridedSlice<T>(operands: Operands<T>): readonly T[] {
  const { ops } = operands;
  const [begin, end, steps] = [1, 2, 3].map((input) => operands.known(input));
  const within = (mask: string, place: number) => ((operands.number(mask, 0) >> place) & 1) === 1;
  const ofAxes = [...begin.keys()].filter((place) => !within("new_axis_mask", place));
  const skipped = operands.shape().length - ofAxes.filter((place) => !within("ellipsis_mask", place)).length;
  const [shrunk, made]: [number[], number[]] = [[], []];
  let x = operands.at(0);
  let axis = 0;
  let place = 0;
  /** Of what is left when shrunk axes are gone. */
  let out = 0;
  for (; place < begin.length; place++) {
    if (within("ellipsis_mask", place)) {
      axis += skipped;
      out += skipped;
    } else if (within("new_axis_mask", place)) {
      made.push(out++);
    } else if (within("shrink_axis_mask", place)) {
      const length = ops.shape(x)[axis];
      const from = begin[place] < 0 ? begin[place] + length : begin[place];
      if (!(from >= 0 && from < length)) unknown();
      x = strided(ops, x, axis, from, 1, 1);
      shrunk.push(axis++);
    } else {
      const [from, to] = [
        within("begin_mask", place) ? undefined : begin[place],
        within("end_mask", place) ? undefined : end[place],
      ];
      x = cut(operands, x, axis++, from, to, steps[place]);
      out++;
    }
  }
  return [unsqueezed(ops, squeezed(ops, x, shrunk), made)];
}

function gather<T>(operands: Operands<T>): readonly T[] {
  const shape = operands.shape();
  const axis = operands.axis(operands.has(2) ? (operands.scalar(2) ?? unknown()) : 0);
  if (operands.number("batch_dims", 0) !== 0) unknown();
  const rows = picked(operands.ops, operands.at(0), axis, operands.known(1));
  return [
    operands.ops.reshape(rows, [...shape.slice(0, axis), ...operands.shape(1), ...shape.slice(axis + 1)]),
  ];
}

function like(value: number): Meaning {
  return (operands) => [operands.expanded(operands.ops.constant([value], []), operands.shape())];
}

function relu6<T>(ops: ElementaryOps<T>, x: T): T {
  return clamped(ops, x, 6);
}

const add = binary((ops, a, b) => ops.add(a, b));
const batchMatMul = multiplied("adj_x", "adj_y");

export const tensorflow: Readonly<Record<string, Meaning>> = {
  Add: add,
  AddV2: add,
  AddN: folded((ops, a, b) => ops.add(a, b)),
  BiasAdd: binary((ops, x, bias, operands) => {
    const { length } = operands.shape();
    return ops.add(x, perChannel(ops, bias, channelsOf(operands), length));
  }),
  Sub: binary((ops, a, b) => ops.sub(a, b)),
  Mul: binary((ops, a, b) => ops.mul(a, b)),
  RealDiv: quotient,
  Div: quotient,
  DivNoNan: binary((ops, a, b, operands) => {
    operands.reals(0, 1);
    return ops.where(b, ops.div(a, ops.where(b, b, 1)), 0);
  }),
  Maximum: binary((ops, a, b) => ops.max(a, b)),
  Minimum: binary((ops, a, b) => ops.min(a, b)),
  Greater: binary((ops, a, b) => ops.greater(a, b)),
  Less: binary((ops, a, b) => ops.greater(b, a)),
  SelectV2: (operands) => [operands.ops.where(operands.at(0), operands.at(1), operands.at(2))],
  ClipByValue: (operands) => [
    operands.ops.min(operands.ops.max(operands.at(0), operands.at(1)), operands.at(2)),
  ],
  Pow: power,
  Neg: unary(negative),
  Abs: unary((ops, x) => ops.abs(x)),
  Sqrt: unary((ops, x) => ops.sqrt(x)),
  Rsqrt: unary((ops, x) => ops.div(1, ops.sqrt(x))),
  Reciprocal: unary((ops, x) => ops.div(1, x)),
  Inv: unary((ops, x) => ops.div(1, x)),
  Square: unary(square),
  SquaredDifference: binary((ops, a, b) => square(ops, ops.sub(a, b))),
  Exp: unary((ops, x) => ops.exp(x)),
  Erf: unary((ops, x) => ops.erf(x)),
  Tanh: unary((ops, x) => ops.tanh(x)),
  Sigmoid: unary((ops, x) => ops.sigmoid(x)),
  Sign: unary((ops, x) => ops.sub(ops.greater(x, 0), ops.greater(0, x))),
  Softsign: unary((ops, x) => ops.div(x, ops.add(ops.abs(x), 1))),
  Relu: unary((ops, x) => ops.max(x, 0)),
  Relu6: unary(relu6),
  LeakyRelu: unary((ops, x, operands) =>
    ops.add(ops.max(x, 0), ops.mul(ops.min(x, 0), operands.number("alpha", 0.2))),
  ),
  Prelu: binary((ops, x, slope) => ops.add(ops.max(x, 0), ops.mul(ops.min(x, 0), slope))),
  Elu: unary((ops, x) => elu(ops, x, 1)),
  Selu: unary((ops, x) => elu(ops, x, 1.6732632423543772, 1.0507009873554805)),
  Softmax: unary((ops, x) => softmax(ops, x, ops.shape(x).length - 1)),
  Identity: same,
  StopGradient: same,
  PreventGradient: same,
  Snapshot: same,
  CheckNumerics: same,
  EnsureShape: same,
  IdentityN: (operands) => operands.all(),
  Cast: (operands) => [operands.cast(operands.at(0), operands.text("DstT", ""))],
  Sum: reduction("sum"),
  Mean: reduction("mean"),
  Max: reduction("max"),
  Min: reduction("min"),
  EuclideanNorm: reduction("l2"),
  L2Loss: unary((ops, x) => {
    const shape = ops.shape(x);
    return ops.mul(ops.reshape(ops.sum(square(ops, x), axesFrom(0, shape.length)), []), 0.5);
  }),
  Shape: (operands) => {
    const shape = operands.shape();
    return [operands.ops.constant(shape, [shape.length])];
  },
  Rank: (operands) => [operands.ops.constant([operands.shape().length], [])],
  Size: (operands) => [operands.ops.constant([sizeOf(operands.shape())], [])],
  ZerosLike: like(0),
  OnesLike: like(1),
  Reshape: (operands) => [reshaped(operands.ops, operands.at(0), operands.known(1), false)],
  ExpandDims: (operands) => {
    const axis = operands.scalar(1) ?? unknown();
    return [unsqueezed(operands.ops, operands.at(0), [operands.axis(axis, operands.shape().length + 1)])];
  },
  Squeeze: (operands) => {
    const shape = operands.shape();
    const named = operands.list("squeeze_dims") ?? operands.list("axis") ?? [];
    const ones = [...shape.keys()].filter((axis) => shape[axis] === 1);
    return [squeezed(operands.ops, operands.at(0), named.length > 0 ? operands.axes(named) : ones)];
  },
  Transpose: (operands) => {
    const order = operands.known(1);
    if (operands.axes(order).length !== operands.shape().length) unknown();
    return [operands.ops.transpose(operands.at(0), order)];
  },
  Tile: (operands) => [tiled(operands, operands.at(0), operands.known(1))],
  BroadcastTo: (operands) => [operands.expanded(operands.at(0), operands.known(1))],
  Fill: (operands) => [operands.expanded(operands.at(1), operands.known(0))],
  ConcatV2: concat(false),
  Concat: concat(true),
  Split: (operands) => {
    const axis = operands.axis(operands.scalar(0) ?? unknown(), operands.shape(1).length);
    const count = operands.number("num_split", operands.node.outputs.length);
    if (operands.shape(1)[axis] % count !== 0) unknown();
    return splitEvenly(operands.ops, operands.at(1), axis, count);
  },
  SplitV: (operands) => {
    const axis = operands.axis(operands.scalar(2) ?? unknown());
    const lengths = operands.known(1);
    const rest = operands.shape()[axis] - lengths.reduce((sum, length) => sum + Math.max(length, 0), 0);
    const filled = lengths.map((length) => (length === -1 ? rest : length));
    return split(operands.ops, operands.at(0), axis, filled);
  },
  Slice: (operands) => {
    const [begin, size] = [operands.known(1), operands.known(2)];
    const shape = operands.shape();
    if (begin.length !== shape.length || size.length !== shape.length) unknown();
    return [
      begin.reduce((x, from, axis) => {
        const count = size[axis] === -1 ? shape[axis] - from : size[axis];
        if (!(from >= 0 && count >= 0 && from + count <= shape[axis])) unknown();
        return strided(operands.ops, x, axis, from, count, 1);
      }, operands.at(0)),
    ];
  },
  StridedSlice: stridedSlice,
  GatherV2: gather,
  Gather: gather,
  Pack: (operands) => {
    const { ops } = operands;
    const axis = operands.axis(operands.number("axis", 0), operands.shape().length + 1);
    return [
      ops.concat(
        operands.all().map((x) => unsqueezed(ops, x, [axis])),
        axis,
      ),
    ];
  },
  Unpack: (operands) => {
    const { ops } = operands;
    const axis = operands.axis(operands.number("axis", 0));
    const count = operands.number("num", operands.node.outputs.length);
    if (count !== operands.shape()[axis]) unknown();
    return splitEvenly(ops, operands.at(0), axis, count).map((x) => squeezed(ops, x, [axis]));
  },
  MatMul: multiplied("transpose_a", "transpose_b"),
  BatchMatMul: batchMatMul,
  BatchMatMulV2: batchMatMul,
  BatchMatMulV3: batchMatMul,
  FusedBatchNorm: batchNorm,
  FusedBatchNormV2: batchNorm,
  FusedBatchNormV3: batchNorm,
};
