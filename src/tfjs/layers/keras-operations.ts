/**
 * Operations between the layers of a Keras model (`x[:, 0]`, `keras.ops.mean(x, axis=1)`, `tf.concat`), which TensorFlow.js's models do
 * not have: one layer for all of them, by the operation's name.
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers as builtIn } from "@tensorflow/tfjs-layers";
import { resolveAxis, sizeOf } from "../../shape.js";
import type { Config, LayerArgs, Shape, Tensors } from "../types.js";

type Options = Readonly<Record<string, unknown>>;
type Operation = (operands: tf.Tensor[], options: Options) => Tensors;
/** Numbers among the operands, and null where an input goes. */
export type Constant = number | boolean | Constant[];

const unary =
  (apply: (x: tf.Tensor) => tf.Tensor): Operation =>
  ([x]) =>
    apply(x);
const binary =
  (apply: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): Operation =>
  ([a, b]) =>
    apply(a, b);

/** Whose outputs have the shape of their operands, broadcast. */
const elementwise: Readonly<Record<string, Operation>> = {
  abs: unary(tf.abs),
  ceil: unary(tf.ceil),
  cos: unary(tf.cos),
  elu: ([x], { alpha = 1 }) =>
    alpha === 1 ? tf.elu(x) : tf.where(tf.greater(x, 0), x, tf.mul(tf.expm1(x), alpha as number)),
  erf: unary(tf.erf),
  exp: unary(tf.exp),
  expm1: unary(tf.expm1),
  floor: unary(tf.floor),
  gelu: ([x], { approximate = false }) => gelu(x, Boolean(approximate)),
  hardSigmoid: unary((x) => tf.div(tf.clipByValue(tf.add(x, 3), 0, 6), 6)),
  hardSilu: unary((x) => tf.mul(x, tf.div(tf.clipByValue(tf.add(x, 3), 0, 6), 6))),
  identity: unary(tf.clone),
  leakyRelu: ([x], { negativeSlope, alpha = 0.2 }) => tf.leakyRelu(x, (negativeSlope ?? alpha) as number),
  log: unary(tf.log),
  log1p: unary(tf.log1p),
  logSigmoid: unary(tf.logSigmoid),
  logicalNot: unary((x) => tf.logicalNot(truth(x))),
  negative: unary(tf.neg),
  onesLike: unary(tf.onesLike),
  reciprocal: unary(tf.reciprocal),
  relu: unary(tf.relu),
  relu6: unary(tf.relu6),
  round: unary(tf.round),
  rsqrt: unary(tf.rsqrt),
  selu: unary(tf.selu),
  sigmoid: unary(tf.sigmoid),
  sign: unary(tf.sign),
  silu: unary((x) => tf.mul(x, tf.sigmoid(x))),
  sin: unary(tf.sin),
  softplus: unary(tf.softplus),
  softsign: unary((x) => tf.div(x, tf.add(tf.abs(x), 1))),
  sqrt: unary(tf.sqrt),
  square: unary(tf.square),
  tanh: unary(tf.tanh),
  zerosLike: unary(tf.zerosLike),
  cast: ([x], { dtype }) => tf.cast(x, TYPES.find((one) => one === dtype) ?? "float32"),
  clip: ([x], { xMin, xMax, clipValueMin = xMin, clipValueMax = xMax }) =>
    tf.clipByValue(x, clipValueMin as number, clipValueMax as number),
  softmax: ([x], { axis = -1 }) => softmax(x, axis),
  logSoftmax: ([x], { axis = -1 }) => tf.sub(x, tf.logSumExp(x, axis as number, true)),
  /** Of length 1; Keras's epsilon is of the length, TensorFlow's of its square. */
  normalize: ([x], { axis = -1, epsilon }) =>
    tf.div(x, tf.maximum(tf.sqrt(tf.sum(tf.square(x), axis as number, true)), (epsilon ?? 1e-7) as number)),
  l2Normalize: ([x], { axis = -1, epsilon = 1e-12 }) =>
    tf.div(x, tf.sqrt(tf.maximum(tf.sum(tf.square(x), axis as number, true), epsilon as number))),
  cumsum: ([x], { axis }) => tf.cumsum(x, axis as number),
  flip: ([x], { axis }) => tf.reverse(x, axis as number | undefined),
  add: (operands) => operands.reduce((sum, one) => tf.add(sum, one)),
  subtract: binary(tf.sub),
  multiply: binary(tf.mul),
  divide: binary(tf.div),
  maximum: binary(tf.maximum),
  minimum: binary(tf.minimum),
  power: binary(tf.pow),
  floorDivide: binary((a, b) => tf.floor(tf.div(a, b))),
  mod: binary((a, b) => tf.sub(a, tf.mul(tf.floor(tf.div(a, b)), b))),
  squaredDifference: binary(tf.squaredDifference),
  equal: binary(tf.equal),
  notEqual: binary(tf.notEqual),
  greater: binary(tf.greater),
  greaterEqual: binary(tf.greaterEqual),
  less: binary(tf.less),
  lessEqual: binary(tf.lessEqual),
  logicalAnd: binary((a, b) => tf.logicalAnd(truth(a), truth(b))),
  logicalOr: binary((a, b) => tf.logicalOr(truth(a), truth(b))),
  where: ([condition, a, b]) => tf.where(truth(condition), a, b),
};

