/**
 * Formulas (src/formula/ops.ts) without a framework: operations on plain arrays that remember how they were made, so that
 * gradients can be carried back through them. The one operation goes to the backend's kernels, the others to its arithmetic: here
 * is no loop, and no value is read.
 */
import type { NarrowType, NormalizeOperands, NormalizeResult, Operand, Ops } from "../formula/ops.js";
import type { FusedNorm } from "../formula/plan.js";
import type { Arithmetic, Binary, Unary } from "./arithmetic.js";
import { BackendArray, type PlainArray } from "./array.js";
import type { Evenkeel } from "./evenkeel.js";
import { Loops } from "./loops.js";

/** An array in a formula, and how a gradient of it is handed on to what it was made from. */
export interface Node {
  readonly array: PlainArray;
  /** Of the loss; there once something was handed back. */
  gradient?: PlainArray;
  /** Hands the gradient on; absent for inputs and constants. */
  back?(gradient: PlainArray): void;
  /** Whether a gradient that comes here goes anywhere. */
  readonly wanted: boolean;
}

export class Tape implements Ops<Node> {
  private readonly nodes: Node[] = [];
  /** Arrays of the backend that calls made on the way. */
  private readonly made: BackendArray[] = [];

  /** `arithmetic` is what the operations run on between calls of the kernels: loops, where memory is the host's own. */
  constructor(
    private readonly ek: Evenkeel,
    private readonly arithmetic: Arithmetic = new Loops(
      ek.precision === "float64" ? Float64Array : Float32Array,
    ),
  ) {}

  /** What a gradient is wanted of. */
  input(array: PlainArray): Node {
    return { array, wanted: true };
  }

  /** What none is wanted of. */
  fixed(array: PlainArray): Node {
    return { array, wanted: false };
  }

  constant(values: ArrayLike<number>, shape: readonly number[]): Node {
    return this.fixed(this.arithmetic.constant(values, shape));
  }

  /** Carries gradients from these results back to the inputs, whose `gradient` holds them afterwards. */
  backward(results: readonly (readonly [Node, PlainArray | undefined])[]): void {
    for (const [node, gradient] of results) if (gradient) this.give(node, gradient);
    for (const node of [...this.nodes].reverse()) {
      if (node.gradient && node.back) node.back(node.gradient);
    }
  }

  /** Releases what was made on the way, except for what is given out. */
  release(...except: readonly (PlainArray | undefined)[]): void {
    for (const array of this.made) if (!except.includes(array)) array.dispose();
    this.made.length = 0;
    this.nodes.length = 0;
  }

  shape(x: Node): readonly number[] {
    return x.array.shape;
  }

  add(a: Operand<Node>, b: Operand<Node>): Node {
    return this.binary("add", a, b);
  }

  sub(a: Operand<Node>, b: Operand<Node>): Node {
    return this.binary("sub", a, b);
  }

  mul(a: Operand<Node>, b: Operand<Node>): Node {
    return this.binary("mul", a, b);
  }

  div(a: Operand<Node>, b: Operand<Node>): Node {
    return this.binary("div", a, b);
  }

  max(a: Operand<Node>, b: Operand<Node>): Node {
    return this.binary("max", a, b);
  }

  min(a: Operand<Node>, b: Operand<Node>): Node {
    return this.binary("min", a, b);
  }

  greater(a: Operand<Node>, b: Operand<Node>): Node {
    return this.fixed(this.arithmetic.binary("greater", this.node(a).array, this.node(b).array));
  }

  where(condition: Node, a: Operand<Node>, b: Operand<Node>): Node {
    const { arithmetic } = this;
    const [yes, no] = [this.node(a), this.node(b)];
    const holds = condition.array;
    return this.from(arithmetic.where(holds, yes.array, no.array), [yes, no], (gradient) => {
      const nothing = arithmetic.constant([0], []);
      const taken = (node: Node, part: () => PlainArray) => {
        if (node.wanted) this.give(node, arithmetic.sumTo(part(), node.array.shape));
      };
      taken(yes, () => arithmetic.where(holds, gradient, nothing));
      taken(no, () => arithmetic.where(holds, nothing, gradient));
    });
  }

  abs(x: Node): Node {
    return this.unary("abs", x);
  }

  exp(x: Node): Node {
    return this.unary("exp", x);
  }

  sqrt(x: Node): Node {
    return this.unary("sqrt", x);
  }

  tanh(x: Node): Node {
    return this.unary("tanh", x);
  }

  sigmoid(x: Node): Node {
    return this.unary("sigmoid", x);
  }

  erf(x: Node): Node {
    return this.unary("erf", x);
  }

  pow(x: Node, exponent: number): Node {
    return this.unary("pow", x, exponent);
  }

  rounded(x: Node, type: NarrowType): Node {
    return this.unary(type, x);
  }

  sum(x: Node, axes: readonly number[]): Node {
    const { arithmetic } = this;
    return this.from(arithmetic.sum(x.array, axes), [x], (gradient) =>
      this.give(x, arithmetic.broadcastTo(gradient, x.array.shape)),
    );
  }

  largest(x: Node, axes: readonly number[]): Node {
    return this.fixed(this.arithmetic.largest(x.array, axes));
  }

  sorted(x: Node): Node {
    return this.fixed(this.arithmetic.sorted(x.array));
  }

