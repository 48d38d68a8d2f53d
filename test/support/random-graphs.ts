/**
 * Random networks around normalizations, each written in a random one of the ways that exporters have, and around what only looks like
 * one: files for onnxruntime, with what is to be found in each. The same seed gives the same network.
 */
import { bytesField, integerField, message, textField } from "../../src/checkpoints/encodings/protobuf.js";
import type { Found } from "../../src/checkpoints/graphs/found.js";
import type { NewConstant, NewNode } from "../../src/checkpoints/graphs/graph.js";
import {
  constantNodeMessage,
  elementType,
  nodeMessage,
  opsetMessage,
  tensorMessage,
  valueMessage,
} from "../../src/onnx/messages.js";
import { sizeOf } from "../../src/shape.js";
import { normal, random } from "./numerics.js";

/** A normalization of a network, or what only looks like one. */
export interface Site {
  /** How it is written, for people. */
  readonly way: string;
  /** Names of what its nodes give. */
  readonly values: ReadonlySet<string>;
  /** What must be found; undefined where nothing may be. */
  readonly expected?: Expected;
}

export interface Expected {
  /** Any of these is right: layer normalization over positions is instance normalization. */
  readonly norms: readonly Found["norm"][];
  readonly epsilon: number;
  readonly epsilonAt: Found["epsilonAt"];
}

export interface RandomGraph {
  readonly seed: number;
  readonly bytes: Uint8Array;
  readonly opset: number;
  readonly dtype: "float32" | "float16";
  readonly sites: readonly Site[];
  readonly feeds: Readonly<Record<string, { shape: readonly number[]; data: Float32Array }>>;
  /** Of every value that is computed, by its name, in all of the model's graphs. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
}

type Dtype = "float32" | "float16";
type Attributes = NewNode["attributes"];

/** Nodes and constants of one graph of the model. */
interface Scope {
  readonly nodes: Uint8Array[];
  readonly constants: NewConstant[];
  /** Functions have no initializers. */
  readonly isFunction: boolean;
  /** Of a node of the model's own graph. */
  readonly isInner: boolean;
}

/** Lengths of axes that files leave open; others are no multiples of 7. */
const [BATCH, OPEN] = [3, 7];
const CENTERED = ["layerNorm", "instanceNorm", "groupNorm"] as const;

/** @param seed of everything that is chosen */
export function randomGraph(seed: number): RandomGraph {
  return new Generator(seed).graph();
}

class Generator {
  private readonly next: () => number;
  private readonly opset: number;
  private readonly dtype: Dtype;
  /** Networks in float16 of which the normalizations are in float32. */
  private readonly isMixed: boolean;
  private readonly shapes = new Map<string, readonly number[]>();
  private readonly dtypes = new Map<string, Dtype>();
  private readonly sites: Site[] = [];
  private readonly functions: Uint8Array[] = [];
  private readonly outputs: string[] = [];
  private scope: Scope = { nodes: [], constants: [], isFunction: false, isInner: false };
  private site = new Set<string>();
  private count = 0;
  private readonly noise: number;

  constructor(private readonly seed: number) {
    this.next = random(seed * 2654435761);
    this.opset = this.pick([7, 8, 9, 10, 11, 11, 12, 13, 13, 14, 15, 16, 17, 17, 18, 19, 20, 21, 22, 23, 23]);
    const kind = this.next();
    this.dtype = kind < 0.62 ? "float32" : "float16";
    this.isMixed = kind > 0.75;
    this.noise = this.pick([0, 0, 0.05, 0.2]);
  }

  // choices

  private chance(probability: number): boolean {
    return this.next() < probability;
  }

  private pick<V>(all: readonly V[]): V {
    return all[Math.floor(this.next() * all.length)];
  }

  // nodes

  private fresh(what: string): string {
    return `${what}_${this.count++}`;
  }

  private shape(name: string): readonly number[] {
    return this.shapes.get(name) as readonly number[];
  }

  private type(name: string): Dtype {
    return this.dtypes.get(name) as Dtype;
  }

  private raw(
    operator: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Attributes = {},
    domain = "",
  ) {
    const name = this.chance(0.5) ? "" : this.fresh("node");
    this.scope.nodes.push(nodeMessage({ name, operator, domain, inputs, outputs, attributes }));
  }

  private value(what: string, shape: readonly number[], dtype: Dtype): string {
    const name = this.fresh(what);
    this.shapes.set(name, shape);
    this.dtypes.set(name, dtype);
    this.site.add(name);
    return name;
  }

  /** A node of one output, by default of the first input's shape and type. */
  private node(
    operator: string,
    inputs: readonly string[],
    attributes: Attributes = {},
    shape = this.shape(inputs[0]),
    dtype = this.type(inputs[0]),
  ): string {
    const name = this.value(operator.toLowerCase(), shape, dtype);
    this.raw(operator, inputs, [name], attributes);
    return this.handed(name);
  }

  /** Perhaps through nodes that only hand it on. */
  private handed(name: string): string {
    if (!this.chance(this.noise)) return name;
    const other = this.value("same", this.shape(name), this.type(name));
    // within a branch, onnxruntime takes Dropout out together with what it reads
    const operators = this.scope.isInner ? ["Identity"] : ["Identity", "Dropout"];
    this.raw(this.pick(operators), [name], [other]);
    return other;
  }

