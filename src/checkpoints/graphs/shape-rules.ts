/** Shapes that operators give which have no meaning in `Ops`, or whose operands are not known. */
import { broadcastShape } from "../../shape.js";
import type { Node } from "./graph.js";
import { isShape, type Operands, ofDialect, product, turned, unknown } from "./operators.js";
import { filled, type Sketch } from "./sketches.js";

/** @param open a length that the file leaves open, for a place of the output */
export type Rule = (operands: Operands<Sketch>, open: (place: number) => number) => readonly Sketch[];

type Lengths = readonly number[];

function gives(shape: (operands: Operands<Sketch>, open: (place: number) => number) => Lengths): Rule {
  return (operands, open) => [{ shape: whole(shape(operands, open)) }];
}

function whole(shape: Lengths): Lengths {
  return isShape(shape) ? shape : unknown();
}

/** As its first operand, each output. */
const like: Rule = (operands) => operands.node.outputs.map(() => ({ shape: operands.shape() }));

/** As x, and statistics as an input is. */
const batchNorm = (statistic: number): Rule => {
  return (operands) => {
    const [x, each] = [operands.shape(), operands.shape(statistic)];
    return operands.node.outputs.slice(0, 5).map((_, i) => ({ shape: i === 0 ? x : each }));
  };
};

/** Lengths that do not fit with stand-ins fit where the network runs: which length there is then is open. */
const broadcast = gives((operands, open) =>
  operands
    .all()
    .map(({ shape }) => shape)
    .reduce((a, b) => broadcasting(a, b, open)),
);

function broadcasting(a: Lengths, b: Lengths, open: (place: number) => number): Lengths {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const [p, q] = [a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1];
    return p === q || q === 1 ? p : p === 1 ? q : open(axis);
  });
}

/** Likewise. @param parts which inputs are joined, and along which axis */
const joined = (
  parts: (operands: Operands<Sketch>) => readonly [from: number, to: number, axis: number],
): Rule =>
  gives((operands, open) => {
    const [from, to, along] = parts(operands);
    const shapes = Array.from({ length: to - from }, (_, i) => operands.shape(from + i));
    const [first] = shapes;
    if (first === undefined || shapes.some(({ length }) => length !== first.length)) unknown();
    const joining = operands.axis(along, first.length);
    return first.map((length, axis) => {
      if (axis === joining) return shapes.reduce((sum, shape) => sum + shape[axis], 0);
      return shapes.every((shape) => shape[axis] === length) ? length : open(axis);
    });
  });

/** A setting of so many numbers, with what stands for those that are missing. */
export function settings(
  operands: Pick<Operands<Sketch>, "list">,
  name: string,
  count: number,
  absent: number,
): Lengths {
  const values = operands.list(name);
  if (values === undefined || values.length === 0) return Array<number>(count).fill(absent);
  return values.length === count ? values : unknown();
}

/** Lengths that windows of a kernel give. */
function windows(operands: Operands<Sketch>, spatial: Lengths, kernel: Lengths): Lengths {
  const rank = spatial.length;
  const strides = settings(operands, "strides", rank, 1);
  const dilations = settings(operands, "dilations", rank, 1);
  const auto = operands.text("auto_pad", "NOTSET");
  const pads = settings(operands, "pads", 2 * rank, 0);
  const up = operands.flag("ceil_mode", false);
  return spatial.map((length, axis) => {
    const step = strides[axis];
    const reach = (kernel[axis] - 1) * dilations[axis] + 1;
    if (auto.startsWith("SAME")) return Math.ceil(length / step);
    const [before, after] = auto === "VALID" ? [0, 0] : [pads[axis], pads[axis + rank]];
    const free = length + before + after - reach;
    if (free < 0) return unknown();
    if (!up) return Math.floor(free / step) + 1;
    const count = Math.ceil(free / step) + 1;
    // a window that would begin in the padding behind is none
    return (count - 1) * step >= length + before ? count - 1 : count;
  });
}

/** @param weights the input of the kernel [out, in / groups, ...] */
const convolution = (weights: number) =>
  gives((operands) => {
    const x = operands.shape();
    const w = operands.shape(weights);
    if (x.length < 3 || w.length !== x.length) unknown();
    if (x[1] !== w[1] * operands.number("group", 1)) unknown();
    return [x[0], w[0], ...windows(operands, x.slice(2), w.slice(2))];
  });

