/**
 * `Ops` (src/formula/ops.ts) as ONNX: runs a formula at given lengths and keeps what it does, in operators of ONNX that mean the same.
 * What depends on constants alone is computed here, in float64. Nothing is differentiated: a formula's gradients stay behind.
 */
import { composedNormalize } from "../formula/composed.js";
import { Eager, type Values64 } from "../formula/eager.js";
import type { NarrowType, NormalizeOperands, NormalizeResult, Operand, Ops } from "../formula/ops.js";
import type { FusedNorm, Plan } from "../formula/plan.js";
import { affine } from "../formula/terms.js";
import { broadcastShape, sameShape, sizeOf } from "../shape.js";

/** An array of the graph. */
export interface Value {
  /** ONNX's; `input`, of the graph or of a Scan's body; `constant`; or `output`, one of several that a node has. */
  readonly operator: string;
  readonly of: readonly Value[];
  readonly shape: readonly number[];
  /** As ONNX has them; axes among them, whichever way the version wants them. */
  readonly attributes: Attributes;
  /** What may follow from lengths: the shape that a Reshape makes, the bounds of a Slice, the number of a constant. */
  readonly numbers: readonly number[];
  /** Of a constant of several values. */
  readonly values?: ArrayLike<number>;
  /** Of an input or a weight, and of what was made of a weight alone. */
  readonly name?: string;
  /** Of a Scan: from an element of each input and the states to the states after it, of which the first is an output too. */
  readonly body?: { readonly inputs: readonly Value[]; readonly outputs: readonly Value[] };
}

/** `{ float }` for what is no integer. */
export type Attributes = Readonly<
  Record<string, number | string | readonly number[] | { readonly float: number }>
>;

/** How a formula is written. */
export interface Writing {
  /** Version of ONNX's operators, from 17 on. */
  readonly opset: number;
  /** Whether normalizations are written as ONNX's operators, where they have them, or by their formula. */
  readonly written: "operator" | "formula";
  /** Whether GroupNormalization is among the operators, from version 21 on. */
  readonly groupNormalization: boolean;
}

/** What depends on constants alone is computed by it. */
const exact = new Eager();

export class OnnxOps implements Ops<Value> {
  constructor(private readonly writing: Writing) {}

  input(name: string, shape: readonly number[]): Value {
    return { operator: "input", of: [], shape, attributes: {}, numbers: [], name };
  }

  constant(values: ArrayLike<number>, shape: readonly number[], name?: string): Value {
    const value = held({ shape, data: Float64Array.from(values) });
    if (name === undefined) return value;
    // what a weight holds is written as it is
    return { ...value, name, ...(values.length > 1 && { numbers: [], values }) };
  }

  shape(x: Value): readonly number[] {
    return x.shape;
  }

  add(a: Operand<Value>, b: Operand<Value>): Value {
    return this.elementwise("Add", [a, b], exact.add, 0);
  }

  sub(a: Operand<Value>, b: Operand<Value>): Value {
    return this.elementwise("Sub", [a, b], exact.sub, 0);
  }

  mul(a: Operand<Value>, b: Operand<Value>): Value {
    return this.elementwise("Mul", [a, b], exact.mul, 1);
  }

  div(a: Operand<Value>, b: Operand<Value>): Value {
    if (typeof a !== "number" && a.operator === "ReduceSum" && typeof b === "number") {
      const [of] = a.of;
      if (b * sizeOf(a.shape) === sizeOf(of.shape))
        return this.node("ReduceMean", [of], a.shape, a.attributes);
    }
    return this.elementwise("Div", [a, b], exact.div, 1);
  }

  max(a: Operand<Value>, b: Operand<Value>): Value {
    return this.elementwise("Max", [a, b], exact.max);
  }

  min(a: Operand<Value>, b: Operand<Value>): Value {
    return this.elementwise("Min", [a, b], exact.min);
  }

  greater(a: Operand<Value>, b: Operand<Value>): Value {
    const truth = this.elementwise("Greater", [a, b], exact.greater);
    return truth.operator === "Greater" ? this.cast(truth, "float32") : truth;
  }

  where(condition: Value, a: Operand<Value>, b: Operand<Value>): Value {
    if (condition.operator === "constant") {
      const { data } = valuesOf(condition);
      const [chosen, other] = data[0] === 0 ? [b, a] : [a, b];
      if (data.some((value) => (value === 0) !== (data[0] === 0))) return this.chosen(condition, a, b);
      const shape = [chosen, other, condition].map(shapeOf).reduce(broadcastShape);
      return this.expanded(asValue(chosen), shape);
    }
    return this.chosen(condition, a, b);
  }

