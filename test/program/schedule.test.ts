/** Schedules: what is one pass, what has an array, how long it lives; and what holds of every program. */
import { describe, expect, it } from "vitest";
import type { Normalization } from "../../src/formula/normalization.js";
import { layerNorm } from "../../src/index.js";
import { reference } from "../../src/kernels/reference/reference.js";
import { catalog } from "../../src/norms/catalog.js";
import { execute, programOf, type Runnable, type Signature, type Slot } from "../../src/program/program.js";
import { schedule } from "../../src/program/schedule.js";
import { elementsOf, type Source, type Term } from "../../src/program/term.js";
import { Trace } from "../../src/program/trace.js";
import { sizeOf } from "../../src/shape.js";
import { rows } from "../norms/rows/index.js";
import { randomFormula } from "../support/formulas.js";

/** Traces a formula of one input of each shape; gives its schedule, and runs it. */
function scheduled(
  shapes: readonly (readonly number[])[],
  make: (ops: Trace, ...inputs: Term[]) => readonly Term[],
) {
  const ops = new Trace();
  const inputs = shapes.map((shape) => ops.input(shape, false));
  const before = new Map(inputs.map((input, i) => [input, i]));
  const results = make(ops, ...inputs).map((term) => elementsOf(term).source as Source);
  const { instructions, buffers } = schedule(results, before, new Set(), inputs.length);
  const lengths: number[] = [];
  for (const [source, buffer] of buffers) lengths[buffer] = sizeOf(source.shape);
  const run = (...values: number[][]) => {
    const arrays = values.map((one) => Float64Array.from(one));
    const lasting = new Set(results.map((source) => buffers.get(source)));
    const made: Float64Array[] = [];
    execute(reference, { instructions, lengths }, arrays, (buffer, length) => {
      if (!lasting.has(buffer)) return undefined;
      made[buffer] = new Float64Array(length);
      return made[buffer];
    });
    return results.map((source) => [...arrays[buffers.get(source) as number]]);
  };
  return { instructions, run };
}

describe("a pass", () => {
  it("is all that is elementwise between two sums", () => {
    const { instructions, run } = scheduled([[2, 3], [3]], (ops, x, gamma) => {
      const y = ops.tanh(ops.add(ops.mul(x, gamma), 1));
      const sums = ops.sum(ops.mul(y, y), [1]);
      return [ops.div(ops.mul(y, 2), ops.add(sums, 1))];
    });
    // and a short one, of what is the same along a row
    expect(instructions.length).toBe(3);
    // y is dear enough to be kept between them
    expect(instructions[0].makes.length).toBe(2);
    const [result] = run([1, 2, 3, 4, 5, 6], [0, 0.5, -1]);
    const rows = [0, 1].map((row) =>
      [0, 1, 2].map((i) => Math.tanh((row * 3 + i + 1) * [0, 0.5, -1][i] + 1)),
    );
    const expected = rows.flatMap((y) =>
      y.map((value) => (2 * value) / (y.reduce((sum, one) => sum + one * one, 0) + 1)),
    );
    result.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i], 12);
    });
  });

  it("gives sums over several axes, and what they are of, at once", () => {
    const { instructions, run } = scheduled([[2, 3]], (ops, x) => {
      const y = ops.mul(x, 2);
      return [y, ops.sum(y, [0]), ops.sum(y, [1]), ops.largest(y, [0, 1])];
    });
    expect(instructions.length).toBe(1);
    expect(run([1, 2, 3, 4, 5, 6])).toEqual([[2, 4, 6, 8, 10, 12], [10, 14, 18], [12, 30], [12]]);
  });

  it("reads shifted, turned and repeated arrays in place", () => {
    const { instructions, run } = scheduled(
      [
        [2, 3],
        [1, 2],
      ],
      (ops, x, row) => {
        const turned = ops.transpose(x, [1, 0]);
        return [ops.add(ops.add(turned, row), ops.slice(ops.reshape(x, [3, 2]), 1, 1, 2))];
      },
    );
    expect(instructions.length).toBe(1);
    expect(run([1, 2, 3, 4, 5, 6], [10, 20])).toEqual([[13, 26, 16, 29, 19, 32]]);
  });

  it("is not for what is made in one order and read in another", () => {
    const { instructions, run } = scheduled([[2, 2]], (ops, x) => [
      ops.add(ops.transpose(ops.mul(x, 2), [1, 0]), x),
    ]);
    expect(instructions.length).toBe(2);
    expect(run([1, 2, 3, 4])).toEqual([[3, 8, 7, 12]]);
  });

  it("is not for axes that cut across one another", () => {
    const { instructions, run } = scheduled(
      [
        [4, 1],
        [3, 1],
      ],
      (ops, a, b) => {
        const four = ops.add(ops.broadcastTo(a, [4, 3]), 1);
        const three = ops.add(ops.broadcastTo(b, [3, 4]), 1);
        return [ops.mul(ops.reshape(four, [12]), ops.reshape(three, [12]))];
      },
    );
    expect(instructions.length).toBeGreaterThan(1);
    const [product] = run([0, 1, 2, 3], [0, 10, 20]);
    expect(product).toEqual([1, 1, 1, 2, 22, 22, 33, 33, 63, 84, 84, 84]);
  });

  it("follows what it reads of its own level", () => {
    const { run } = scheduled([[6], [2, 3]], (ops, a, b) => {
      const y = ops.exp(ops.mul(a, 0));
      const turned = ops.transpose(b, [1, 0]);
      return [y, ops.add(ops.reshape(y, [3, 2]), turned), ops.sum(ops.add(ops.reshape(y, [2, 3]), b), [0])];
    });
    const [, second, third] = run([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]);
    expect(second).toEqual([2, 5, 3, 6, 4, 7]);
    expect(third).toEqual([7, 9, 11]);
  });
});