const transposedConvolution = gives((operands) => {
  const x = operands.shape();
  const w = operands.shape(1);
  if (x.length < 3 || w.length !== x.length || x[1] !== w[0]) unknown();
  const rank = x.length - 2;
  const channels = w[1] * operands.number("group", 1);
  const stated = operands.list("output_shape");
  if (stated?.length) return [x[0], channels, ...stated.slice(-rank)];
  const strides = settings(operands, "strides", rank, 1);
  const dilations = settings(operands, "dilations", rank, 1);
  const extra = settings(operands, "output_padding", rank, 0);
  const pads = settings(operands, "pads", 2 * rank, 0);
  const auto = operands.text("auto_pad", "NOTSET");
  const spatial = x.slice(2).map((length, axis) => {
    if (auto.startsWith("SAME")) return length * strides[axis];
    const reach = (w[axis + 2] - 1) * dilations[axis] + 1;
    const cut = auto === "VALID" ? 0 : pads[axis] + pads[axis + rank];
    return strides[axis] * (length - 1) + extra[axis] + reach - cut;
  });
  return [x[0], channels, ...spatial];
});

const pooling: Rule = (operands) => {
  const x = operands.shape();
  const kernel = operands.list("kernel_shape");
  if (kernel === undefined || kernel.length !== x.length - 2) unknown();
  const shape = [x[0], x[1], ...windows(operands, x.slice(2), kernel as Lengths)];
  return operands.node.outputs.map(() => ({ shape }));
};

const globalPooling = gives((operands) => operands.shape().map((length, axis) => (axis < 2 ? length : 1)));

/** a [..., k] by b [..., k, n], at these inputs; k is the same where the network runs. */
const matrices = (left: number, right: number, transA = "transA", transB = "transB"): Rule => {
  return (operands, open) => {
    const { ops } = operands;
    const a = operands.flag(transA, false) ? turned(ops, operands.at(left)) : operands.at(left);
    const b = operands.flag(transB, false) ? turned(ops, operands.at(right)) : operands.at(right);
    const [p, q] = [a.shape, b.shape];
    if (p.length < 2 || q.length < 2) return [product(operands, a, b)];
    const stack = broadcasting(p.slice(0, -2), q.slice(0, -2), open);
    return [{ shape: whole([...stack, p[p.length - 2], q[q.length - 1]]) }];
  };
};

/** A reduction over axes that may be an input. @param first the opset from which they are */
const reduction = (first: number) =>
  gives((operands, open) => {
    const shape = operands.shape();
    const input = operands.node.opset >= first;
    const keeps = operands.flag("keepdims", true);
    const axes = input ? (operands.has(1) ? operands.knownOr(1) : []) : (operands.list("axes") ?? []);
    if (axes === undefined) return keeps ? shape.map((_, axis) => open(axis)) : unknown();
    if (axes.length === 0 && operands.flag("noop_with_empty_axes", false)) return shape;
    const gone = axes.length === 0 ? [...shape.keys()] : operands.axes(axes);
    return without(shape, gone, keeps);
  });

function without(shape: Lengths, axes: Lengths, keeps: boolean): Lengths {
  if (keeps) return shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
  return shape.filter((_, axis) => !axes.includes(axis));
}

const extremes = gives((operands) => {
  const axis = operands.axis(operands.number("axis", 0));
  return without(operands.shape(), [axis], operands.flag("keepdims", true));
});

const gather = gives((operands) => {
  const x = operands.shape();
  const axis = operands.axis(operands.number("axis", 0));
  return [...x.slice(0, axis), ...operands.shape(1), ...x.slice(axis + 1)];
});

const gatherPlaces = gives((operands) => {
  const [x, places] = [operands.shape(), operands.shape(1)];
  const within = operands.number("batch_dims", 0);
  const depth = places[places.length - 1];
  if (!(within + depth <= x.length)) unknown();
  return [...places.slice(0, -1), ...x.slice(within + depth)];
});

/** Factors or sizes for some axes. */
const resize = gives((operands) => {
  const x = operands.shape();
  const { opset, operator } = operands.node;
  const early = operator === "Upsample" || opset < 11;
  const named = operands.list("axes");
  const axes = named?.length ? named.map((axis) => operands.axis(axis)) : [...x.keys()];
  const put = (lengths: Lengths) =>
    lengths.length === axes.length
      ? x.map((length, axis) => (axes.includes(axis) ? lengths[axes.indexOf(axis)] : length))
      : unknown();
  if (!early && operands.has(3)) {
    if (operands.text("keep_aspect_ratio_policy", "stretch") !== "stretch") unknown();
    return put(operands.known(3));
  }
  const input = early ? 1 : 2;
  const scales = operands.has(input) ? operands.known(input) : (operands.list("scales") ?? unknown());
  return put(scales.map((scale, i) => Math.floor(x[axes[i]] * scale)));
});

