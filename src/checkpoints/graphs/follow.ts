/** A value followed through a graph: what is made of it, as polynomials in it. */
import { sizeOf } from "../../shape.js";
import { Algebra, Cut, type Expression, Unknown } from "./algebra.js";
import type { Node } from "./graph.js";
import { meaningOf } from "./meaning.js";
import { isReal } from "./operators.js";
import type { Settled } from "./shapes.js";
import type { Surroundings } from "./surroundings.js";

/** Their gamma and beta are often ones and zeros, and the real ones follow. */
const WITH_PLACEHOLDERS =
  /^(InstanceNormalization|BatchNormalization|FusedBatchNorm(V[23])?|GroupNorm(alization)?)$/;
/** Operators whose operands are numbers where all of their values are equal. */
const NUMBERS = /^(Real)?Div(NoNan)?$|^Where$|^Select|^Max|^Min|^Clip$/;
/** What is followed from one x. */
const MOST_NODES = 400;
/** What is followed from all of them, for each node of a graph: values that nodes read, and nodes. */
const MOST_OFTEN = 30;
/** Nodes from a root of constants back to what it is of. */
const MOST_UNFOLDED = 6;
const MOST_CUTS = 6;

/** How far a value is followed: by so many nodes, one after the other, and what of it is. */
export interface Following {
  readonly depth: number;
  mayBe(algebra: Algebra, value: Expression, node: Node, values: ReadonlyMap<string, Expression>): boolean;
}

export class Follower {
  private readonly settled: Settled;
  /** Nodes, and values that they read, that may be followed yet. */
  private left: number;

  constructor(private readonly surroundings: Surroundings) {
    this.settled = surroundings.settled;
    this.left = MOST_OFTEN * surroundings.graph.nodes.length + 10 * MOST_NODES;
  }

  /** @returns undefined where x is nothing that can be followed */
  followed<R>(
    x: string,
    use: (algebra: Algebra, values: ReadonlyMap<string, Expression>) => R,
    how: Following,
  ): R | undefined {
    const shape = this.settled.shape(x);
    const dtype = this.settled.dtype(x);
    if (
      shape === undefined ||
      shape.length === 0 ||
      shape.includes(0) ||
      (dtype !== undefined && !isReal(dtype))
    )
      return undefined;
    let layout: readonly (readonly number[])[] = shape.map((length) => [length]);
    for (let cuts = 0; cuts <= MOST_CUTS; cuts++) {
      try {
        const algebra = new Algebra(layout);
        return use(algebra, this.values(x, algebra, how));
      } catch (error) {
        if (!(error instanceof Cut)) throw error;
        layout = cutAt(layout, error);
      }
    }
    return undefined;
  }

  private values(x: string, algebra: Algebra, { depth: most, mayBe }: Following): Map<string, Expression> {
    const values = new Map([[x, algebra.x]]);
    const depths = new Map([[x, 0]]);
    const ofWeight = this.settled.constant(x) !== undefined;
    // what is made of x, and is followed no further
    const lost = new Set<string>();
    const waiting = new Set(this.surroundings.readers.get(x) ?? []);
    for (let count = 0; waiting.size > 0 && count < MOST_NODES && this.left > 0; count++) {
      const node = [...waiting].reduce((a, b) =>
        this.surroundings.place(a) < this.surroundings.place(b) ? a : b,
      );
      waiting.delete(node);
      this.left -= 1 + node.inputs.length;
      const depth = 1 + Math.max(...node.inputs.map((input) => depths.get(input) ?? 0));
      if (!ofWeight) for (const input of node.inputs) this.unfold(input, x, algebra, values);
      const isFollowed = depth <= most && !node.inputs.some((input) => lost.has(input));
      const results = (isFollowed && this.meaning(node, x, algebra, values)) || [];
      for (const [i, output] of node.outputs.entries()) {
        if (output === "") continue;
        if (results[i] === undefined || !mayBe(algebra, results[i], node, values)) {
          // shapes of x are known, and ones like x
          const isKnown = this.settled.uniform(output) !== undefined;
          if (!isKnown && isReal(this.settled.dtype(output) ?? "float32")) lost.add(output);
          continue;
        }
        values.set(output, results[i]);
        depths.set(output, depth);
        for (const reader of this.surroundings.readers.get(output) ?? []) waiting.add(reader);
      }
    }
    return values;
  }

  /** What a root of constants is of, as a stored variance. */
  private unfold(
    name: string,
    x: string,
    algebra: Algebra,
    values: Map<string, Expression>,
    most = MOST_UNFOLDED,
  ): void {
    const node = this.surroundings.producers.get(name);
    const isOpen =
      most < MOST_UNFOLDED ? this.surroundings.fixed.has(name) : this.surroundings.roots.has(name);
    if (node === undefined || !isOpen || most === 0 || values.has(name)) return;
    for (const input of node.inputs) this.unfold(input, x, algebra, values, most - 1);
    const [result] = this.meaning(node, x, algebra, values) ?? [];
    if (result !== undefined) values.set(name, result);
  }

  private meaning(
    node: Node,
    x: string,
    algebra: Algebra,
    values: ReadonlyMap<string, Expression>,
  ): readonly Expression[] | undefined {
    try {
      return meaningOf<Expression>({
        ops: algebra,
        node,
        inputs: node.inputs.map((input, i) => values.get(input) ?? this.asGiven(input, node, i, algebra, x)),
        known: (input) => {
          const known = this.settled.known(node.inputs[input]);
          return known && [...known.data];
        },
        dtype: (input) => this.settled.dtype(node.inputs[input]),
        expand: (x, shape) => algebra.expand(x, shape),
      });
    } catch (error) {
      if (error instanceof Unknown) return undefined;
      throw error;
    }
  }

  /** A value that is not followed, as it comes: a number, or one for each of its places. */
  private asGiven(
    name: string,
    node: Node,
    input: number,
    algebra: Algebra,
    x: string,
  ): Expression | undefined {
    const shape = name === "" ? undefined : this.settled.shape(name);
    if (shape === undefined) return undefined;
    const value = this.settled.uniform(name) ?? onlyOf(this.settled.known(name)?.data);
    // gamma and beta that are stored are not taken for numbers, even where all of theirs are 1 and 0
    const isStored = this.settled.constant(name) !== undefined;
    const isNumber = sizeOf(shape) === 1 || !isStored || NUMBERS.test(node.operator);
    const isPlaceholder = input > 0 && WITH_PLACEHOLDERS.test(node.operator) && (value === 0 || value === 1);
    // what a weight is divided by may be computed of it
    const isOwn = this.surroundings.fixed.has(name) && this.settled.constant(x) !== undefined;
    if (value !== undefined && !isOwn && (isNumber || isPlaceholder)) {
      return Number.isFinite(value) ? algebra.constant([value], shape) : undefined;
    }
    return algebra.given(name, shape);
  }
}

/** The number that all of them are, if they are one. */
function onlyOf(values: Float64Array | undefined): number | undefined {
  return values?.length && values.every((value) => value === values[0]) ? values[0] : undefined;
}

/** A layout with one of its segments cut. */
function cutAt(layout: readonly (readonly number[])[], { segment, lengths }: Cut): number[][] {
  let number = 0;
  return layout.map((axis) =>
    axis.flatMap((length) => (length === 1 ? [] : number++ === segment ? lengths : [length])),
  );
}