  abs(x: Value): Value {
    return this.elementwise("Abs", [x], exact.abs);
  }

  exp(x: Value): Value {
    return this.elementwise("Exp", [x], exact.exp);
  }

  sqrt(x: Value): Value {
    return this.elementwise("Sqrt", [x], exact.sqrt);
  }

  tanh(x: Value): Value {
    return this.elementwise("Tanh", [x], exact.tanh);
  }

  sigmoid(x: Value): Value {
    return this.elementwise("Sigmoid", [x], exact.sigmoid);
  }

  erf(x: Value): Value {
    return this.elementwise("Erf", [x], exact.erf);
  }

  pow(x: Value, exponent: number): Value {
    return this.elementwise("Pow", [x, exponent], (base) => exact.pow(base, exponent), 1);
  }

  rounded(x: Value, type: NarrowType): Value {
    return this.cast(this.cast(x, type), "float32");
  }

  sum(x: Value, axes: readonly number[]): Value {
    return this.reduced("ReduceSum", x, axes, exact.sum);
  }

  largest(x: Value, axes: readonly number[]): Value {
    return this.reduced("ReduceMax", x, axes, exact.largest);
  }

  sorted(x: Value): Value {
    const length = x.shape[x.shape.length - 1];
    return { ...this.node("TopK", [x], x.shape, { largest: 0 }), numbers: [length] };
  }

  matMul(a: Value, b: Value): Value {
    const shape = [...a.shape.slice(0, -1), b.shape[b.shape.length - 1]];
    if (b.operator === "constant" && a.operator === "constant" && b.shape.length === 2) {
      // all rows are the same where a is one value
      const rows = isUniform(a) ? uniform(a.numbers[0], [1, a.shape[a.shape.length - 1]]) : a;
      const product = held(exact.matMul(valuesOf(rows), valuesOf(b)));
      return this.expanded(product, shape);
    }
    return this.node("MatMul", [a, b], shape);
  }

  reshape(x: Value, shape: readonly number[]): Value {
    if (sameShape(x.shape, shape)) return x;
    if (x.operator === "constant") return { ...x, shape };
    if (x.operator === "Reshape") return this.reshape(x.of[0], shape);
    return { ...this.node("Reshape", [x], shape), numbers: shape };
  }

  transpose(x: Value, order: readonly number[]): Value {
    if (order.every((from, to) => from === to)) return x;
    const shape = order.map((axis) => x.shape[axis]);
    if (x.operator === "constant")
      return x.values ? { ...held(exact.transpose(valuesOf(x), order)), name: x.name } : { ...x, shape };
    if (x.operator === "Transpose") {
      const before = x.attributes.perm as readonly number[];
      return this.transpose(
        x.of[0],
        order.map((axis) => before[axis]),
      );
    }
    return this.node("Transpose", [x], shape, { perm: order });
  }

  slice(x: Value, axis: number, from: number, to: number): Value {
    const shape = x.shape.map((length, one) => (one === axis ? to - from : length));
    if (sameShape(shape, x.shape)) return x;
    if (x.operator === "constant") {
      return x.values ? { ...held(exact.slice(valuesOf(x), axis, from, to)), name: x.name } : { ...x, shape };
    }
    return { ...this.node("Slice", [x], shape, { axis }), numbers: [from, to] };
  }

  concat(parts: readonly Value[], axis: number): Value {
    if (parts.length === 1) return parts[0];
    const length = parts.reduce((total, { shape }) => total + shape[axis], 0);
    const shape = parts[0].shape.map((all, one) => (one === axis ? length : all));
    return this.node("Concat", parts, shape, { axis });
  }

  softmax(x: Value): Value {
    return this.node("Softmax", [x], x.shape, { axis: -1 });
  }

  windowSum(x: Value, axis: number, before: number, after: number): Value {
    const { shape } = x;
    const width = before + after + 1;
    const viewed = this.reshape(x, [
      1,
      sizeOf(shape.slice(0, axis)),
      shape[axis],
      sizeOf(shape.slice(axis + 1)),
    ]);
    const pooled = this.node("AveragePool", [viewed], viewed.shape, {
      kernel_shape: [width, 1],
      pads: [before, 0, after, 0],
      count_include_pad: 1,
    });
    return this.mul(this.reshape(pooled, shape), width);
  }