const pad = gives((operands, open) => {
  const x = operands.shape();
  const input = operands.node.opset >= 11 || operands.node.domain !== "";
  const pads = input ? operands.knownOr(1) : operands.list("pads");
  const axes = operands.has(3) ? operands.axes(operands.known(3)) : [...x.keys()];
  if (pads === undefined) return x.map((_, axis) => open(axis));
  if (pads.length !== 2 * axes.length) unknown();
  return x.map((length, axis) => {
    const i = axes.indexOf(axis);
    return i < 0 ? length : length + pads[i] + pads[i + axes.length];
  });
});

const topK: Rule = (operands, open) => {
  const axis = operands.axis(operands.number("axis", -1));
  const k = operands.node.opset < 10 ? operands.number("k", 0) : (operands.scalar(1) ?? open(axis));
  const shape = operands.shape().with(axis, k);
  return [{ shape }, { shape }];
};

const oneHot = gives((operands, open) => {
  const shape = operands.shape();
  const axis = operands.axis(operands.number("axis", -1), shape.length + 1);
  return [...shape.slice(0, axis), operands.scalar(1) ?? open(axis), ...shape.slice(axis)];
});

/** Lengths by letters. Letters of an ellipsis are its axes, counted from the end. */
const einsum = gives((operands) => {
  const equation = operands.text("equation", "").replaceAll(" ", "");
  const [left, stated] = equation.split("->");
  const terms = left.split(",");
  if (terms.length !== operands.count || !/^[a-zA-Z.,]*$/.test(left)) unknown();
  const lengths = new Map<string, number>();
  let ellipsis = 0;
  const lettersOf = (term: string, rank?: number) => {
    const [before, after] = term.split("...");
    if (after === undefined) return [...before];
    const count = rank === undefined ? ellipsis : rank - before.length - after.length;
    if (count < 0) return unknown();
    ellipsis = Math.max(ellipsis, count);
    return [...before, ...Array.from({ length: count }, (_, i) => `.${count - i}`), ...after];
  };
  terms.forEach((term, i) => {
    const shape = operands.shape(i);
    const letters = lettersOf(term, shape.length);
    if (letters.length !== shape.length) unknown();
    letters.forEach((letter, axis) => {
      const [known, length] = [lengths.get(letter), shape[axis]];
      if (known !== undefined && known !== length && known !== 1 && length !== 1) unknown();
      if (known === undefined || known === 1) lengths.set(letter, length);
    });
  });
  const once = [...new Set(left.replaceAll(/[.,]/g, ""))].filter((letter) => left.split(letter).length === 2);
  const result = stated ?? `${left.includes("...") ? "..." : ""}${once.sort().join("")}`;
  return lettersOf(result).map((letter) => lengths.get(letter) ?? unknown());
});

/** @param gates of the kernel's rows, for each unit */
const recurrent = (gates: number): Rule => {
  return (operands) => {
    const x = operands.shape();
    const w = operands.shape(1);
    const hidden = operands.number("hidden_size", w[1] / gates);
    const directions = w[0];
    const batchFirst = operands.flag("layout", false);
    const [steps, batch] = batchFirst ? [x[1], x[0]] : [x[0], x[1]];
    const state = { shape: whole(batchFirst ? [batch, directions, hidden] : [directions, batch, hidden]) };
    const all = batchFirst ? [batch, steps, directions, hidden] : [steps, directions, batch, hidden];
    return [{ shape: whole(all) }, state, state];
  };
};

const slice = gives((operands, open) => {
  const shape = operands.shape();
  if (operands.node.opset < 10) unknown();
  const count = operands.has(3) ? undefined : operands.shape(1)[0];
  const axes = operands.has(3) ? operands.axes(operands.known(3)) : [...Array(count).keys()];
  return shape.map((length, axis) => (axes.includes(axis) ? open(axis) : length));
});