/** Layers of TensorFlow.js pass truths on as numbers. */
const truth = (x: tf.Tensor) => tf.cast(x, "bool");
const TYPES = ["float32", "int32", "bool"] as const;

type Reduction = (x: tf.Tensor, axis?: number | number[], keepDims?: boolean) => tf.Tensor;
const reduced =
  (reduce: Reduction): Operation =>
  ([x], { axis, keepdims = false }) =>
    reduce(x, (axis ?? undefined) as number | number[] | undefined, Boolean(keepdims));

/** Whose outputs have a shape of their own. */
const shaping: Readonly<Record<string, Operation>> = {
  mean: reduced(tf.mean),
  sum: reduced(tf.sum),
  max: reduced(tf.max),
  min: reduced(tf.min),
  prod: reduced(tf.prod),
  any: reduced((x, axis, keep) => tf.any(truth(x), axis, keep)),
  all: reduced((x, axis, keep) => tf.all(truth(x), axis, keep)),
  logsumexp: reduced(tf.logSumExp),
  var: reduced((x, axis, keep) => tf.moments(x, axis, keep).variance),
  std: reduced((x, axis, keep) => tf.sqrt(tf.moments(x, axis, keep).variance)),
  argmax: ([x], { axis = 0 }) => tf.argMax(x, axis as number),
  argmin: ([x], { axis = 0 }) => tf.argMin(x, axis as number),
  reshape: ([x], { newshape, shape = newshape }) => tf.reshape(x, shape as number[]),
  transpose: ([x], { axes, perm = axes }) => tf.transpose(x, (perm ?? undefined) as number[] | undefined),
  swapaxes([x], { axis1, axis2 }) {
    const order = [...x.shape.keys()];
    const [a, b] = [axis1, axis2].map((axis) => resolveAxis("swapaxes", axis as number, x.rank));
    [order[a], order[b]] = [b, a];
    return tf.transpose(x, order);
  },
  moveaxis([x], { source, destination }) {
    const [from, to] = [source, destination].map((axis) => resolveAxis("moveaxis", axis as number, x.rank));
    const order = [...x.shape.keys()].filter((axis) => axis !== from);
    order.splice(to, 0, from);
    return tf.transpose(x, order);
  },
  expandDims: ([x], { axis }) => tf.expandDims(x, axis as number),
  squeeze: ([x], { axis }) =>
    tf.squeeze(
      x,
      axis === null || axis === undefined
        ? undefined
        : ([axis].flat() as number[]).map((one) => resolveAxis("squeeze", one, x.rank)),
    ),
  concatenate: (operands, { axis = -1 }) =>
    tf.concat(operands, resolveAxis("concatenate", axis as number, operands[0].rank)),
  stack: (operands, { axis = 0 }) =>
    tf.stack(operands, resolveAxis("stack", axis as number, operands[0].rank + 1)),
  split([x], { indicesOrSections, numOrSizeSplits = indicesOrSections, axis = 0 }) {
    const at = resolveAxis("split", axis as number, x.rank);
    if (indicesOrSections === undefined || !Array.isArray(indicesOrSections))
      return tf.split(x, numOrSizeSplits as number | number[], at);
    // Keras names where to cut
    const cuts = [0, ...(indicesOrSections as number[]), x.shape[at]];
    return tf.split(
      x,
      cuts.slice(1).map((cut, i) => cut - cuts[i]),
      at,
    );
  },
  unstack: ([x], { axis = 0 }) => tf.unstack(x, axis as number),
  pad: ([x], { padWidth, paddings = padWidth, constantValues }) =>
    tf.pad(x, paddings as [number, number][], (constantValues ?? 0) as number),
  tile: ([x], { repeats, multiples = repeats }) => tf.tile(x, multiples as number[]),
  repeat([x], { repeats, axis }) {
    const at = resolveAxis("repeat", axis as number, x.rank);
    const index = Array.from({ length: x.shape[at] * (repeats as number) }, (_, i) =>
      Math.floor(i / (repeats as number)),
    );
    return tf.gather(x, tf.tensor1d(index, "int32"), at);
  },
  take: ([x, indices], { axis = 0 }) => tf.gather(x, tf.cast(indices, "int32"), axis as number),
  matmul: ([a, b], { transposeA = false, transposeB = false }) =>
    tf.matMul(a, b, Boolean(transposeA), Boolean(transposeB)),
  oneHot: ([x], { numClasses, depth = numClasses }) =>
    tf.cast(tf.oneHot(tf.cast(x, "int32"), depth as number), "float32"),
  depthToSpace: ([x], { blockSize }) => tf.depthToSpace(x as tf.Tensor4D, blockSize as number, "NHWC"),
  einsum: (operands, { subscripts, equation = subscripts }) => product(equation as string, operands),
  resize: ([x], { size, interpolation, method = interpolation ?? "bilinear" }) => {
    const images = x as tf.Tensor4D;
    return method === "nearest"
      ? tf.image.resizeNearestNeighbor(images, size as [number, number], false, true)
      : tf.image.resizeBilinear(images, size as [number, number], false, true);
  },
  getItem: ([x], { slices }) => sliced(x, slices as Slice[]),
};