  /** Of two operands that broadcast, in either order where it does not matter. */
  private two(operator: "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Max" | "Min", a: string, b: string): string {
    const [p, q] = [this.shape(a), this.shape(b)];
    const rank = Math.max(p.length, q.length);
    const shape = Array.from({ length: rank }, (_, axis) => {
      const [m, n] = [p[axis - rank + p.length] ?? 1, q[axis - rank + q.length] ?? 1];
      return m === 1 ? n : m;
    });
    const isTurned = /Add|Mul|Max/.test(operator) && this.chance(0.4);
    return this.node(operator, isTurned ? [b, a] : [a, b], {}, shape, this.type(a));
  }

  private constant(
    values: number | ArrayLike<number>,
    shape: readonly number[],
    dtype: NewConstant["dtype"],
  ): string {
    const name = this.fresh("constant");
    const size = sizeOf(shape);
    const all = typeof values === "number" ? new Array<number>(size).fill(values) : values;
    const constant: NewConstant = { name, shape, dtype, values: all };
    if (dtype === "float32" || dtype === "float16") {
      this.shapes.set(name, shape);
      this.dtypes.set(name, dtype);
    }
    if (this.scope.isFunction || this.chance(0.3))
      this.scope.nodes.push(constantNodeMessage("random", constant));
    else this.scope.constants.push(constant);
    return name;
  }

  /** A number to calculate with, in one of the shapes that broadcast to any of this rank. */
  private number(value: number, like: string): string {
    const rank = this.shape(like).length;
    const shape = this.pick([[], [], [1], new Array<number>(rank).fill(1)]);
    return this.constant(value, shape.length > rank ? [] : shape, this.type(like));
  }

  private integers(values: readonly number[]): string {
    return this.constant(values, [values.length], "int64");
  }

  private cast(x: string, dtype: Dtype): string {
    if (this.type(x) === dtype) return x;
    return this.node("Cast", [x], { to: { integer: elementType(dtype) } }, this.shape(x), dtype);
  }

  private transposed(x: string, order: readonly number[]): string {
    if (order.every((axis, i) => axis === i)) return x;
    const shape = order.map((axis) => this.shape(x)[axis]);
    return this.node("Transpose", [x], { perm: { integer: order } }, shape);
  }

  /** By numbers, of which open lengths are copied or left to be told; or by the shape of another. */
  private reshaped(x: string, shape: readonly number[], like?: string): string {
    if (like !== undefined && this.chance(0.3)) {
      const lengths = this.fresh("shape");
      this.raw("Shape", [like], [lengths]);
      return this.node("Reshape", [x, lengths], {}, shape);
    }
    const copied = shape.map((length, i) =>
      i === 0 && length === BATCH && this.shape(x)[0] === BATCH ? 0 : length,
    );
    const open = copied.findIndex((length) => length % OPEN === 0 && length > 0);
    const free = open >= 0 ? open : copied[0] === 0 && this.chance(0.4) ? copied.length - 1 : -1;
    const lengths = copied.map((length, i) => (i === free && i > 0 ? -1 : length));
    return this.node("Reshape", [x, this.integers(lengths)], {}, shape);
  }

  private unsqueezed(x: string, axes: readonly number[], shape: readonly number[]): string {
    if (this.opset < 13) return this.node("Unsqueeze", [x], { axes: { integer: axes } }, shape);
    return this.node("Unsqueeze", [x, this.integers(axes)], {}, shape);
  }

  // what normalizations are made of

  private reduced(operator: string, x: string, axes: readonly number[]): string {
    const shape = this.shape(x);
    const named = this.opset >= 11 && this.chance(0.4) ? axes.map((axis) => axis - shape.length) : axes;
    const kept = shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
    const keeps = this.chance(0.8);
    const short = shape.filter((_, axis) => !axes.includes(axis));
    const isInput = this.opset >= (operator === "ReduceSum" ? 13 : 18);
    const value = this.node(
      operator,
      isInput ? [x, this.integers(named)] : [x],
      {
        ...(!isInput && { axes: { integer: named } }),
        ...((!keeps || this.chance(0.5)) && { keepdims: { integer: Number(keeps) } }),
      },
      keeps ? kept : short,
    );
    if (keeps) return value;
    return this.chance(0.6) || short.length === 0
      ? this.unsqueezed(value, axes, kept)
      : this.reshaped(value, kept);
  }

  private length(x: string, axes: readonly number[]): number {
    return sizeOf(axes.map((axis) => this.shape(x)[axis]));
  }

  private mean(x: string, axes: readonly number[]): string {
    const rank = this.shape(x).length;
    const isSpatial = rank > 2 && axes.length === rank - 2 && axes[0] === 2;
    const isOpen = axes.some((axis) => this.shape(x)[axis] % OPEN === 0);
    if (isSpatial && this.chance(0.3)) {
      const kept = this.shape(x).map((length, axis) => (axes.includes(axis) ? 1 : length));
      return this.node("GlobalAveragePool", [x], {}, kept);
    }
    if (isOpen || this.chance(0.75)) return this.reduced("ReduceMean", x, axes);
    return this.shared(this.reduced("ReduceSum", x, axes), this.length(x, axes));
  }

  private shared(sum: string, count: number): string {
    // float16 has no 1/n but of powers of two
    const isExact = this.type(sum) === "float32" || Number.isInteger(Math.log2(count));
    return isExact && this.chance(0.5)
      ? this.two("Mul", sum, this.number(1 / count, sum))
      : this.two("Div", sum, this.number(count, sum));
  }

