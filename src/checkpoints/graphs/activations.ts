/** SiLU and GELU that are written out. */
import { type Algebra, type Expression, isSameSum, type Sum } from "./algebra.js";
import type { Follower } from "./follow.js";
import type { FoundActivation } from "./found.js";
import type { Node } from "./graph.js";
import { LAYOUT, PASSING, type Surroundings } from "./surroundings.js";

/** Nodes that one is written in, and between x and the function in it, at most. */
const MOST_OF_ACTIVATION = 12;
const MOST_STEPS = 6;

/** @param starts values that may be activated; absent: all that a function is made of */
export function activationsIn(
  surroundings: Surroundings,
  follower: Follower,
  starts: Iterable<string> = argumentsIn(surroundings),
): FoundActivation[] {
  const found = new Map<string, FoundActivation>();
  for (const x of new Set(starts)) {
    const use = (algebra: Algebra, values: ReadonlyMap<string, Expression>) =>
      activationsOf(surroundings, x, algebra, values);
    const all = follower.followed(x, use, { depth: MOST_OF_ACTIVATION, mayBe: () => true });
    for (const one of all ?? []) if (!found.has(one.y)) found.set(one.y, one);
  }
  return [...found.values()];
}

function argumentsIn(surroundings: Surroundings): string[] {
  const functions = surroundings.graph.nodes.filter(({ operator }) => /^(Sigmoid|Erf|Tanh)$/.test(operator));
  return functions.flatMap((node) => madeOf(surroundings, node));
}

/** Values that a function's argument is made of, the nearest first. */
function madeOf({ producers, settled }: Surroundings, node: Node): string[] {
  const found: string[] = [];
  let next = [node.inputs[0]];
  for (let i = 0; i < MOST_STEPS && next.length > 0; i++) {
    found.push(...next);
    next = next.flatMap((name) => {
      const producer = producers.get(name);
      const isArithmetic =
        producer !== undefined &&
        /^(Mul|Div|RealDiv|Add|AddV2|Pow|Square|Cast|Identity)$/.test(producer.operator);
      return isArithmetic ? producer.inputs.filter((input) => settled.known(input) === undefined) : [];
    });
  }
  return [...new Set(found)];
}

function activationsOf(
  surroundings: Surroundings,
  x: string,
  algebra: Algebra,
  values: ReadonlyMap<string, Expression>,
): FoundActivation[] {
  const { x: of } = algebra;
  const kinds: [FoundActivation["activation"], Sum][] = [["silu", algebra.mul(of, algebra.sigmoid(of)).sum]];
  const gelu = (inner: Expression) => algebra.mul(algebra.mul(of, 0.5), algebra.add(inner, 1)).sum;
  // constants are as the network's type holds them
  for (const held of [(value: number) => value, toHalf]) {
    const cubed = algebra.add(of, algebra.mul(algebra.pow(of, 3), held(0.044715)));
    kinds.push(["geluTanh", gelu(algebra.tanh(algebra.mul(cubed, held(Math.sqrt(2 / Math.PI)))))]);
    for (const scale of [held(Math.SQRT1_2), 1 / held(Math.SQRT2)]) {
      kinds.push(["gelu", gelu(algebra.erf(algebra.mul(of, scale)))]);
    }
  }
  return [...values].flatMap(([y, value]) => {
    const [kind] = kinds.find(([, sum]) => isSameSum(sum, value.sum)) ?? [];
    const nodes = kind === undefined ? [] : surroundings.between(x, y, values);
    const last = nodes.at(-1)?.operator ?? "";
    if (kind === undefined || PASSING.has(last) || LAYOUT.has(last)) return [];
    return [{ activation: kind, graph: surroundings.graph, x, y, nodes }];
  });
}

/** Rounded to 11 significant bits, as float16 holds numbers near 1. */
function toHalf(value: number): number {
  const unit = 2 ** (Math.floor(Math.log2(Math.abs(value))) - 10);
  return Math.round(value / unit) * unit;
}
