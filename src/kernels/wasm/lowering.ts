/** The steps of a pass as the kernels have them: powers taken apart into roots and products, products taken into sums. */
import type { Pass } from "../pass.js";

/** The work of each operation, that of an addition (0.1 ns an element) being 1, in the order of their numbers in assembly/pass-operations.ts. */
export const operations = {
  add: 1,
  sub: 1,
  mul: 1,
  div: 2,
  max: 2,
  min: 2,
  greater: 1,
  atLeast: 1,
  where: 1,
  /** a·b + c, and c − a·b. */
  multiplyAdd: 1,
  subtractProduct: 1,
  /** a·b − c, a·b·c, a + b + c, (a + b)·c, (a − b)·c, a − b − c, a − b + c. */
  multiplySub: 1,
  multiplyTwice: 1,
  addTwice: 1,
  addMultiply: 1,
  subMultiply: 1,
  subTwice: 1,
  subAdd: 1,
  /** max and min whose second operand is no NaN. */
  pmax: 1,
  pmin: 1,
  abs: 1,
  sqrt: 3,
  /** √x as x to the power ½ has it. */
  root: 3,
  exp: 10,
  tanh: 11,
  sigmoid: 13,
  erf: 20,
  float16: 5,
  bfloat16: 2,
  power: 150,
};

export type Operation = keyof typeof operations;

/** `parameter` is the exponent of a power. */
export interface Lowered {
  readonly operation: Operation;
  readonly of: readonly number[];
  readonly parameter?: number;
}

/** Values are numbered as in a pass: what is read, constants, steps. */
export interface LoweredPass {
  readonly constants: readonly number[];
  readonly steps: readonly Lowered[];
  /** The value of each result, or two whose product is summed, or one whose largest absolute value is taken. */
  readonly results: readonly { readonly value: number; readonly factor?: number; readonly sizes?: boolean }[];
}

/** A value on its way: a step, or the number of what is read or constant. */
type Node = number | { operation: Operation; of: Node[]; parameter?: number };

export function lower(pass: Pass): LoweredPass {
  const given = pass.reads.length;
  const constants = [...pass.constants];
  const nodes: Node[] = Array.from({ length: given + constants.length }, (_, i) => i);
  const constant = (value: number): Node => {
    const known = constants.findIndex((one) => Object.is(one, value));
    return given + (known < 0 ? constants.push(value) - 1 : known);
  };
  const uses = new Map<number, number>();
  for (const value of [...pass.steps.flatMap((step) => step.of), ...pass.results.map(({ value }) => value)]) {
    uses.set(value, (uses.get(value) ?? 0) + 1);
  }
  const isNumber = (value: number) => !Number.isNaN(pass.constants[value - given] ?? Number.NaN);
  /** Or NaN. */
  const isPositive = (node: Node) =>
    typeof node === "object" &&
    node.operation === "pmax" &&
    typeof node.of[1] === "number" &&
    pass.constants[node.of[1] - given] > 0;
  // products that are only summed
  const summed = new Set<number>();
  for (const { value, reduced } of pass.results) {
    const step = pass.steps[value - given - pass.constants.length];
    if (reduced === "sum" && step?.operation === "mul" && uses.get(value) === 1) summed.add(value);
  }
  pass.steps.forEach(({ operation, of, parameter = 0 }, i) => {
    const operands = of.map((value) => nodes[value]);
    if (operation === "power") nodes.push(power(operands[0], parameter, constant, isPositive));
    else if (summed.has(given + pass.constants.length + i)) nodes.push({ operation, of: operands });
    else nodes.push(fused(operation, of, operands, uses, isNumber));
  });
  return inOrder(
    pass.results.map(({ value, reduced }) => {
      const node = nodes[value];
      if (typeof node === "object" && reduced === "largest" && node.operation === "abs") {
        return { of: node.of, sizes: true };
      }
      return { of: summed.has(value) && typeof node === "object" ? node.of : [node] };
    }),
    given,
    constants,
  );
}