describe("sizes of 0", () => {
  it("sum to 0, and join to what else there is", () => {
    const { run } = scheduled([[2, 3]], (ops, x) => {
      const none = ops.slice(x, 0, 1, 1);
      return [ops.sum(ops.mul(none, 2), [0]), ops.concat([ops.exp(none), x], 0), ops.add(none, 1)];
    });
    expect(run([1, 2, 3, 4, 5, 6])).toEqual([[0, 0, 0], [1, 2, 3, 4, 5, 6], []]);
  });
});

describe("calls", () => {
  it("are made where any of what they give is needed, though the first was there before", () => {
    const ops = new Trace();
    const x = ops.input([2, 2], false);
    const { y, mean } = ops.normalize(layerNorm(), x);
    const [first, second] = [y, mean as Term].map((term) => elementsOf(term).source);
    const before = new Map<Source, number>([
      [x, 0],
      [first, 1],
    ]);
    const { instructions } = schedule([second], before, new Set(), 2);
    expect(instructions.length).toBe(1);
    expect(instructions[0].makes).toContain(2);
  });

  it("take whole arrays, of numbers and of parts of arrays too", () => {
    const { run } = scheduled([[3, 2]], (ops, x) => [
      ops.matMul(ops.slice(x, 0, 1, 3), ops.uniform(2, [2, 2])),
      ops.sorted(ops.transpose(x, [1, 0])),
    ]);
    expect(run([6, 5, 4, 3, 2, 1])).toEqual([
      [14, 14, 6, 6],
      [2, 4, 6, 1, 3, 5],
    ]);
  });
});

/** What is wrong with a program: reads of what is not there, or not any more, and what is kept for nothing. */
function faults(
  { instructions }: Runnable,
  brought: readonly (Slot | undefined)[],
  results: readonly (Slot | undefined)[],
): string[] {
  const found: string[] = [];
  const there = new Set(brought.flatMap((slot) => (slot ? [slot.buffer] : [])));
  const lasting = results.flatMap((slot) => (slot ? [slot.buffer] : []));
  if (new Set(lasting).size < lasting.length) found.push("two results share an array");
  if (lasting.some((buffer) => there.has(buffer))) found.push("a result is an array of the caller's");
  const own = new Set<number>();
  for (const [i, { reads, makes, frees }] of instructions.entries()) {
    for (const buffer of reads)
      if (!there.has(buffer)) found.push(`${i} reads ${buffer}, which is not there`);
    for (const buffer of makes) {
      if (there.has(buffer) && own.has(buffer)) found.push(`${i} makes ${buffer} again`);
      if (reads.includes(buffer) && !there.has(buffer)) found.push(`${i} reads what it makes, ${buffer}`);
      if (!there.has(buffer)) own.add(buffer);
      there.add(buffer);
    }
    for (const buffer of frees) {
      if (!own.delete(buffer)) found.push(`${i} frees ${buffer}, which is not its own`);
      there.delete(buffer);
    }
  }
  for (const buffer of lasting) if (!there.has(buffer)) found.push(`result ${buffer} is missing`);
  for (const buffer of own) if (!lasting.includes(buffer)) found.push(`${buffer} is never freed`);
  return found;
}

type Call = Omit<Signature, "differentiable" | "movesState"> & { readonly norm: Normalization };

describe("every program", () => {
  const calls: Call[] = rows.flatMap(({ norm, shapes: inputs, mask }): Call[] => [
    { norm, inputs, training: false },
    {
      norm,
      inputs,
      training: true,
      residual: inputs[0],
      ...(mask !== null && { mask: mask ?? inputs[0].slice(0, 1) }),
    },
  ]);
  const random = Array.from({ length: 30 }, (_, seed) => ({
    ...randomFormula(seed, "all", 14, 100),
    training: true,
  }));

  it("has what it reads, and frees what it made", () => {
    expect(rows.length).toBeGreaterThanOrEqual(Object.keys(catalog).length);
    for (const [i, { norm, ...call }] of [...calls, ...random].entries()) {
      const { inputs, training, mask, residual: added } = call as Omit<Call, "norm">;
      const shapes = { inputs, mask, residual: added };
      const program = programOf(norm, { ...shapes, training, differentiable: true, movesState: true });
      const brought = [...program.inputs, ...Object.values(program.weights), program.mask, program.residual];
      const given = [program.y, program.sum, ...program.more, ...Object.values(program.state)];
      const saved = program.saved.filter(({ buffer }) => buffer !== program.sum?.buffer);
      expect(faults(program, brought, [...given, ...saved]), norm.name).toEqual([]);
      const back = program.backward({
        sum: i % 3 === 0,
        more: program.more.map((_, at) => (i + at) % 2 === 0),
      });
      const there = [...brought, ...program.saved, back.dy, back.dSum, ...back.dMore];
      // its gradient is that of x
      const own = back.residual?.buffer === back.inputs[0]?.buffer ? undefined : back.residual;
      const gradients = [...back.inputs, own, ...Object.values(back.weights), ...Object.values(back.state)];
      expect(faults(back, there, gradients), `${norm.name}, backward`).toEqual([]);
    }
  });
});