/** `einsum` of one or two arrays in which no letter is twice, by a product of matrices: TensorFlow.js's own is not on every backend. */
export function product(equation: string, [a, b]: readonly tf.Tensor[]): tf.Tensor {
  const [[first, second = ""], output] = lettersOf(equation, a.rank);
  const shared = [...second].filter((letter) => first.includes(letter));
  const isOut = (letter: string) => output.includes(letter);
  const batch = shared.filter(isOut);
  const inner = shared.filter((letter) => !isOut(letter));
  const alone = (letters: string) => [...letters].filter((letter) => !shared.includes(letter));
  // sums over what is in neither the other nor the output
  const summed = (x: tf.Tensor, letters: string): [tf.Tensor, string] => {
    const lost = alone(letters).filter((letter) => !isOut(letter));
    if (lost.length === 0) return [x, letters];
    return [
      tf.sum(
        x,
        lost.map((letter) => letters.indexOf(letter)),
      ),
      [...letters].filter((one) => !lost.includes(one)).join(""),
    ];
  };
  const [x, left] = summed(a, first);
  const [y, right] = b ? summed(b, second) : [tf.scalar(1), ""];
  const length = (letter: string) =>
    left.includes(letter) ? x.shape[left.indexOf(letter)] : y.shape[right.indexOf(letter)];
  const sized = (letters: readonly string[]) => letters.map(length);
  const turned = (from: tf.Tensor, letters: string, ...groups: string[][]) =>
    tf.reshape(
      tf.transpose(
        from,
        groups.flat().map((letter) => letters.indexOf(letter)),
      ),
      groups.map((group) => sizeOf(sized(group))),
    );
  const rows = turned(x, left, batch, alone(left), inner);
  const columns = turned(y, right, batch, inner, alone(right));
  const found = [...batch, ...alone(left), ...alone(right)];
  const whole = tf.reshape(tf.matMul(rows, columns), sized(found));
  return tf.transpose(
    whole,
    [...output].map((letter) => found.indexOf(letter)),
  );
}

/** Letters of the inputs and the output, with some for an ellipsis in the first input. */
export function lettersOf(equation: string, rank: number): [inputs: string[], output: string] {
  const [inputs, output] = equation.replaceAll(" ", "").split("->");
  if (output === undefined) throw new RangeError(`einsum: expected an output in "${equation}"`);
  const [first] = inputs.split(",");
  const more = "ZYXWVUTS".slice(0, Math.max(0, rank - first.replace("...", "").length));
  const written = [...inputs.split(","), output].map((one) => one.replace("...", more));
  const isPlain = written.every((one) => /^[A-Za-z]*$/.test(one) && new Set(one).size === one.length);
  if (!isPlain || written.length > 3) {
    throw new RangeError(
      `einsum: expected one or two arrays, and each letter once in each, got "${equation}"`,
    );
  }
  return [written.slice(0, -1), written[written.length - 1]];
}