  private power(x: string, exponent: number): string {
    const isWhole = Number.isInteger(exponent) && this.opset >= 12 && this.chance(0.2);
    const dtype = isWhole ? this.pick(["int64", "int32"] as const) : this.type(x);
    const value = this.constant(exponent, this.pick([[], [1]]), dtype);
    return this.node("Pow", [x, value]);
  }

  private square(x: string): string {
    return this.chance(0.5) ? this.power(x, 2) : this.node("Mul", [x, x]);
  }

  private root(x: string): string {
    return this.chance(0.85) ? this.node("Sqrt", [x]) : this.power(x, 0.5);
  }

  private inverse(x: string): string {
    return this.chance(0.5)
      ? this.node("Reciprocal", [x])
      : this.node("Div", [this.constant(1, this.pick([[], [1]]), this.type(x)), x], {}, this.shape(x));
  }

  /** At least a number. */
  private bounded(x: string, least: number): string {
    if (this.opset < 11) return this.node("Clip", [x], { min: { float: least } });
    if (this.chance(0.5)) return this.node("Clip", [x, this.constant(least, [], this.type(x))]);
    return this.two("Max", x, this.number(least, x));
  }

  /**
   * (x − mean)/√(variance + epsilon)·gamma + beta, or the same without the mean, written in one of its ways.
   * @param gamma gives gamma as it broadcasts to x, of this type
   */
  private writtenOut(x: string, axes: readonly number[], how: Written): string {
    const { centered, epsilon, epsilonAt, gamma, beta } = how;
    const isOpen = axes.some((axis) => this.shape(x)[axis] % OPEN === 0);
    const mean = centered ? this.mean(x, axes) : undefined;
    const distance = (): string =>
      mean === undefined ? x : this.two("Sub", x, this.chance(0.9) ? mean : this.mean(x, axes));
    const d = distance();
    const others = this.chance(0.85) ? d : distance();
    const way = this.next();
    let variance: string;
    if (mean !== undefined && way < 0.2)
      variance = this.two("Sub", this.mean(this.square(x), axes), this.square(mean));
    else if (way < 0.35 && !isOpen)
      variance = this.shared(this.reduced("ReduceSumSquare", others, axes), this.length(x, axes));
    else if (way < 0.42 && !isOpen)
      variance = this.shared(this.square(this.reduced("ReduceL2", others, axes)), this.length(x, axes));
    else variance = this.mean(this.square(others), axes);
    const inside =
      epsilonAt === "inside" && epsilon > 0
        ? this.two("Add", variance, this.number(epsilon, variance))
        : variance;
    const type = this.type(x);
    const [scale, offset] = [gamma?.(type), beta?.(type)];
    const last = (y: string): string => {
      const scaled = scale === undefined ? y : this.two("Mul", y, scale);
      return offset === undefined ? scaled : this.two("Add", scaled, offset);
    };
    if (epsilonAt === "outside") {
      const root = this.root(inside);
      return last(this.two("Div", d, this.two("Add", root, this.number(epsilon, root))));
    }
    const form = this.next();
    if (form < 0.4) {
      if (scale !== undefined && this.chance(0.15)) {
        const y = this.two("Div", this.two("Mul", d, scale), this.root(inside));
        return offset === undefined ? y : this.two("Add", y, offset);
      }
      return last(this.two("Div", d, this.root(inside)));
    }
    const rstd = this.chance(0.25)
      ? this.power(inside, -0.5)
      : this.chance(0.15)
        ? this.root(this.inverse(inside))
        : this.inverse(this.root(inside));
    if (form < 0.7 || (scale === undefined && offset === undefined)) return last(this.two("Mul", d, rstd));
    const factor = scale === undefined ? rstd : this.two("Mul", rstd, scale);
    if (form > 0.85 && mean !== undefined) {
      const moved = this.two("Mul", mean, factor);
      const both = this.two("Mul", x, factor);
      if (offset === undefined) return this.two("Sub", both, moved);
      return this.two("Add", both, this.two("Sub", offset, moved));
    }
    const y = this.two("Mul", d, factor);
    return offset === undefined ? y : this.two("Add", y, offset);
  }

  /** A parameter with values along these axes, as it broadcasts to this rank, in one of the ways in which it is stored. */
  private parameter(
    like: readonly number[],
    axes: readonly number[],
    middle: number,
  ): (type: Dtype) => string {
    const lengths = axes.map((axis) => like[axis]);
    const first = Math.min(...axes);
    const full = like.slice(first).map((length, i) => (axes.includes(first + i) ? length : 1));
    const values = normal(sizeOf(lengths), Math.floor(this.next() * 1e9), middle, 0.3);
    const way = this.next();
    return (type) => {
      const stored = this.isMixed && this.chance(0.5) ? "float16" : type;
      const merged = way < 0.12;
      const isShaped = way > 0.85 && String(full) !== String(lengths);
      let name = this.constant(
        merged ? values.map((value) => value - 1) : values,
        isShaped ? lengths : full,
        stored,
      );
      if (merged) name = this.two("Add", name, this.number(1, name));
      if (isShaped) name = this.reshapedConstant(name, full);
      return this.cast(name, type);
    };
  }

  private reshapedConstant(name: string, shape: readonly number[]): string {
    return this.node("Reshape", [name, this.integers(shape)], {}, shape);
  }

  private epsilon(): number {
    return this.pick([1e-5, 1e-5, 1e-6, 1e-3, 1e-4]);
  }