/**
 * Two operations in one step, by the second one's name: what they are where its first operand is the first one, and where its second
 * operand is.
 */
const PAIRS: Partial<Record<Operation, Partial<Record<Operation, readonly (Operation | undefined)[]>>>> = {
  add: { mul: ["multiplyAdd", "multiplyAdd"], add: ["addTwice", "addTwice"], sub: ["subAdd", "subAdd"] },
  sub: { mul: ["multiplySub", "subtractProduct"], sub: ["subTwice", undefined] },
  mul: {
    mul: ["multiplyTwice", "multiplyTwice"],
    add: ["addMultiply", "addMultiply"],
    sub: ["subMultiply", "subMultiply"],
  },
};

/** A step takes in one of its operands that nothing else reads: a product before all. */
function fused(
  operation: Operation,
  of: readonly number[],
  operands: Node[],
  uses: Map<number, number>,
  isNumber: (value: number) => boolean,
): Node {
  if ((operation === "max" || operation === "min") && isNumber(of[1])) {
    return { operation: operation === "max" ? "pmax" : "pmin", of: operands };
  }
  const pairs = PAIRS[operation] ?? {};
  const found = [1, 0].flatMap((i) => {
    const node = operands[i];
    if (typeof node !== "object" || uses.get(of[i]) !== 1) return [];
    const name = pairs[node.operation]?.[i];
    return name === undefined ? [] : [{ name, node, other: operands[1 - i] }];
  });
  const pair = found.find(({ node }) => node.operation === "mul") ?? found[0];
  if (pair === undefined) return { operation, of: operands };
  return { operation: pair.name, of: [...pair.node.of, pair.other] };
}

/** Roots and products where these are as accurate and as wide in range, for few steps; they are some ten times faster. */
function power(
  x: Node,
  exponent: number,
  constant: (value: number) => Node,
  isPositive: (node: Node) => boolean,
): Node {
  if (exponent === 0) return constant(1);
  const size = Math.abs(exponent);
  const whole = Math.floor(size);
  const part = size - whole;
  if (!(size < 1 ? Number.isInteger(size * 4) : size <= 3 && Number.isInteger(size * 2))) {
    return { operation: "power", of: [x], parameter: exponent };
  }
  const factors: Node[] = [];
  const root: Node = { operation: isPositive(x) ? "sqrt" : "root", of: [x] };
  if (part % 0.5 !== 0) factors.push({ operation: "sqrt", of: [root] });
  if (part >= 0.5) factors.push(root);
  // a negative x gives NaN by its root; −∞ does not
  const base: Node = part > 0 ? { operation: "abs", of: [x] } : x;
  for (let i = 0; i < whole; i++) factors.push(base);
  // divided by one after the other, since their product may leave the range
  const [first, ...others] = exponent < 0 ? [constant(1), ...factors] : factors;
  const operation = exponent < 0 ? "div" : "mul";
  return others.reduce((value, factor) => ({ operation, of: [value, factor] }), first);
}

/** Numbers what the results need, operands first. */
function inOrder(
  results: readonly { of: readonly Node[]; sizes?: boolean }[],
  given: number,
  constants: readonly number[],
): LoweredPass {
  const steps: Lowered[] = [];
  const numbers = new Map<Node, number>();
  const number = (node: Node): number => {
    if (typeof node === "number") return node;
    let known = numbers.get(node);
    if (known === undefined) {
      const { operation, of, parameter } = node;
      const operands = of.map(number);
      known = given + constants.length + steps.push({ operation, of: operands, parameter }) - 1;
      numbers.set(node, known);
    }
    return known;
  };
  return {
    results: results.map(({ of: [value, factor], sizes }) => ({
      value: number(value),
      ...(factor !== undefined && { factor: number(factor) }),
      ...(sizes && { sizes }),
    })),
    constants,
    steps,
  };
}