  scan(
    inputs: readonly Value[],
    start: readonly Value[],
    step: (inputs: readonly Value[], states: readonly Value[]) => readonly Value[],
  ): { each: Value; last: Value } {
    const states = start.map(({ shape }, i) => this.input(`state_${i}`, shape));
    const elements = inputs.map(({ shape }, i) => this.input(`step_${i}`, shape.slice(1)));
    const outputs = step(elements, states);
    const body = { inputs: [...states, ...elements], outputs };
    const [{ shape }] = start;
    const loop = { ...this.node("Scan", [...start, ...inputs], shape), body };
    const output = (index: number, lengths: readonly number[]) =>
      this.node("output", [loop], lengths, { index });
    return { each: output(start.length, [inputs[0].shape[0], ...shape]), last: output(0, shape) };
  }

  stop(x: Value): Value {
    return x;
  }

  withSlope(y: Value): Value {
    return y;
  }

  normalize(norm: FusedNorm, x: Value, operands: NormalizeOperands<Value> = {}): NormalizeResult<Value> {
    // statistics that are asked for are the formula's; what is not used is not written
    const composed = composedNormalize<Value>(this, norm, x, operands);
    const { mask, residual, standardize } = operands;
    const plain = mask === undefined && residual === undefined && standardize === undefined;
    const y = plain && this.writing.written === "operator" ? this.byOperator(norm, x, operands) : undefined;
    return y === undefined ? composed : { ...composed, y };
  }

  /** y by ONNX's operator; undefined where there is none that means the same. */
  private byOperator(
    norm: FusedNorm,
    x: Value,
    { gamma, beta, mean, variance }: NormalizeOperands<Value>,
  ): Value | undefined {
    const plan = norm.plan(x.shape);
    // where the variance is 0 too, operators give NaN
    if (!(Math.fround(norm.epsilon) > 0)) return this.asLength(norm, plan, x, gamma, beta);
    const attributes = { epsilon: { float: norm.epsilon } };
    if (variance !== undefined) {
      const given = { gamma, beta, mean, variance };
      return norm.centered && mean !== undefined ? this.asBatch(plan, x, given, attributes) : undefined;
    }
    if (!norm.centered) return this.asRows(norm, x, gamma, beta);
    return this.asInstances(plan, x, gamma, beta, attributes) ?? this.asRows(norm, x, gamma, beta);
  }

  /** A length of 1 without an epsilon. */
  private asLength(norm: FusedNorm, { statistics, order }: Plan, x: Value, gamma?: Value, beta?: Value) {
    const { k1, r1, k2, r2 } = statistics;
    const [factor] = gamma?.operator === "constant" && !gamma.values ? gamma.numbers : [];
    const last = x.shape[x.shape.length - 1];
    const rows = k1 * last === sizeOf(x.shape) && r1 * k2 === 1 && r2 === last && order === undefined;
    if (norm.centered || beta !== undefined || !rows || factor !== 1 / Math.sqrt(last)) return undefined;
    return this.node("LpNormalization", [x], x.shape, { axis: -1, p: 2 });
  }

  /** Statistics that are given, of channels, which gamma and beta are of too. */
  private asBatch(
    { statistics, parameters, order }: Plan,
    x: Value,
    { gamma, beta, mean, variance }: Record<"gamma" | "beta" | "mean" | "variance", Value | undefined>,
    attributes: Attributes,
  ): Value | undefined {
    const view = channelsOf(statistics);
    const isSame = Object.entries(statistics).every(([name, length]) => parameters[name as "k1"] === length);
    if (!view || !mean || !variance || order !== undefined || ((gamma ?? beta) && !isSame)) return undefined;
    const { examples, channels, positions } = view;
    const isFirst = x.shape[0] === examples && x.shape[1] === channels;
    const viewed = isFirst
      ? x
      : this.reshape(x, [examples, channels, ...(positions === 1 ? [] : [positions])]);
    const [scale, bias] = [this.filled(gamma, 1, [channels]), this.filled(beta, 0, [channels])];
    const [centre, spread] = [mean, variance].map((statistic) => this.reshape(statistic, [channels]));
    const of = [viewed, scale, bias, centre, spread];
    return this.reshape(this.node("BatchNormalization", of, viewed.shape, attributes), x.shape);
  }