  private affine(like: readonly number[], axes: readonly number[]): Pick<Written, "gamma" | "beta"> {
    const way = this.next();
    return {
      ...(way < 0.75 && { gamma: this.parameter(like, axes, 1) }),
      ...(way < 0.6 || way > 0.9 ? { beta: this.parameter(like, axes, 0) } : {}),
    };
  }

  /** In float32, where the network is in float16. */
  private wide(x: string, normalize: (x: string) => string): string {
    if (!this.isMixed) return normalize(x);
    return this.cast(normalize(this.cast(x, "float32")), this.dtype);
  }

  // normalizations

  private layer(x: string): Made {
    const shape = this.shape(x);
    const rank = shape.length;
    const axes = rank > 2 && this.chance(0.2) && shape.at(-2) !== OPEN ? [rank - 2, rank - 1] : [rank - 1];
    const centered = this.chance(0.65);
    const isTurned = rank > 2 && axes.length === 1 && this.chance(0.3);
    const order = isTurned
      ? [0, ...shape.keys()].slice(0, 1).concat([...shape.keys()].slice(2), [1])
      : [...shape.keys()];
    const seen = order.map((axis) => shape[axis]);
    const isOperator = this.opset >= (centered ? 17 : 23) && this.chance(0.3);
    if (axes.some((axis) => seen[axis] === OPEN)) return this.instance(x);
    const epsilon = this.epsilon();
    const absent = !isOperator && this.dtype === "float32" && this.chance(0.05);
    const isOutside = !isOperator && !absent && this.chance(0.07);
    const expected: Expected = {
      norms: centered ? CENTERED : ["rmsNorm", ...(absent || isOutside ? (["unitNorm"] as const) : [])],
      epsilon: absent ? 0 : epsilon,
      epsilonAt: isOutside ? "outside" : "inside",
    };
    const turned = this.transposed(x, order);
    const back = (y: string) => this.transposed(y, inverseOf(order));
    if (isOperator) {
      const values = normal(this.length(turned, axes), Math.floor(this.next() * 1e9), 1, 0.3);
      const lengths = axes.map((axis) => seen[axis]);
      const inputs = [turned, this.constant(values, lengths, this.dtype)];
      if (centered && this.chance(0.7))
        inputs.push(
          this.constant(
            values.map((value) => value - 1),
            lengths,
            this.dtype,
          ),
        );
      const attributes = {
        axis: { integer: this.chance(0.5) ? axes[0] : axes[0] - rank },
        epsilon: { float: epsilon },
      };
      return {
        y: back(this.node(centered ? "LayerNormalization" : "RMSNormalization", inputs, attributes)),
        expected,
        way: "operator of layers",
      };
    }
    // over channels where they are, or over what was brought last
    const isWithin = isTurned && this.chance(0.5);
    const [start, along] = isWithin ? [x, [1]] : [turned, axes];
    const how = {
      centered,
      epsilon: absent ? 0 : epsilon,
      epsilonAt: expected.epsilonAt,
      ...this.affine(this.shape(start), along),
    };
    const y = this.wide(start, (value) => this.writtenOut(value, along, how));
    return {
      y: isWithin ? y : back(y),
      expected,
      way: `layers written out${centered ? "" : ", not centred"}`,
    };
  }

  private instance(x: string): Made {
    const shape = this.shape(x);
    const axes = [...shape.keys()].slice(2);
    if (axes.length === 0) return this.layer(x);
    const epsilon = this.epsilon();
    const expected: Expected = { norms: CENTERED, epsilon, epsilonAt: "inside" };
    if (this.chance(0.35)) {
      const [gamma, beta] = [1, 0].map((middle) =>
        this.constant(normal(shape[1], Math.floor(this.next() * 1e9), middle, 0.3), [shape[1]], this.dtype),
      );
      const y = this.node("InstanceNormalization", [x, gamma, beta], { epsilon: { float: epsilon } });
      return { y, expected, way: "operator of instances" };
    }
    const how = { centered: true, epsilon, epsilonAt: "inside" as const, ...this.affine(shape, [1]) };
    return {
      y: this.wide(x, (value) => this.writtenOut(value, axes, how)),
      expected,
      way: "instances written out",
    };
  }

  private group(x: string): Made {
    const shape = this.shape(x);
    const channels = shape[1];
    const rest = shape.slice(2);
    if (rest.length === 0 || channels % 2 !== 0) return this.layer(x);
    const groups = this.pick([1, 2, channels / 2]);
    const epsilon = this.epsilon();
    const expected: Expected = { norms: CENTERED, epsilon, epsilonAt: "inside" };
    const affine = this.affine(shape, [1]);
    const way = this.next();
    if (this.opset >= 21 && way < 0.25) {
      const [gamma, beta] = [1, 0].map((middle) =>
        this.constant(normal(channels, Math.floor(this.next() * 1e9), middle, 0.3), [channels], this.dtype),
      );
      const y = this.node("GroupNormalization", [x, gamma, beta], {
        epsilon: { float: epsilon },
        num_groups: { integer: groups },
      });
      return { y, expected, way: "operator of groups" };
    }
    const scaled = (xHat: string): string => {
      const type = this.type(xHat);
      const y = affine.gamma ? this.two("Mul", xHat, affine.gamma(type)) : xHat;
      return affine.beta ? this.two("Add", y, affine.beta(type)) : y;
    };
    const inGroups = (value: string, apart: readonly number[], normalize: (rows: string) => string) =>
      scaled(this.reshaped(normalize(this.reshaped(value, apart)), shape, value));
    if (way < 0.5) {
      const y = this.wide(x, (value) =>
        inGroups(value, [shape[0], groups, sizeOf(shape.slice(1)) / groups], (rows) => {
          const [ones, zeros] = [1, 0].map((one) => this.constant(one, [groups], this.type(rows)));
          return this.node("InstanceNormalization", [rows, ones, zeros], { epsilon: { float: epsilon } });
        }),
      );
      return { y, expected, way: "groups as instances" };
    }
    const isFlat = way < 0.75;
    const apart = isFlat
      ? [shape[0], groups, sizeOf(shape.slice(1)) / groups]
      : [shape[0], groups, channels / groups, ...rest];
    const axes = [...apart.keys()].slice(2);
    const y = this.wide(x, (value) =>
      inGroups(value, apart, (rows) =>
        this.writtenOut(rows, axes, { centered: true, epsilon, epsilonAt: "inside" }),
      ),
    );
    return { y, expected, way: "groups written out" };
  }

