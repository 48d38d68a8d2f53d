/**
 * The values that one operator gives, in float64: by its meaning, and of those that have none in `Ops`, such as integer arithmetic,
 * here. Reals are not rounded to their types in between; integers and booleans are what they are, up to 2⁵³.
 */
import { Eager, type Values64 } from "../../formula/eager.js";
import { broadcastShape, sizeOf } from "../../shape.js";
import { convolution } from "./convolutions.js";
import type { Node } from "./graph.js";
import { meaningOf } from "./meaning.js";
import { type Call, isReal, Operands, ofDialect, unknown, unlessUnknown } from "./operators.js";
import { onnx as meanings } from "./operators-onnx.js";

const eager = new Eager();

/** Axes, lengths and places that an operator is told, at most. */
const MOST_NAMED = 2 ** 16;

type Exact = (operands: Operands<Values64>) => readonly Values64[];

/** Each value on its own. */
function each(value: (x: number) => number): Exact {
  return (operands) => {
    const { shape, data } = operands.at(0);
    return [{ shape, data: data.map(value) }];
  };
}

/** Pairs, broadcast. */
function pairs(value: (a: number, b: number) => number): Exact {
  return (operands) => {
    const [a, b] = [operands.at(0), operands.at(1)];
    const shape = broadcastShape(a.shape, b.shape);
    const [p, q] = [a, b].map((one) => operands.expanded(one, shape).data);
    return [{ shape, data: p.map((one, i) => value(one, q[i])) }];
  };
}

const truth = (value: (a: number, b: number) => boolean) => pairs((a, b) => (value(a, b) ? 1 : 0));

/** Integers towards 0, booleans 0 or 1, reals as they are. */
export function castTo(x: Values64, to: string): Values64 | undefined {
  if (isReal(to)) return x;
  if (to === "bool") return { shape: x.shape, data: x.data.map((one) => (one === 0 ? 0 : 1)) };
  return /^u?int(4|8|16|32|64)$/.test(to) ? { shape: x.shape, data: x.data.map(Math.trunc) } : undefined;
}

/** Ties to even. */
function rounded(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
}

const floorMod = (a: number, b: number) => a - Math.floor(a / b) * b;

const quotient: Exact = (operands) => {
  const dtype = operands.dtype(0);
  // 0 in what is not known is no quotient of integers, which would not run
  return (dtype === undefined || isReal(dtype) ? unknown() : pairs((a, b) => Math.trunc(a / b)))(operands);
};

const range: Exact = (operands) => {
  const [start, limit, delta] = [0, 1, 2].map((input) => operands.scalar(input) ?? unknown());
  const length = Math.max(0, Math.ceil((limit - start) / delta));
  return [{ shape: [length], data: Float64Array.from({ length }, (_, i) => start + i * delta) }];
};

/** Rows along an axis by index, however many. */
const gather =
  (axisOf: (operands: Operands<Values64>) => number): Exact =>
  (operands) => {
    const x = operands.at(0);
    const indices = operands.at(1);
    const axis = operands.axis(axisOf(operands));
    const length = x.shape[axis];
    const [outer, inner] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)];
    const [rows, width] = [sizeOf(outer), sizeOf(inner)];
    const shape = [...outer, ...indices.shape, ...inner];
    const data = new Float64Array(sizeOf(shape));
    let to = 0;
    for (let row = 0; row < rows; row++) {
      for (const index of indices.data) {
        const place = index < 0 ? index + length : index;
        if (!(place >= 0 && place < length)) unknown();
        const from = (row * length + place) * width;
        data.set(x.data.subarray(from, from + width), to);
        to += width;
      }
    }
    return [{ shape, data }];
  };