/** A shape whose lengths are an input: of those that are not known, the rank. */
const shaped = (input: number): Rule => {
  return (operands, open) => {
    const known = operands.knownOr(input);
    if (known) return [{ shape: whole(known) }];
    const lengths = operands.shape(input);
    if (lengths.length !== 1 || lengths[0] > 32) unknown();
    return [{ shape: Array.from({ length: lengths[0] }, (_, axis) => open(axis)) }];
  };
};

/**
 * A target says what comes of x, even where x itself is not known, or has another size with stand-ins: networks are written for some lengths
 * alone that their files leave open.
 * @param copies whether 0 is the length that x has there
 */
const openReshape =
  (copies: (operands: Operands<Sketch>) => boolean): Rule =>
  (operands, open) => {
    const known = operands.knownOr(1);
    if (known === undefined) return shaped(1)(operands, open);
    const lengthOf = (length: number, axis: number) => {
      if (length === 0 && copies(operands)) return operands.shape()[axis] ?? unknown();
      return length === -1 ? open(axis) : length;
    };
    return [{ shape: whole(Array.from(known, lengthOf)) }];
  };

/** x broadcast to lengths: where they are known, they are what comes of it, but for 1. */
const expanded: Rule = (operands, open) => {
  const known = operands.knownOr(1);
  const lengths = operands.shape(1);
  const x = operands.shape();
  if (lengths.length !== 1 || lengths[0] > 32) unknown();
  const rank = Math.max(lengths[0], x.length);
  const lengthOf = (axis: number) => {
    const wanted = known?.[axis - rank + lengths[0]] ?? 1;
    return wanted === 1 ? (x[axis - rank + x.length] ?? 1) : wanted;
  };
  return [{ shape: whole(Array.from({ length: rank }, (_, axis) => (known ? lengthOf(axis) : open(axis)))) }];
};

const constantOfShape: Rule = (operands, open) => {
  const [{ shape }] = shaped(0)(operands, open);
  return [operands.knownOr(0) ? filled(shape, operands.constant("value", 0)) : { shape }];
};

const range = gives((operands, open) => {
  const [start, limit, delta] = [0, 1, 2].map((input) => operands.scalar(input));
  if (start === undefined || limit === undefined || delta === undefined) return [open(0)];
  return [Math.max(0, Math.ceil((limit - start) / delta))];
});

/** x [batch, steps, width] to heads that are joined again. */
const attention: Rule = (operands, open) => {
  const [x, w] = [operands.shape(), operands.shape(1)];
  const sizes = operands.list("qkv_hidden_sizes");
  const width = sizes?.[2] ?? w[1] / 3;
  const heads = operands.number("num_heads", 1);
  return [{ shape: whole([x[0], x[1], width]) }, { shape: whole([2, x[0], heads, open(3), width / heads]) }];
};

const manyHeads = gives((operands) => {
  const q = operands.shape();
  if (q.length !== 3 || !operands.has(2)) unknown();
  const v = operands.shape(2);
  return v.length === 3 ? [q[0], q[1], v[2]] : [q[0], q[1], v[1] * v[3]];
});

const ownAttention = gives((operands) => {
  const [q, v] = [operands.shape(), operands.shape(2)];
  if (q.length === 4) return [q[0], q[1], q[2], v[3]];
  const [heads, others] = [operands.number("q_num_heads", 0), operands.number("kv_num_heads", 0)];
  return [q[0], q[1], (heads * v[2]) / others];
});

const embedded: Rule = (operands) => {
  const [batch, steps] = operands.shape();
  const y = { shape: [batch, steps, operands.shape(2)[1]] };
  return [y, { shape: [batch] }, y];
};

const tile = gives((operands, open) => operands.shape().map((_, axis) => open(axis)));