  private unit(x: string): Made {
    const rank = this.shape(x).length;
    const axes = this.chance(0.7) ? [rank - 1] : [1];
    const way = this.next();
    const epsilon = this.dtype === "float16" ? 1e-4 : this.pick([1e-12, 1e-6, 1e-4]);
    const norms = ["unitNorm", "rmsNorm"] as const;
    if (way < 0.15) {
      const y = this.node("LpNormalization", [x], { axis: { integer: axes[0] }, p: { integer: 2 } });
      return { y, expected: { norms, epsilon: 0, epsilonAt: "inside" }, way: "operator of lengths" };
    }
    const length = (value: string) =>
      this.chance(0.5)
        ? this.reduced("ReduceL2", value, axes)
        : this.root(
            this.chance(0.5)
              ? this.reduced("ReduceSumSquare", value, axes)
              : this.reduced("ReduceSum", this.square(value), axes),
          );
    const divided = (value: string, divisor: string) =>
      this.chance(0.7) ? this.two("Div", value, divisor) : this.two("Mul", value, this.inverse(divisor));
    if (way < 0.35) {
      const y = this.wide(x, (value) => divided(value, length(value)));
      return { y, expected: { norms, epsilon: 0, epsilonAt: "inside" }, way: "x over its length" };
    }
    if (way < 0.7) {
      const y = this.wide(x, (value) => divided(value, this.bounded(length(value), epsilon)));
      return { y, expected: { norms, epsilon, epsilonAt: "bound" }, way: "x over its length, bounded" };
    }
    if (way < 0.85) {
      const y = this.wide(x, (value) => {
        const own = length(value);
        return divided(value, this.two("Add", own, this.number(epsilon, own)));
      });
      return { y, expected: { norms, epsilon, epsilonAt: "outside" }, way: "x over its length and epsilon" };
    }
    const y = this.wide(x, (value) => {
      const squares = this.reduced("ReduceSum", this.square(value), axes);
      return divided(value, this.root(this.two("Add", squares, this.number(epsilon, squares))));
    });
    return {
      y,
      expected: { norms, epsilon, epsilonAt: "inside" },
      way: "x over the root of squares and epsilon",
    };
  }

  private batch(x: string): Made {
    const shape = this.shape(x);
    const channels = shape[1];
    const epsilon = this.epsilon();
    const expected: Expected = { norms: ["batchNorm"], epsilon, epsilonAt: "inside" };
    const one = (middle: number) => normal(channels, Math.floor(this.next() * 1e9), middle, 0.3);
    const variances = one(1).map((value) => Math.abs(value) + 0.1);
    if (this.chance(0.7)) {
      const all = [one(1), one(0), one(0), variances].map((values) =>
        this.constant(values, [channels], this.dtype),
      );
      const y = this.node("BatchNormalization", [x, ...all], { epsilon: { float: epsilon } });
      return { y, expected, way: "operator of batches" };
    }
    const y = this.wide(x, (value) => {
      const type = this.type(value);
      const full = [channels, ...shape.slice(2).map(() => 1)];
      const [gamma, beta, mean, variance] = [one(1), one(0), one(0), variances].map((values) =>
        this.constant(values, full, type),
      );
      const root = this.root(this.two("Add", variance, this.number(epsilon, variance)));
      return this.two(
        "Add",
        this.two("Mul", this.two("Div", this.two("Sub", value, mean), root), gamma),
        beta,
      );
    });
    return { y, expected, way: "batches written out" };
  }

  /** A product with a weight that is normalized anew in each run. */
  private weight(x: string): Made {
    const width = this.shape(x).at(-1) as number;
    if (width === OPEN) return this.instance(x);
    const values = normal(width * width, Math.floor(this.next() * 1e9), 0, 0.5);
    const stored = this.constant(values, [width, width], this.dtype);
    const gain = this.constant(normal(width, Math.floor(this.next() * 1e9), 1, 0.2), [1, width], this.dtype);
    const length = this.chance(0.5)
      ? this.reduced("ReduceL2", stored, [0])
      : this.root(this.reduced("ReduceSum", this.square(stored), [0]));
    const isEarly = this.chance(0.5);
    const y = isEarly
      ? this.two("Mul", stored, this.two("Div", gain, length))
      : this.two("Mul", this.two("Div", stored, length), gain);
    const expected: Expected = {
      norms: ["weightNorm", "unitNorm", "rmsNorm"],
      epsilon: 0,
      epsilonAt: "inside",
    };
    return { y: this.node("MatMul", [x, y]), expected, way: "weight" };
  }