  matMul(a: Node, b: Node): Node {
    const { arithmetic } = this;
    return this.from(arithmetic.matMul(a.array, b.array), [a, b], (gradient) => {
      if (a.wanted) this.give(a, arithmetic.matMul(gradient, b.array, false, true));
      if (b.wanted) this.give(b, arithmetic.matMul(a.array, gradient, true, false));
    });
  }

  reshape(x: Node, shape: readonly number[]): Node {
    const { arithmetic } = this;
    return this.from(arithmetic.reshape(x.array, shape), [x], (gradient) =>
      this.give(x, arithmetic.reshape(gradient, x.array.shape)),
    );
  }

  transpose(x: Node, order: readonly number[]): Node {
    const { arithmetic } = this;
    const back = order.map((_, axis) => order.indexOf(axis));
    return this.from(arithmetic.transpose(x.array, order), [x], (gradient) =>
      this.give(x, arithmetic.transpose(gradient, back)),
    );
  }

  slice(x: Node, axis: number, from: number, to: number): Node {
    const { arithmetic } = this;
    return this.from(arithmetic.slice(x.array, axis, from, to), [x], (gradient) =>
      this.give(x, arithmetic.pad(gradient, axis, from, x.array.shape[axis] - to)),
    );
  }

  concat(parts: readonly Node[], axis: number): Node {
    const { arithmetic } = this;
    const arrays = parts.map(({ array }) => array);
    return this.from(arithmetic.concat(arrays, axis), parts, (gradient) => {
      let from = 0;
      for (const part of parts) {
        const to = from + part.array.shape[axis];
        if (part.wanted) this.give(part, arithmetic.slice(gradient, axis, from, to));
        from = to;
      }
    });
  }

  stop(x: Node): Node {
    return this.fixed(x.array);
  }

  intercept(
    x: Node,
    saved: readonly Node[],
    through: (gradient: Node, saved: readonly Node[]) => Node,
  ): Node {
    const constants = saved.map((node) => this.stop(node));
    return this.from(x.array, [x], (gradient) =>
      this.give(x, through(this.fixed(gradient), constants).array),
    );
  }

  normalize(norm: FusedNorm, x: Node, operands: NormalizeOperands<Node> = {}): NormalizeResult<Node> {
    const { gamma, beta, residual } = operands;
    const arrays = Object.entries(operands).map(([name, node]) => [name, node?.array]);
    const { y, sum, mean, variance, saved } = this.ek.forward<PlainArray>(
      norm,
      x.array,
      Object.fromEntries(arrays),
    );
    for (const array of [y, sum, mean, variance]) this.keep(array);
    // the sum's gradient goes with y's, in one pass
    let dSum: PlainArray | undefined;
    const normalized = this.from(
      y,
      [x, gamma, beta, residual].filter((node) => node !== undefined),
      (dy) => {
        const { dx, dGamma, dBeta } = this.ek.backward(saved, dy, dSum);
        for (const array of [dx, dGamma, dBeta]) this.keep(array);
        this.give(x, dx);
        if (residual) this.give(residual, dx);
        if (gamma && dGamma) this.give(gamma, dGamma);
        if (beta && dBeta) this.give(beta, dBeta);
      },
    );
    const summed =
      sum &&
      this.from(sum, [normalized], (gradient) => {
        dSum = gradient;
        // y's turn comes next, even where nothing came back to y itself
        if (!normalized.gradient) this.give(normalized, this.arithmetic.zeros(y.shape));
      });
    const constant = (array: PlainArray | undefined) => array && this.fixed(array);
    return { y: normalized, sum: summed, mean: constant(mean), variance: constant(variance) };
  }

  private keep(array: PlainArray | undefined): void {
    if (array instanceof BackendArray) this.made.push(array);
  }

  private node(operand: Operand<Node>): Node {
    return typeof operand === "number" ? this.constant([operand], []) : operand;
  }

  /** A node made from others. */
  private from(array: PlainArray, parents: readonly Node[], back: (gradient: PlainArray) => void): Node {
    const node = { array, back, wanted: parents.some(({ wanted }) => wanted) };
    if (node.wanted) this.nodes.push(node);
    return node;
  }

  private unary(name: Unary, x: Node, parameter?: number): Node {
    const { arithmetic } = this;
    const y = arithmetic.unary(name, x.array, parameter);
    return this.from(y, [x], (gradient) =>
      this.give(x, arithmetic.unaryGradient(name, gradient, x.array, y, parameter)),
    );
  }

  private binary(name: Exclude<Binary, "greater">, a: Operand<Node>, b: Operand<Node>): Node {
    const { arithmetic } = this;
    const [left, right] = [this.node(a), this.node(b)];
    return this.from(arithmetic.binary(name, left.array, right.array), [left, right], (gradient) => {
      for (const [node, of] of [[left, "a"] as const, [right, "b"] as const]) {
        if (!node.wanted) continue;
        this.give(node, arithmetic.binaryGradient(name, of, gradient, left.array, right.array));
      }
    });
  }

  /** The first gradient that comes is stored as it is, later ones are added. */
  private give(node: Node, gradient: PlainArray): void {
    if (!node.wanted) return;
    node.gradient = node.gradient ? this.arithmetic.binary("add", node.gradient, gradient) : gradient;
  }
}