function products(axesOf: (operands: Operands<Values64>) => readonly number[], keeps: string): Exact {
  return (operands) => {
    let { shape, data } = operands.at(0);
    const axes = axesOf(operands);
    for (const axis of axes) {
      const [length, width] = [shape[axis], sizeOf(shape.slice(axis + 1))];
      const all = data;
      data = Float64Array.from({ length: sizeOf(shape.with(axis, 1)) }, (_, i) => {
        const from = Math.floor(i / width) * length * width + (i % width);
        let product = 1;
        for (let place = 0; place < length; place++) product *= all[from + place * width];
        return product;
      });
      shape = shape.with(axis, 1);
    }
    if (operands.flag(keeps, keeps === "keepdims")) return [{ shape, data }];
    return [{ shape: shape.filter((_, axis) => !axes.includes(axis)), data }];
  };
}

function axesOfReduction(operands: Operands<Values64>): readonly number[] {
  const axes = operands.node.opset < 18 ? operands.list("axes") : operands.knownIfGiven(1);
  if (axes?.length) return operands.axes(axes);
  return operands.flag("noop_with_empty_axes", false) ? [] : [...operands.shape().keys()];
}

function constantOfShape(operands: Operands<Values64>): readonly Values64[] {
  const shape = operands.known(0);
  return [{ shape, data: new Float64Array(sizeOf(shape)).fill(operands.constant("value", 0)) }];
}

const not = each((x) => (x === 0 ? 1 : 0));
const and = truth((a, b) => a !== 0 && b !== 0);
const or = truth((a, b) => a !== 0 || b !== 0);
const floor = each(Math.floor);
const ceil = each(Math.ceil);
const shared: Readonly<Record<string, Exact>> = {
  Floor: floor,
  Ceil: ceil,
  Round: each(rounded),
  Log: each(Math.log),
  Sin: each(Math.sin),
  Cos: each(Math.cos),
  Softplus: each((x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))),
  Equal: truth((a, b) => a === b),
  Pow: pairs((a, b) => a ** b),
  Range: range,
};

const onnx: Readonly<Record<string, Exact>> = {
  ...shared,
  GreaterOrEqual: truth((a, b) => a >= b),
  LessOrEqual: truth((a, b) => a <= b),
  Not: not,
  And: and,
  Or: or,
  Xor: truth((a, b) => (a !== 0) !== (b !== 0)),
  Div: quotient,
  Mod: (operands) => pairs(operands.flag("fmod", false) ? (a, b) => a % b : floorMod)(operands),
  ReduceProd: products(axesOfReduction, "keepdims"),
  Gather: gather((operands) => operands.number("axis", 0)),
  ConstantOfShape: constantOfShape,
  Conv: convolution(false),
  ConvTranspose: convolution(true),
  // what is 0 throughout stays so
  LpNormalization: (operands) => {
    const [y] = meanings.LpNormalization(operands);
    return [eager.where(operands.at(0), y, 0)];
  },
};

const tensorflow: Readonly<Record<string, Exact>> = {
  ...shared,
  Log1p: each(Math.log1p),
  GreaterEqual: truth((a, b) => a >= b),
  LessEqual: truth((a, b) => a <= b),
  NotEqual: truth((a, b) => a !== b),
  LogicalNot: not,
  LogicalAnd: and,
  LogicalOr: or,
  FloorDiv: pairs((a, b) => Math.floor(a / b)),
  FloorMod: pairs(floorMod),
  Div: quotient,
  Prod: products((operands) => operands.axes(operands.known(1)), "keep_dims"),
  GatherV2: (operands) => {
    if (operands.number("batch_dims", 0) !== 0) unknown();
    return gather(() => operands.scalar(2) ?? unknown())(operands);
  },
};

/** The outputs of a node; undefined where they cannot be computed of what is given. */
export function computed(
  node: Node,
  inputs: readonly (Values64 | undefined)[],
  about: Pick<Call<Values64>, "dtype" | "setting">,
): readonly Values64[] | undefined {
  const call: Call<Values64> = {
    ops: eager,
    node,
    inputs,
    known: (input) => {
      const data = inputs[input]?.data;
      return data && data.length <= MOST_NAMED ? Array.from(data) : undefined;
    },
    ...about,
    cast: castTo,
  };
  const own = ofDialect(node, { onnx, microsoft: {}, tensorflow });
  return (own && unlessUnknown(() => own(new Operands(call)))) ?? meaningOf(call);
}