  /** What looks like a normalization, and is none. */
  private alike(x: string, other: string): Made {
    const shape = this.shape(x);
    const rank = shape.length;
    const axes = [rank - 1];
    const count = shape[rank - 1];
    const isOpen = count === OPEN;
    const epsilon = (value: string, by = 1e-5) => this.two("Add", value, this.number(by, value));
    const centred = (of = x) => this.two("Sub", x, this.mean(of, axes));
    const variance = (d: string, over = axes) => this.mean(this.square(d), over);
    const over = (d: string, root: string) => this.two("Div", d, root);
    const looks: Record<string, () => string> = {
      "epsilon of 0.5": () => {
        const d = centred();
        return over(d, this.root(epsilon(variance(d), 0.5)));
      },
      "two epsilons": () => {
        const d = centred();
        return over(d, epsilon(this.root(epsilon(variance(d), 1e-3)), 1e-3));
      },
      "mean of another": () => {
        const d = centred(other);
        return over(d, this.root(epsilon(variance(d))));
      },
      "variance of another": () =>
        over(centred(), this.root(epsilon(variance(this.two("Sub", other, this.mean(other, axes)))))),
      "no root": () => {
        const d = centred();
        return over(d, epsilon(variance(d)));
      },
      "mean distance": () => {
        const d = centred();
        return over(d, epsilon(this.mean(this.node("Abs", [d]), axes)));
      },
      "root and mean": () => {
        const mean = this.mean(x, axes);
        const d = this.two("Sub", x, mean);
        return over(d, this.two("Add", this.root(epsilon(variance(d))), this.node("Abs", [mean])));
      },
      "x over its deviation": () => over(x, this.root(epsilon(variance(centred())))),
      "distance over the root mean square": () => over(centred(), this.root(epsilon(variance(x)))),
      "another exponent": () => {
        const d = centred();
        return this.two("Mul", d, this.power(epsilon(variance(d)), this.pick([-0.49, -0.51, -1.5])));
      },
      "nearly the mean": () => {
        const d = this.two("Sub", x, this.two("Mul", this.mean(x, axes), this.number(1.01, x)));
        return over(d, this.root(epsilon(variance(d))));
      },
      halfway: () => this.two("Mul", centred(), this.number(0.5, x)),
      "squared distance": () => {
        const d = centred();
        return over(this.square(d), this.root(epsilon(variance(d))));
      },
      "absolute value over its length": () => over(this.node("Abs", [x]), this.root(epsilon(variance(x)))),
      "its root mean square of a sum": () => over(x, this.root(epsilon(variance(this.two("Add", x, other))))),
      "subtracted epsilon": () => {
        const d = centred();
        return over(d, this.root(this.two("Sub", variance(d), this.number(-0.3, x))));
      },
    };
    if (!isOpen) {
      looks["n − 1"] = () => {
        const d = centred();
        const sum = this.reduced("ReduceSum", this.square(d), axes);
        return over(d, this.root(epsilon(this.two("Div", sum, this.number(count - 1, sum)))));
      };
      looks["a weighted mean"] = () => {
        const weights = this.constant(
          normal(count, Math.floor(this.next() * 1e9), 1 / count, 0.1 / count),
          [count],
          this.type(x),
        );
        const d = this.two("Sub", x, this.reduced("ReduceSum", this.two("Mul", x, weights), axes));
        return over(d, this.root(epsilon(variance(d))));
      };
      looks["a mask"] = () => {
        const mask = this.constant(
          Array.from({ length: count }, (_, i) => Number(i !== 1)),
          [count],
          this.type(x),
        );
        const mean = this.shared(this.reduced("ReduceSum", this.two("Mul", x, mask), axes), count - 1);
        const d = this.two("Sub", x, mean);
        return over(d, this.root(epsilon(variance(d))));
      };
      looks["a part of its mean"] = () => {
        const part = shape.with(-1, count - 1);
        const cut =
          this.opset < 10
            ? this.node(
                "Slice",
                [x],
                { starts: { integer: [0] }, ends: { integer: [count - 1] }, axes: { integer: axes } },
                part,
              )
            : this.node(
                "Slice",
                [x, this.integers([0]), this.integers([count - 1]), this.integers(axes)],
                {},
                part,
              );
        const d = this.two("Sub", x, this.mean(cut, axes));
        return over(d, this.root(epsilon(variance(d))));
      };
      looks["a length over another number"] = () => {
        const sum = this.reduced("ReduceSum", this.square(x), axes);
        return over(x, this.root(epsilon(this.two("Mul", sum, this.number(0.9 / count, sum)))));
      };
    }
    if (rank > 2) {
      looks["other axes"] = () => {
        const d = centred();
        return over(d, this.root(epsilon(variance(d, [rank - 2]))));
      };
      looks["more axes of the variance"] = () => {
        const d = centred();
        return over(d, this.root(epsilon(variance(d, [rank - 2, rank - 1]))));
      };
      if (shape[rank - 1] === shape[rank - 2]) {
        looks["turned by broadcasting"] = () => {
          const turned = this.transposed(
            this.mean(x, axes),
            [...shape.keys()].slice(0, -2).concat([rank - 1, rank - 2]),
          );
          const d = this.two("Sub", x, turned);
          return over(d, this.root(epsilon(variance(d))));
        };
      }
    }
    const [way, make] = this.pick(Object.entries(looks));
    return { y: make(), way };
  }