const onnx: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(
    (
      "Log Sin Cos Tan Asin Acos Atan Sinh Cosh Tanh Asinh Acosh Atanh Floor Ceil Round Softplus Mish ThresholdedRelu Shrink " +
      "LogSoftmax Hardmax LRN Trilu CumSum BitwiseNot Not IsNaN IsInf Dropout Cast CastLike RandomNormalLike RandomUniformLike " +
      "Bernoulli ScatterElements Scatter ScatterND TensorScatter ReverseSequence EyeLike QuantizeLinear DequantizeLinear " +
      "RotaryEmbedding Clip Softmax GroupNormalization LpNormalization"
    )
      .split(" ")
      .map((operator) => [operator, like]),
  ),
  ...Object.fromEntries(
    "Add Sub Mul Equal Greater Less GreaterOrEqual LessOrEqual And Or Xor Mod BitShift BitwiseAnd BitwiseOr BitwiseXor Div Pow Where Max Min Sum Mean"
      .split(" ")
      .map((operator) => [operator, broadcast]),
  ),
  Concat: joined((operands) => [0, operands.count, operands.number("axis", 0)]),
  MatMul: matrices(0, 1),
  BatchNormalization: batchNorm(3),
  DynamicQuantizeLinear: (operands) => [{ shape: operands.shape() }, { shape: [] }, { shape: [] }],
  Conv: convolution(1),
  ConvInteger: convolution(1),
  QLinearConv: convolution(3),
  ConvTranspose: transposedConvolution,
  MaxPool: pooling,
  AveragePool: pooling,
  LpPool: pooling,
  GlobalLpPool: globalPooling,
  MatMulInteger: matrices(0, 1),
  QLinearMatMul: matrices(0, 3),
  ReduceProd: reduction(18),
  ReduceLogSum: reduction(18),
  ReduceLogSumExp: reduction(18),
  ReduceMean: reduction(18),
  ReduceL1: reduction(18),
  ReduceL2: reduction(18),
  ReduceSumSquare: reduction(18),
  ReduceSum: reduction(13),
  ReduceMax: reduction(18),
  ReduceMin: reduction(18),
  ArgMax: extremes,
  ArgMin: extremes,
  Gather: gather,
  GatherElements: gives((operands) => operands.shape(1)),
  GatherND: gatherPlaces,
  Resize: resize,
  Upsample: resize,
  Pad: pad,
  TopK: topK,
  OneHot: oneHot,
  Einsum: einsum,
  LSTM: recurrent(4),
  GRU: recurrent(3),
  RNN: recurrent(1),
  Slice: slice,
  Reshape: openReshape((operands) => !operands.flag("allowzero", false)),
  Tile: tile,
  Expand: expanded,
  ConstantOfShape: constantOfShape,
  Range: range,
  NonZero: gives((operands, open) => [operands.shape().length, open(1)]),
  NonMaxSuppression: gives((_, open) => [open(0), 3]),
  Compress: gives((operands, open) => {
    if (!operands.hasAttribute("axis")) return [open(0)];
    const axis = operands.axis(operands.number("axis", 0));
    return operands.shape().with(axis, open(axis));
  }),
  RandomNormal: gives((operands) => operands.list("shape") ?? unknown()),
  RandomUniform: gives((operands) => operands.list("shape") ?? unknown()),
  GridSample: gives((operands) => [...operands.shape().slice(0, 2), ...operands.shape(1).slice(1, -1)]),
  RoiAlign: gives((operands) => [
    operands.shape(1)[0],
    operands.shape()[1],
    operands.number("output_height", 1),
    operands.number("output_width", 1),
  ]),
  Attention: ownAttention,
};

const microsoft: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(
    "QLinearAdd QLinearMul QLinearSigmoid QLinearLeakyRelu QuantizeLinear DequantizeLinear RotaryEmbedding GroupNorm SkipGroupNorm BiasAdd"
      .split(" ")
      .map((operator) => [operator, like]),
  ),
  FusedConv: convolution(1),
  FusedMatMul: gives((operands) => {
    const [a, b] = ["A", "B"].map((side, input) => {
      const shape = operands.shape(input);
      // the first of the matrix's axes before those of the batch
      const turned = operands.flag(`transBatch${side}`, false)
        ? [...shape.slice(1, -1), shape[0], shape[shape.length - 1]]
        : shape;
      const swapped = operands.flag(`trans${side}`, false);
      const [rows, columns] = turned.slice(-2);
      return swapped ? [...turned.slice(0, -2), columns, rows] : turned;
    });
    if (a.length < 2 || b.length < 2 || a[a.length - 1] !== b[b.length - 2]) unknown();
    return [...broadcastShape(a.slice(0, -2), b.slice(0, -2)), a[a.length - 2], b[b.length - 1]];
  }),
  QLinearGlobalAveragePool: globalPooling,
  FusedGemm: matrices(0, 1),
  TransposeMatMul: matrices(0, 1),
  DynamicQuantizeMatMul: matrices(0, 1),
  MatMulIntegerToFloat: matrices(0, 1),
  MatMulNBits: gives((operands) => [...operands.shape().slice(0, -1), operands.number("N", 0) || unknown()]),
  Attention: attention,
  QAttention: attention,
  MultiHeadAttention: manyHeads,
  GroupQueryAttention: gives((operands) => {
    const q = operands.shape();
    if (q.length !== 3 || operands.has(2)) return q;
    // queries, keys and values side by side
    const [heads, others] = [operands.number("num_heads", 0), operands.number("kv_num_heads", 0)];
    return [q[0], q[1], (q[2] / (heads + 2 * others)) * heads];
  }),
  EmbedLayerNormalization: embedded,
};

