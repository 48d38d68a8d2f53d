/** Traces: what is one term, what is only seen in another way, and where gradients go. */
import { describe, expect, it } from "vitest";
import { layerNorm } from "../../src/index.js";
import { elementsOf, isWhole, type Term } from "../../src/program/term.js";
import { Trace } from "../../src/program/trace.js";

const ops = new Trace();
const x = ops.input([2, 3], true);
const row = ops.input([3], true);

/** The terms that the gradient of y reaches. */
const reached = (y: Term) => {
  const gradients = ops.gradients([[y, ops.input(y.shape, false)]]);
  return [x, row].map((term) => gradients.has(term));
};

describe("terms", () => {
  it("are the same for the same operation on the same terms", () => {
    expect(ops.add(x, row)).toBe(ops.add(x, row));
    expect(ops.mul(x, 2)).toBe(ops.mul(x, 2));
    expect(ops.sum(x, [0])).toBe(ops.sum(x, [0]));
    expect(ops.transpose(x, [1, 0])).toBe(ops.transpose(x, [1, 0]));
    expect(ops.pow(x, 2)).not.toBe(ops.pow(x, 3));
    expect(ops.add(x, 0)).not.toBe(ops.add(x, -0));
    expect(ops.sub(x, row)).not.toBe(ops.sub(row, x));
    expect(ops.copy(x)).not.toBe(ops.copy(x));
  });

  it("that are one number everywhere hold no array", () => {
    expect(ops.constant([3, 3, 3], [3])).toMatchObject({ kind: "uniform", value: 3 });
    expect(ops.constant([3, 3, 4], [3]).kind).toBe("constant");
    expect(ops.constant([], [0, 2])).toMatchObject({ kind: "uniform", shape: [0, 2] });
    expect(ops.constant([Number.NaN, Number.NaN], [2]).kind).toBe("constant");
  });

  it("have the shapes that NumPy gives them", () => {
    expect(ops.add(x, row).shape).toEqual([2, 3]);
    expect(ops.add(ops.reshape(row, [3, 1]), row).shape).toEqual([3, 3]);
    expect(ops.where(ops.greater(x, 0), row, 1).shape).toEqual([2, 3]);
    expect(() => ops.add(x, ops.input([2], false))).toThrow("shapes [2, 3] and [2] do not broadcast");
  });
});

describe("views", () => {
  it("see the array that they are of, without a copy", () => {
    const last = ops.slice(ops.transpose(x, [1, 0]), 0, 2, 3);
    expect(elementsOf(last)).toMatchObject({ source: x, strides: [1, 3], offset: 2 });
    expect(isWhole(last)).toBe(false);
    const whole = ops.reshape(ops.reshape(x, [6]), [3, 1, 2]);
    expect(elementsOf(whole)).toMatchObject({ source: x, strides: [2, 2, 1], offset: 0 });
    expect(isWhole(whole)).toBe(true);
    expect(elementsOf(ops.broadcastTo(row, [4, 3]))).toMatchObject({ source: row, strides: [0, 1] });
    expect(elementsOf(ops.broadcastTo(ops.input([2, 1], false), [2, 5])).strides).toEqual([1, 0]);
  });

  it("are copied where another shape of them has no strides", () => {
    const turned = ops.reshape(ops.transpose(x, [1, 0]), [6]);
    expect(elementsOf(turned).source).toMatchObject({ kind: "elementwise", operation: "copy" });
    expect(ops.reshape(x, [2, 3])).toBe(x);
  });
});

describe("gradients", () => {
  it("go to what a term is made of, and have its shape", () => {
    const y = ops.mul(ops.tanh(x), row);
    const gradients = ops.gradients([[y, ops.input([2, 3], false)]]);
    expect([x, row].map((term) => gradients.get(term)?.shape)).toEqual([[2, 3], [3]]);
  });

  it("go past nothing that has none", () => {
    expect(reached(ops.add(x, ops.stop(row)))).toEqual([true, false]);
    expect(reached(ops.mul(ops.greater(x, row), row))).toEqual([false, true]);
    expect(reached(ops.add(ops.largest(x, [0]), row))).toEqual([false, true]);
    expect(reached(ops.add(ops.largest(x, []), row))).toEqual([false, true]);
    expect(reached(ops.add(ops.sorted(x), row))).toEqual([false, true]);
    expect(reached(ops.where(ops.add(x, 0), row, 0))).toEqual([false, true]);
    const { before } = ops.recurrence(ops.stop(row), x, x);
    expect(reached(ops.add(before, row))).toEqual([false, true]);
    expect(reached(ops.pow(x, 0))).toEqual([false, false]);
    const { mean, y } = ops.normalize(layerNorm(), x, { gamma: row });
    expect(reached(y)).toEqual([true, true]);
    expect(reached(ops.mul(mean as Term, 2))).toEqual([false, false]);
  });

  it("go through what is folded: a sum of negated terms, signs and numbers that are multiplied", () => {
    expect(reached(ops.sum(ops.mul(x, -1), [0]))).toEqual([true, false]);
    expect(reached(ops.mul(ops.mul(ops.mul(row, 2), -1), -1))).toEqual([false, true]);
    const one = ops.input([1], true);
    const twice = ops.mul(ops.mul(one, ops.uniform(3, [4])), ops.uniform(-1, [2, 1]));
    expect([twice.shape, ops.mul(twice, -1).shape]).toEqual([
      [2, 4],
      [2, 4],
    ]);
    expect(ops.gradients([[twice, ops.input([2, 4], false)]]).get(one)?.shape).toEqual([1]);
  });

  it("add up where a term is a result several times over, or x itself is one", () => {
    const dy = ops.input([2, 3], false);
    const gradients = ops.gradients([
      [x, dy],
      [ops.mul(x, 2), dy],
    ]);
    expect(gradients.get(x)).toBe(ops.add(dy, ops.mul(dy, 2)));
    expect(ops.gradients([[row, dy]]).get(row)).toBe(ops.reshape(ops.sum(dy, [0]), [3]));
  });

  it("are what a formula makes of them, from what it saved", () => {
    const seen: (readonly Term[])[] = [];
    const y = ops.intercept(x, [row], (gradient, saved) => {
      seen.push(saved);
      return ops.mul(gradient, saved[0]);
    });
    expect(elementsOf(y).source).toBe(x);
    const dy = ops.input([2, 3], false);
    const gradients = ops.gradients([[ops.mul(y, 2), dy]]);
    expect(seen.length).toBe(1);
    expect(elementsOf(seen[0][0]).source).toBe(row);
    expect(gradients.get(x)).toMatchObject({ operation: "mul", shape: [2, 3] });
    expect(gradients.has(row)).toBe(false);
  });
});