  // the network around

  private between(x: string): string {
    const shape = this.shape(x);
    const rank = shape.length;
    const type = this.type(x);
    const width = shape[rank - 1];
    const weights = (size: number, by: number) =>
      normal(size, Math.floor(this.next() * 1e9), 0, 1 / Math.sqrt(by));
    const ways: (() => string)[] = [
      () => this.node(this.pick(["Relu", "Sigmoid", "Tanh", "Neg"]), [x]),
      () =>
        this.two(
          "Add",
          x,
          this.constant(weights(width === OPEN ? 1 : width, 4), width === OPEN ? [1] : [width], type),
        ),
      () => this.two("Mul", x, this.number(this.pick([0.5, 1.5, -1]), x)),
      () => this.two("Add", x, this.node("Tanh", [x])),
    ];
    if (width !== OPEN)
      ways.push(() =>
        this.node("MatMul", [x, this.constant(weights(width * width, width), [width, width], type)]),
      );
    if (rank === 2) {
      ways.push(() =>
        this.node(
          "Gemm",
          [
            x,
            this.constant(weights(width * width, width), [width, width], type),
            this.constant(weights(width, 4), [width], type),
          ],
          {
            transB: { integer: Number(this.chance(0.5)) },
          },
        ),
      );
    }
    if (rank > 2 && shape[1] !== OPEN) {
      ways.push(() => {
        const kernel = this.pick([1, 3]);
        const lengths = [shape[1], shape[1], ...shape.slice(2).map(() => kernel)];
        const inputs = [
          x,
          this.constant(weights(sizeOf(lengths), sizeOf(lengths) / shape[1]), lengths, type),
        ];
        if (this.chance(0.5)) inputs.push(this.constant(weights(shape[1], 4), [shape[1]], type));
        return this.node("Conv", inputs, {
          pads: { integer: new Array<number>(2 * (rank - 2)).fill((kernel - 1) / 2) },
        });
      });
    }
    if (shape[1] % 2 === 0) {
      ways.push(() => {
        const half = shape.with(1, shape[1] / 2);
        const parts = [this.value("part", half, type), this.value("part", half, type)];
        this.raw("Split", [x], parts, {
          axis: { integer: 1 },
          ...(this.opset >= 18 && { num_outputs: { integer: 2 } }),
        });
        return this.node("Concat", [parts[1], parts[0]], { axis: { integer: 1 } }, shape);
      });
    }
    return this.pick(ways)();
  }

  /** Within a branch, a loop's body or a function. */
  private within(x: string, make: (x: string) => Made): { y: string; made: Made; where: string } {
    const [around, shape, type] = [this.scope, this.shape(x), this.type(x)];
    const info = (name: string) =>
      valueMessage({
        name,
        dtype: type,
        shape: shape.map((length, i) => (length === OPEN || (i === 0 && length === BATCH) ? "" : length)),
      });
    const graph = (scope: Scope, inputs: readonly Uint8Array[], outputs: readonly Uint8Array[]) =>
      message([
        ...scope.nodes.map((node) => bytesField(1, node)),
        textField(2, "body"),
        ...scope.constants.map((one) => bytesField(5, tensorMessage("random", one))),
        ...inputs.map((one) => bytesField(11, one)),
        ...outputs.map((one) => bytesField(12, one)),
      ]);
    const attribute = (name: string, body: Uint8Array) =>
      bytesField(5, message([textField(1, name), bytesField(6, body), integerField(20, 5)]));
    const scoped = (isFunction: boolean, fill: () => string): { scope: Scope; y: string } => {
      this.scope = { nodes: [], constants: [], isFunction, isInner: true };
      const y = fill();
      const { scope } = this;
      this.scope = around;
      return { scope, y };
    };
    let made: Made = { y: x, way: "" };
    const filled = (from: string) => () => {
      made = make(from);
      return made.y;
    };
    const y = this.value("after", shape, type);
    const way = this.next();
    if (way < 0.45) {
      const then = scoped(false, filled(x));
      const otherwise = scoped(false, () => this.node("Neg", [x]));
      const condition = this.fresh("condition");
      // of a constant, onnxruntime takes the branch's nodes out
      const squares = this.value("squares", [], type);
      this.raw("ReduceSumSquare", [x], [squares], { keepdims: { integer: 0 } });
      this.raw("Cast", [squares], [condition], { to: { integer: elementType("bool") } });
      const plain = nodeMessage({
        name: this.fresh("if"),
        operator: "If",
        domain: "",
        inputs: [condition],
        outputs: [y],
        attributes: {},
      });
      this.scope.nodes.push(
        message([
          plain,
          attribute("then_branch", graph(then.scope, [], [info(then.y)])),
          attribute("else_branch", graph(otherwise.scope, [], [info(otherwise.y)])),
        ]),
      );
      return { y, made, where: "if" };
    }
    const inner = this.value("inner", shape, type);
    // until opset 9, constants of nodes are floats
    if (way < 0.75 || this.opset < 9) {
      const [iteration, before, after] = [this.fresh("i"), this.fresh("going"), this.fresh("going")];
      const body = scoped(false, () => {
        this.raw("Identity", [before], [after]);
        return filled(inner)();
      });
      const trips = this.constant(2, [], "int64");
      const plain = nodeMessage({
        name: this.fresh("loop"),
        operator: "Loop",
        domain: "",
        inputs: [trips, "", x],
        outputs: [y],
        attributes: {},
      });
      const flags = [
        valueMessage({ name: iteration, dtype: "int64", shape: [] }),
        valueMessage({ name: before, dtype: "bool", shape: [] }),
      ];
      const out = [valueMessage({ name: after, dtype: "bool", shape: [] }), info(body.y)];
      this.scope.nodes.push(
        message([plain, attribute("body", graph(body.scope, [...flags, info(inner)], out))]),
      );
      return { y, made, where: "loop" };
    }
    const body = scoped(true, filled(inner));
    const name = this.fresh("Function");
    this.functions.push(
      message([
        textField(1, name),
        textField(4, inner),
        textField(5, body.y),
        ...body.scope.nodes.map((node) => bytesField(7, node)),
        bytesField(9, opsetMessage("", this.opset)),
        textField(10, "own"),
      ]),
    );
    this.raw(name, [x], [y], {}, "own");
    return { y, made, where: "function" };
  }

