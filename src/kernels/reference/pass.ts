/** A pass in float64, one whole-array loop a step. */
import { erf, narrow } from "../host-loops.js";
import type { Pass, Step, Strided } from "../pass.js";

const operations: Record<Step["operation"], (a: number, b: number, c: number, parameter: number) => number> =
  {
    abs: Math.abs,
    sqrt: Math.sqrt,
    exp: Math.exp,
    tanh: Math.tanh,
    sigmoid: (x) => 1 / (1 + Math.exp(-x)),
    erf,
    power: (x, _b, _c, exponent) => x ** exponent,
    ...narrow,
    add: (a, b) => a + b,
    sub: (a, b) => a - b,
    mul: (a, b) => a * b,
    div: (a, b) => a / b,
    max: (a, b) => Math.max(a, b),
    min: (a, b) => Math.min(a, b),
    greater: (a, b) => (a > b ? 1 : 0),
    atLeast: (a, b) => (a >= b ? 1 : 0),
    where: (condition, a, b) => (condition === 0 ? b : a),
  };

export function pass(
  { lengths, reads, constants, steps, results }: Pass,
  from: readonly Float64Array[],
  to: readonly Float64Array[],
): void {
  const size = lengths.reduce((product, length) => product * length, 1);
  const values: Float64Array[] = reads.map((read, i) => {
    const places = walk(lengths, read);
    return Float64Array.from(places, (place) => from[i][place]);
  });
  for (const constant of constants) values.push(new Float64Array(size).fill(constant));
  for (const { operation, of, parameter = 0 } of steps) {
    const [a, b = a, c = a] = of.map((number) => values[number]);
    const value = operations[operation];
    values.push(Float64Array.from(a, (one, i) => value(one, b[i], c[i], parameter)));
  }
  for (const [i, result] of results.entries()) {
    const { reduced, value } = result;
    const places = walk(lengths, result);
    const array = to[i];
    if (reduced !== undefined) {
      array.fill(reduced === "sum" ? 0 : Number.NEGATIVE_INFINITY);
    }
    values[value].forEach((one, element) => {
      const place = places[element];
      if (reduced === "sum") array[place] += one;
      else array[place] = reduced === undefined ? one : Math.max(array[place], one);
    });
  }
}

/** The places that one comes to in walking a space. */
function walk(lengths: readonly number[], { strides, offset }: Strided): Int32Array {
  const places = new Int32Array(lengths.reduce((product, length) => product * length, 1));
  const position = new Array<number>(lengths.length).fill(0);
  let place = offset;
  for (let i = 0; i < places.length; i++) {
    places[i] = place;
    for (let axis = lengths.length - 1; axis >= 0; axis--) {
      place += strides[axis];
      if (++position[axis] < lengths[axis]) break;
      place -= strides[axis] * lengths[axis];
      position[axis] = 0;
    }
  }
  return places;
}