/** Axes of height and width, and of channels, by the order that the node names. */
function layout(operands: Operands<Sketch>): { channels: number; spatial: Lengths } {
  const rank = operands.shape().length;
  if (rank < 3) unknown();
  const first = operands.text("data_format", "NHWC").startsWith("NC");
  const spatial = Array.from({ length: rank - 2 }, (_, i) => i + (first ? 2 : 1));
  return { channels: first ? 1 : rank - 1, spatial };
}

/** Lengths of windows, of settings with an entry for each axis of x. */
function tensorflowWindows(operands: Operands<Sketch>, kernel: Lengths, channels?: number): Lengths {
  const x = operands.shape();
  const { channels: axis, spatial } = layout(operands);
  const strides = settings(operands, "strides", x.length, 1);
  const dilations = settings(operands, "dilations", x.length, 1);
  const padding = operands.text("padding", "");
  const pads = operands.list("explicit_paddings") ?? [];
  return x.map((length, one) => {
    if (one === axis) return channels ?? length;
    const i = spatial.indexOf(one);
    if (i < 0) return length;
    const reach = (kernel[i] - 1) * dilations[one] + 1;
    if (padding === "SAME") return Math.ceil(length / strides[one]);
    if (padding !== "VALID" && padding !== "EXPLICIT") return unknown();
    const more = padding === "VALID" ? 0 : (pads[2 * one] ?? 0) + (pads[2 * one + 1] ?? 0);
    const free = length + more - reach;
    return free < 0 ? unknown() : Math.floor(free / strides[one]) + 1;
  });
}

/** Kernels are [..., in, out], or [..., in, each] of channels on their own. */
const tensorflowConvolution = (apart: boolean) =>
  gives((operands) => {
    const w = operands.shape(1);
    const [input, output] = w.slice(-2);
    return tensorflowWindows(operands, w.slice(0, -2), apart ? input * output : output);
  });

const tensorflowPooling: Rule = gives((operands) => {
  const kernel = settings(operands, "ksize", operands.shape().length, 1);
  const { channels, spatial } = layout(operands);
  if (kernel[channels] !== 1) unknown();
  return tensorflowWindows(
    operands,
    spatial.map((axis) => kernel[axis]),
  );
});

const tensorflowPad = gives((operands) => {
  const pads = operands.known(1);
  const x = operands.shape();
  if (pads.length !== 2 * x.length) unknown();
  return x.map((length, axis) => length + pads[2 * axis] + pads[2 * axis + 1]);
});

const resized = gives((operands, open) => {
  const [batch, , , channels] = operands.shape();
  const [height, width] = operands.knownOr(1) ?? [open(1), open(2)];
  return [batch, height, width, channels];
});

const tensorflowReduction = gives((operands) =>
  without(operands.shape(), operands.axes(operands.known(1)), operands.flag("keep_dims", false)),
);

const tensorflowExtremes = gives((operands) => {
  const axis = operands.axis(operands.scalar(1) ?? unknown());
  return without(operands.shape(), [axis], false);
});

/** Blocks of channels become places, or places channels. */
const tensorflowBlocks = (toSpace: boolean) =>
  gives((operands) => {
    const size = operands.number("block_size", 0);
    const { channels, spatial } = layout(operands);
    return operands.shape().map((length, axis) => {
      if (axis === channels) return toSpace ? length / size ** 2 : length * size ** 2;
      if (!spatial.includes(axis)) return length;
      return toSpace ? length * size : length / size;
    });
  });

/** Blocks of places become batches, or batches places. */
const tensorflowBatches = (toBatch: boolean) =>
  gives((operands) => {
    const [sizes, pads] = [operands.known(1), operands.known(2)];
    const all = sizes.reduce((a, b) => a * b, 1);
    return operands.shape().map((length, axis) => {
      if (axis === 0) return toBatch ? length * all : length / all;
      const i = axis - 1;
      if (i >= sizes.length) return length;
      const edges = pads[2 * i] + pads[2 * i + 1];
      return toBatch ? (length + edges) / sizes[i] : length * sizes[i] - edges;
    });
  });