  /** Statistics of each channel, or group of channels, of each example. */
  private asInstances(
    { statistics, parameters, order, shape }: Plan,
    x: Value,
    gamma: Value | undefined,
    beta: Value | undefined,
    attributes: Attributes,
  ): Value | undefined {
    const { k1, r1, k2, r2 } = statistics;
    const [batch] = shape;
    const view = channelsOf(parameters);
    if (!view || order !== undefined || shape.length < 2) return undefined;
    const { examples, channels, positions } = view;
    const instances = (viewed: Value, scale: Value | undefined, bias: Value | undefined) => {
      const of = [viewed, this.filled(scale, 1, [viewed.shape[1]]), this.filled(bias, 0, [viewed.shape[1]])];
      return this.node("InstanceNormalization", of, viewed.shape, attributes);
    };
    if (r2 === 1 && r1 > 1 && k2 === channels && positions === 1 && examples === k1 * r1) {
      const turned = this.transpose(this.reshape(x, [k1, r1, k2]), [0, 2, 1]);
      return this.reshape(this.transpose(instances(turned, gamma, beta), [0, 2, 1]), shape);
    }
    if (r1 * k2 !== 1 || examples !== batch || k1 % batch !== 0 || channels * positions !== (k1 / batch) * r2)
      return undefined;
    const groups = k1 / batch;
    // rows of features
    if (groups * positions === 1) return undefined;
    if (channels === groups && shape.length > 2 && shape[1] === channels) return instances(x, gamma, beta);
    const isFirst = shape[1] === channels && shape.length > 2;
    if (this.writing.groupNormalization && this.writing.opset >= 21 && isFirst) {
      const of = [x, this.filled(gamma, 1, [channels]), this.filled(beta, 0, [channels])];
      return this.node("GroupNormalization", of, shape, { ...attributes, num_groups: groups });
    }
    const viewed = this.reshape(x, [batch, groups, r2]);
    if (channels === groups) return this.reshape(instances(viewed, gamma, beta), shape);
    const xHat = this.reshape(instances(viewed, undefined, undefined), shape);
    return affine<Value>(this, xHat, parameters, gamma, beta);
  }

  /** Statistics of rows: of trailing axes, or of others behind which those are put. */
  private asRows(norm: FusedNorm, x: Value, gamma?: Value, beta?: Value): Value {
    const { statistics, parameters, order, shape } = norm.plan(x.shape);
    const { k1, r1, k2, r2 } = statistics;
    const size = r1 * r2;
    const axis = [...shape.keys()].reverse().find((one) => sizeOf(shape.slice(one)) === size);
    const ofFeatures = parameters.k1 * parameters.r2 === 1 && parameters.k2 === size;
    if (order === undefined && r1 * k2 === 1 && axis !== undefined && (ofFeatures || !(gamma ?? beta))) {
      return this.rows(norm, x, axis, gamma, beta);
    }
    const ordered = order ? this.transpose(x, order) : x;
    const behind = this.transpose(this.reshape(ordered, [k1, r1, k2, r2]), [0, 2, 1, 3]);
    const standardized = this.rows(norm, this.reshape(behind, [k1 * k2, size]), 1);
    const xHat = this.transpose(this.reshape(standardized, [k1, k2, r1, r2]), [0, 2, 1, 3]);
    const y = affine<Value>(this, this.reshape(xHat, ordered.shape), parameters, gamma, beta);
    const back = order?.map((_, one) => order.indexOf(one));
    return back ? this.transpose(y, back) : y;
  }

  /** Rows of this axis and those behind it, by the operator; or, where the version has none, in the operators that runtimes know it by. */
  private rows({ centered, epsilon }: FusedNorm, x: Value, axis: number, gamma?: Value, beta?: Value): Value {
    const rank = x.shape.length;
    const lengths = x.shape.slice(axis);
    const [scale, bias] = [gamma, beta].map((parameter) => parameter && this.reshape(parameter, lengths));
    const affineOf = (y: Value, factor?: Value) => {
      const scaled = factor === undefined ? y : this.mul(y, factor);
      return bias === undefined ? scaled : this.add(scaled, bias);
    };
    const of = [x, scale ?? this.filled(undefined, 1, lengths)];
    const attributes = { epsilon: { float: epsilon }, axis: axis - rank };
    if (centered) return this.node("LayerNormalization", bias ? [...of, bias] : of, x.shape, attributes);
    if (this.writing.opset >= 23) return affineOf(this.node("RMSNormalization", of, x.shape, attributes));
    const axes = [...x.shape.keys()].slice(axis);
    const square = this.node("Pow", [x, uniform(2, [])], x.shape);
    const mean = this.div(this.sum(square, axes), sizeOf(lengths));
    return affineOf(this.div(x, this.sqrt(this.add(mean, epsilon))), scale);
  }

  /** A parameter of this shape; this value for all where there is none. */
  private filled(parameter: Value | undefined, value: number, shape: readonly number[]): Value {
    return parameter ? this.reshape(parameter, shape) : this.constant([value], shape);
  }