const operations: Readonly<Record<string, Operation>> = { ...elementwise, ...shaping };

export const isOperation = (name: string): boolean => Object.hasOwn(operations, name);

/** Python's index of one axis: a number, a range, a new axis (null), or all axes that no other names. */
export type Slice =
  | number
  | null
  | "ellipsis"
  | { start?: number | null; stop?: number | null; step?: number | null };

function sliced(x: tf.Tensor, slices: readonly Slice[]): tf.Tensor {
  const named = slices.filter((one) => one !== null && one !== "ellipsis").length;
  const all = Array<Slice>(x.rank - named).fill({});
  const at = slices.includes("ellipsis") ? slices.indexOf("ellipsis") : slices.length;
  const each = [...slices.slice(0, at), ...all, ...slices.slice(at + 1)];
  const shape: number[] = [];
  let y = x;
  let axis = 0;
  for (const one of each) {
    if (one === null) {
      shape.push(1);
      continue;
    }
    const length = x.shape[axis];
    if (typeof one === "number") y = tf.slice(y, ...only(y, axis, one < 0 ? one + length : one, 1));
    else if (one !== "ellipsis") {
      const [first, count, step] = rangeOf(one, length);
      const index = () =>
        tf.tensor1d(
          Array.from({ length: count }, (_, i) => first + i * step),
          "int32",
        );
      if (step !== 1) y = tf.gather(y, index(), axis);
      else if (count !== length) y = tf.slice(y, ...only(y, axis, first, count));
      shape.push(count);
    }
    axis++;
  }
  return tf.reshape(y, shape);
}

/** Begin and size of a slice along one axis alone. */
function only(x: tf.Tensor, axis: number, first: number, count: number): [number[], number[]] {
  return [
    x.shape.map((_, i) => (i === axis ? first : 0)),
    x.shape.map((length, i) => (i === axis ? count : length)),
  ];
}

/** Python's `range(*slice(start, stop, step).indices(length))`: its first, how many, and their distance. */
function rangeOf(
  { start, stop, step }: Exclude<Slice, string | number | null>,
  length: number,
): [number, number, number] {
  const by = step ?? 1;
  const [least, most] = by > 0 ? [0, length] : [-1, length - 1];
  const within = (value: number | null | undefined, otherwise: number) =>
    Math.min(most, Math.max(least, (value ?? otherwise) + ((value ?? 0) < 0 ? length : 0)));
  const first = within(start, by > 0 ? least : most);
  const end = within(stop, by > 0 ? most : least);
  return [first, Math.max(0, Math.ceil((end - first) / by)), by];
}

function gelu(x: tf.Tensor, approximate: boolean): tf.Tensor {
  const phi = approximate
    ? tf.tanh(tf.mul(Math.sqrt(2 / Math.PI), tf.add(x, tf.mul(0.044715, tf.pow(x, 3)))))
    : tf.erf(tf.div(x, Math.SQRT2));
  return tf.mul(tf.mul(x, 0.5), tf.add(phi, 1));
}

/** Over any axis, or several together; TensorFlow.js's over the last alone. */
export function softmax(x: tf.Tensor, axis: unknown): tf.Tensor {
  return tf.exp(tf.sub(x, tf.logSumExp(x, axis as number | number[], true)));
}

/** Lengths that stand for unknown ones in working out a shape: a length that differs between them is unknown too. */
const PROBES = [2, 3];
/** Numbers in an output that is worked out so. */
const LARGEST = 2 ** 26;

/** An operation on the outputs of layers, and on constants. */
export class KerasOperation extends builtIn.Layer {
  static readonly className = "KerasOperation";
  private readonly operation: string;
  /** Null where an input goes. */
  private readonly operands: (Constant | null)[];
  private readonly options: Options;

  constructor(args: LayerArgs & { operation: string; operands?: (Constant | null)[]; options?: Options }) {
    super(args);
    const { operation, operands = [null], options = {} } = args;
    if (!isOperation(operation)) {
      throw new RangeError(
        `KerasOperation: operation must be one of ${Object.keys(operations).join(", ")}, got "${operation}"`,
      );
    }
    this.operation = operation;
    this.operands = operands;
    this.options = options;
    this.supportsMasking = Object.hasOwn(elementwise, operation);
  }