  graph(): RandomGraph {
    const rank = this.pick([2, 3, 3, 4, 4]);
    const side = this.pick([4, 5, 6, 8]);
    const shape = [
      this.chance(0.5) ? BATCH : 2,
      this.pick([4, 8]),
      side,
      this.chance(0.4) ? side : this.pick([4, 5, 6]),
    ].slice(0, rank);
    if (rank > 2 && this.chance(0.25)) shape[2] = OPEN;
    const isOpen = this.chance(0.6);
    const declared = shape.map((length, i) =>
      !isOpen ? length : length === OPEN ? "length" : i === 0 && length === BATCH ? "batch" : length,
    );
    const feeds: Record<string, { shape: readonly number[]; data: Float32Array }> = {};
    const inputs = ["x", "other"].map((name, i) => {
      this.shapes.set(name, shape);
      this.dtypes.set(name, this.dtype);
      feeds[name] = { shape, data: normal(sizeOf(shape), this.seed * 2 + i, 0.3, 1) };
      return name;
    });
    const other = inputs[1];
    let x = inputs[0];
    const blocks = 1 + Math.floor(this.next() ** 2 * 4);
    const makers = [
      this.layer,
      this.layer,
      this.layer,
      this.instance,
      this.group,
      this.group,
      this.unit,
      this.batch,
      this.weight,
    ];
    for (let i = 0; i < blocks; i++) {
      if (this.chance(0.7)) x = this.between(x);
      if (this.chance(0.3)) x = this.two("Add", x, other);
      this.site = new Set();
      const isAlike = this.chance(0.35);
      const maker = this.pick(makers);
      const make = (from: string): Made => {
        if (!isAlike) return maker.call(this, from);
        return this.alike(from, this.scope.isFunction ? this.node("Tanh", [from]) : other);
      };
      if (this.chance(0.12)) {
        const { y, made, where } = this.within(x, make);
        this.sites.push({ way: `${made.way} in a ${where}`, values: this.site, expected: made.expected });
        x = y;
      } else {
        const before = x;
        const made = make(x);
        this.sites.push({ way: made.way, values: this.site, expected: made.expected });
        x = made.y;
        // what others read too
        if (this.chance(0.15)) {
          const inner = [...this.site].filter((name) => !name.startsWith("constant"));
          const read = this.pick(inner);
          this.site = new Set();
          this.outputs.push(this.chance(0.5) ? read : this.node("Neg", [read]));
        }
        if (this.chance(0.2)) x = this.two("Add", x, before);
      }
      this.site = new Set();
      if (this.chance(0.4)) x = this.node(this.pick(["Relu", "Sigmoid", "Tanh"]), [x]);
    }
    const y = this.node("Identity", [x]);
    const outputs = [...new Set([y, ...this.outputs])];
    const isNamed = this.chance(0.5);
    const body = message([
      ...this.scope.nodes.map((node) => bytesField(1, node)),
      textField(2, "graph"),
      ...this.scope.constants.map((one) => bytesField(5, tensorMessage("random", one))),
      ...inputs.map((name) => bytesField(11, valueMessage({ name, dtype: this.dtype, shape: declared }))),
      ...outputs.map((name) =>
        bytesField(
          12,
          valueMessage({ name, dtype: this.type(name), shape: isNamed && name === y ? declared : undefined }),
        ),
      ),
    ]);
    const bytes = message([
      integerField(1, 10),
      textField(2, "random"),
      bytesField(7, body),
      bytesField(8, opsetMessage("", this.opset)),
      ...(this.functions.length > 0 ? [bytesField(8, opsetMessage("own", 1))] : []),
      ...this.functions.map((one) => bytesField(25, one)),
    ]);
    return {
      seed: this.seed,
      bytes,
      opset: this.opset,
      dtype: this.dtype,
      sites: this.sites,
      feeds,
      shapes: this.shapes,
    };
  }
}

/** How x is normalized where it is written out. */
interface Written {
  readonly centered: boolean;
  readonly epsilon: number;
  readonly epsilonAt: "inside" | "outside" | "bound";
  /** As it broadcasts to x, of this type. */
  readonly gamma?: (type: Dtype) => string;
  readonly beta?: (type: Dtype) => string;
}

interface Made {
  readonly y: string;
  readonly way: string;
  readonly expected?: Expected;
}

function inverseOf(order: readonly number[]): number[] {
  return order.map((_, axis) => order.indexOf(axis));
}