  private node(
    operator: string,
    of: readonly Value[],
    shape: readonly number[],
    attributes: Attributes = {},
  ): Value {
    return { operator, of, shape, attributes, numbers: [] };
  }

  private cast(x: Value, to: string): Value {
    return this.node("Cast", [x], x.shape, { to });
  }

  private chosen(condition: Value, a: Operand<Value>, b: Operand<Value>): Value {
    const [from] = condition.of;
    const truth =
      condition.operator === "Cast" && from.operator === "Greater" ? from : this.cast(condition, "bool");
    const shape = [condition, a, b].map(shapeOf).reduce(broadcastShape);
    return this.node("Where", [truth, ...thin([condition, a, b], shape).slice(1)], shape);
  }

  private expanded(x: Value, shape: readonly number[]): Value {
    if (sameShape(x.shape, shape)) return x;
    if (x.operator === "constant" && !x.values) return { ...x, shape };
    return { ...this.node("Expand", [x], shape), numbers: shape };
  }

  /** @param neutral as the second operand it changes nothing; of sums and products as the first one too */
  private elementwise(
    operator: string,
    operands: readonly Operand<Value>[],
    of: (...values: Values64[]) => Values64,
    neutral?: number,
  ): Value {
    const shape = operands.map(shapeOf).reduce(broadcastShape);
    const values = operands.map(asValue);
    if (values.every(isUniform)) {
      const [value] = of(
        ...values.map(({ numbers }) => ({ shape: [], data: Float64Array.from(numbers) })),
      ).data;
      return uniform(value, shape);
    }
    if (values.every((value) => value.operator === "constant")) {
      const scalars = values.map((value) => (isUniform(value) ? uniform(value.numbers[0], []) : value));
      const name = values.find((value) => value.name !== undefined)?.name;
      return this.expanded({ ...held(of(...scalars.map(valuesOf))), name }, shape);
    }
    const [a, b] = values;
    const changesNothing = (value?: Value) => value && isUniform(value) && value.numbers[0] === neutral;
    if (changesNothing(b)) return this.expanded(a, shape);
    if ((operator === "Add" || operator === "Mul") && changesNothing(a)) return this.expanded(b, shape);
    return this.node(operator, thin(values, shape), shape);
  }

  private reduced(
    operator: "ReduceSum" | "ReduceMax",
    x: Value,
    axes: readonly number[],
    of: (values: Values64, axes: readonly number[]) => Values64,
  ): Value {
    const shape = x.shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
    if (sameShape(shape, x.shape)) return x;
    if (x.operator !== "constant") return this.node(operator, [x], shape, { axes, keepdims: 1 });
    if (x.values) return { ...held(of(valuesOf(x), axes)), name: x.name };
    const count = operator === "ReduceSum" ? sizeOf(x.shape) / sizeOf(shape) : 1;
    return uniform(x.numbers[0] * count, shape);
  }
}

/** A constant of one value. */
const uniform = (value: number, shape: readonly number[]): Value => ({
  ...{ operator: "constant", of: [], shape, attributes: {}, numbers: [value] },
});

function held({ shape, data }: Values64): Value {
  if (data.every((value) => Object.is(value, data[0]))) return uniform(data[0], shape);
  return { operator: "constant", of: [], shape, attributes: {}, numbers: [], values: data };
}

const isUniform = ({ operator, values }: Value) => operator === "constant" && values === undefined;

const asValue = (operand: Operand<Value>): Value =>
  typeof operand === "number" ? uniform(operand, []) : operand;

const shapeOf = (operand: Operand<Value>) => (typeof operand === "number" ? [] : operand.shape);

/** What is repeated without its copies, where the others have the shape of the result. */
function thin(operands: readonly Operand<Value>[], shape: readonly number[]): Value[] {
  const values = operands.map(asValue);
  const small = values.map((value) =>
    isUniform(value) ? uniform(value.numbers[0], []) : value.operator === "Expand" ? value.of[0] : value,
  );
  return sameShape(small.map((value) => value.shape).reduce(broadcastShape), shape) ? small : values;
}

/** All values of a constant. */
function valuesOf({ values, numbers, shape }: Value): Values64 {
  const data = values ? Float64Array.from(values) : new Float64Array(sizeOf(shape)).fill(numbers[0]);
  return { shape, data };
}

/** What a view keeps and reduces, where that is an axis of channels between examples and positions. */
function channelsOf({ k1, r1, k2, r2 }: Plan["statistics"]) {
  if (k1 === 1) return { examples: r1, channels: k2, positions: r2 };
  return r1 * k2 === 1 ? { examples: 1, channels: k1, positions: r2 } : undefined;
}