  override call(inputs: Tensors): Tensors {
    return tf.tidy(() => {
      const given = [...[inputs].flat()];
      const [first] = given;
      const operands = this.operands.map((one) =>
        one === null ? (given.shift() as tf.Tensor) : constantOf(one, first),
      );
      return operations[this.operation](operands, this.options);
    });
  }

  override computeMask(_: Tensors, mask?: Tensors): Tensors {
    const [first] = [mask].flat().filter(Boolean) as tf.Tensor[];
    return this.supportsMasking ? first : (null as unknown as tf.Tensor);
  }

  override computeOutputShape(input: Shape | Shape[]): Shape | Shape[] {
    const shapes = (Array.isArray(input[0]) ? input : [input]) as Shape[];
    if (this.supportsMasking) return broadcast([...shapes, ...this.constantShapes()]);
    const [one, other] = PROBES.map((probe) => {
      const lengths = shapes.map((shape) => shape.map((length) => length ?? probe));
      this.checkSize(lengths);
      return tf.tidy(() =>
        [this.call(lengths.map((each) => tf.zeros(each)))].flat().map(({ shape }) => shape),
      );
    });
    const found = one.map((shape, i) =>
      shape.map((length, axis) => (length === other[i][axis] ? length : null)),
    );
    return found.length === 1 ? found[0] : found;
  }

  /** Before anything is allocated: options come from files. */
  private checkSize(lengths: readonly number[][]): void {
    const { operation, options } = this;
    const sizes = lengths.map(sizeOf);
    const grown = [options.repeats, options.multiples, options.numClasses, options.depth].flat();
    const factor = grown.reduce<number>((product, one) => product * (typeof one === "number" ? one : 1), 1);
    const margins = [options.padWidth ?? options.paddings ?? []].flat(2) as number[];
    const padded =
      margins.length > 0
        ? sizeOf(lengths[0].map((length, i) => length + margins[2 * i] + margins[2 * i + 1]))
        : 0;
    const resized =
      sizeOf([options.size ?? 0].flat() as number[]) * sizeOf(lengths[0].filter((_, axis) => axis % 3 === 0));
    const multiplied = operation === "matmul" || operation === "einsum" ? productSize(lengths, options) : 0;
    const largest = Math.max(...sizes, sizes[0] * factor, padded, resized, multiplied);
    if (largest <= LARGEST) return;
    throw new RangeError(`${operation}: its output would have about ${largest.toPrecision(2)} numbers`);
  }

  private constantShapes(): Shape[] {
    return this.operands.flatMap((one) => (one === null ? [] : [shapeOf(one)]));
  }

  override getConfig(): Config {
    const { operation, operands, options } = this;
    return { ...super.getConfig(), operation, operands, options } as unknown as Config;
  }
}

/** What a product of arrays has at most: einsum's lengths by its letters, else rows by columns. */
function productSize(
  [a, b = [1]]: readonly number[][],
  { subscripts, equation = subscripts }: Options,
): number {
  if (typeof equation !== "string") return sizeOf(a) * Math.max(...b);
  const [inputs, output = inputs] = equation.split("->");
  const lengths = new Map<string, number>();
  for (const [i, labels] of inputs.split(",").entries())
    for (const [axis, label] of [...labels.trim()].entries()) lengths.set(label, [a, b][i]?.[axis] ?? 1);
  return sizeOf([...output].map((label) => lengths.get(label) ?? 1));
}

function constantOf(value: Constant, like: tf.Tensor): tf.Tensor {
  const dtype = like.dtype === "bool" || like.dtype === "string" ? "float32" : like.dtype;
  const isFraction = [value as unknown].flat(Number.POSITIVE_INFINITY).some((one) => !Number.isInteger(one));
  return tf.tensor(value as tf.TensorLike, undefined, dtype === "int32" && isFraction ? "float32" : dtype);
}

function shapeOf(value: Constant): Shape {
  return Array.isArray(value) ? [value.length, ...(value.length > 0 ? shapeOf(value[0]) : [])] : [];
}

function broadcast(shapes: readonly Shape[]): Shape {
  const rank = Math.max(...shapes.map(({ length }) => length));
  const all = shapes.map((one): Shape => [...Array<1>(rank - one.length).fill(1), ...one]);
  return all[0].map((_, axis) => {
    const lengths = all.map((one) => one[axis]).filter((length) => length !== 1);
    return lengths.find((length) => length !== null) ?? (lengths.length > 0 ? null : 1);
  });
}