const tensorflow: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(
    (
      "Log Log1p Expm1 Sin Cos Tan Floor Ceil Round Softplus LogSoftmax LRN Cumsum LogicalNot IsNan Reverse ReverseV2 Cast Mish " +
      "ClipByValue ScatterNdUpdate TensorScatterUpdate"
    )
      .split(" ")
      .map((operator) => [operator, like]),
  ),
  ...Object.fromEntries(
    "Add AddV2 Sub Mul Equal NotEqual GreaterEqual LessEqual LogicalAnd LogicalOr FloorDiv FloorMod Mod Pow Div RealDiv Atan2 Maximum Minimum SquaredDifference SelectV2"
      .split(" ")
      .map((operator) => [operator, broadcast]),
  ),
  ConcatV2: joined((operands) => [0, operands.count - 1, operands.scalar(operands.count - 1) ?? unknown()]),
  Concat: joined((operands) => [1, operands.count, operands.scalar(0) ?? unknown()]),
  Select: gives((operands) => operands.shape(1)),
  MatMul: matrices(0, 1, "transpose_a", "transpose_b"),
  BatchMatMul: matrices(0, 1, "adj_x", "adj_y"),
  BatchMatMulV2: matrices(0, 1, "adj_x", "adj_y"),
  BatchMatMulV3: matrices(0, 1, "adj_x", "adj_y"),
  _FusedBatchNormEx: batchNorm(1),
  FusedBatchNorm: batchNorm(1),
  FusedBatchNormV2: batchNorm(1),
  FusedBatchNormV3: batchNorm(1),
  Conv1D: tensorflowConvolution(false),
  Conv2D: tensorflowConvolution(false),
  Conv3D: tensorflowConvolution(false),
  _FusedConv2D: tensorflowConvolution(false),
  DepthwiseConv2dNative: tensorflowConvolution(true),
  FusedDepthwiseConv2dNative: tensorflowConvolution(true),
  Conv2DBackpropInput: shaped(0),
  Conv3DBackpropInputV2: shaped(0),
  MaxPool: tensorflowPooling,
  AvgPool: tensorflowPooling,
  MaxPool3D: tensorflowPooling,
  AvgPool3D: tensorflowPooling,
  _FusedMatMul: matrices(0, 1, "transpose_a", "transpose_b"),
  Einsum: einsum,
  ResizeBilinear: resized,
  ResizeNearestNeighbor: resized,
  ResizeBicubic: resized,
  Pad: tensorflowPad,
  PadV2: tensorflowPad,
  MirrorPad: tensorflowPad,
  Mean: tensorflowReduction,
  Prod: tensorflowReduction,
  Any: tensorflowReduction,
  All: tensorflowReduction,
  ArgMax: tensorflowExtremes,
  ArgMin: tensorflowExtremes,
  GatherV2: gives((operands) => {
    const x = operands.shape();
    const axis = operands.axis(operands.scalar(2) ?? unknown());
    const within = operands.number("batch_dims", 0);
    return [...x.slice(0, axis), ...operands.shape(1).slice(within), ...x.slice(axis + 1)];
  }),
  Gather: gives((operands) => [...operands.shape(1), ...operands.shape().slice(1)]),
  GatherNd: gatherPlaces,
  OneHot: oneHot,
  Range: range,
  Reshape: openReshape(() => false),
  Tile: tile,
  Fill: shaped(0),
  BroadcastTo: expanded,
  RandomUniform: shaped(0),
  RandomStandardNormal: shaped(0),
  TruncatedNormal: shaped(0),
  Where: gives((operands, open) => [open(0), operands.shape().length]),
  TopKV2: (operands, open) => {
    const shape = operands.shape();
    const last = shape.length - 1;
    const best = { shape: shape.with(last, operands.scalar(1) ?? open(last)) };
    return [best, best];
  },
  DepthToSpace: tensorflowBlocks(true),
  SpaceToDepth: tensorflowBlocks(false),
  SpaceToBatchND: tensorflowBatches(true),
  BatchToSpaceND: tensorflowBatches(false),
};

/** The rule of an operator, if there is one. */
export function ruleOf(node: Node): Rule | undefined {
  return ofDialect(node, { onnx, microsoft, tensorflow });
}
