/**
 * Programs against formulas in plain float64 loops: random ones, their gradients along random directions, and what a call may do
 * between a program's forward and backward pass.
 */
import { describe, expect, it } from "vitest";
import type { Values64 } from "../../src/formula/eager.js";
import type { ApplyOptions, Normalization, Weight } from "../../src/formula/normalization.js";
import type { Ops } from "../../src/formula/ops.js";
import { run } from "../../src/formula/run.js";
import {
  apply,
  BackendArray,
  dynamicTanh,
  type Evenkeel,
  layerNorm,
  open,
  type PlainArray,
  statistics,
} from "../../src/index.js";
import { programOf, type Signature } from "../../src/program/program.js";
import { Along, type Kind, type Moving, Plain, randomFormula, valuesOf } from "../support/formulas.js";
import { expectClose, largest } from "../support/numerics.js";

const truth = await open({ backend: "reference" });
const wasm = await open({ backend: "wasm", threads: 1 });

/** More of them for a long run. */
const FORMULAS = Number(process.env.FORMULAS ?? 25);
const STEPS = Number(process.env.STEPS ?? 14);
const ELEMENTS = Number(process.env.ELEMENTS ?? 200);

const still = (at: Values64): Moving => ({
  at,
  by: { shape: at.shape, data: new Float64Array(at.data.length) },
});
const dispose = (arrays: Iterable<unknown>) => {
  for (const array of new Set(arrays)) if (array instanceof BackendArray) array.dispose();
};
const dot = ({ data: a }: PlainArray, { data: b }: PlainArray) => {
  let [sum, size] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    sum += a[i] * b[i];
    size += Math.abs(a[i] * b[i]);
  }
  return { sum, size };
};

/** One formula on one backend: `tolerance` is in units of the largest value. */
function check(seed: number, kind: Kind, ek: Evenkeel, tolerance: number): void {
  const formula = randomFormula(seed, kind, STEPS, ELEMENTS);
  const { norm, inputs, mask: maskShape, residual: added } = formula;
  const steps: Kind = kind === "all" ? "smooth" : kind;
  const specified = norm.weights(...inputs);
  const names = Object.keys(specified);
  const trained = names.filter((name) => specified[name].trained);
  const shapes = [...inputs, ...names.map((name) => specified[name].shape)];
  const values = shapes.map((shape, i) => valuesOf(shape, kind, seed + i));
  const mask = maskShape && {
    shape: maskShape,
    data: valuesOf(maskShape, "exact", seed + 90).data.map((value) => (value > -2 ? 1 : 0)),
  };
  const residual = added && valuesOf(added, kind, seed + 91);
  const byName = <T>(all: readonly T[]) =>
    Object.fromEntries(names.map((name, i) => [name, all[inputs.length + i]]));
  const call = { training: true, mask, residual };
  const expected = run(new Plain(), norm, values.slice(0, inputs.length), byName(values), call);
  const directions = shapes.map((shape, i) => valuesOf(shape, steps, seed + 300 + i));
  const moving = values.map((at, i) =>
    i >= inputs.length && !specified[names[i - inputs.length]].trained
      ? still(at)
      : { at, by: directions[i] },
  );
  const along = run(new Along(), norm, moving.slice(0, inputs.length), byName(moving), {
    ...{ training: true, mask: mask && still(mask), residual: residual && still(residual) },
  });

  // in the backend or plain; gradients of y alone, or of more
  const inBackend = seed % 2 === 0;
  const handed = (one: Values64): PlainArray =>
    inBackend ? ek.array(one.shape, one.data) : { shape: one.shape, data: one.data.slice() };
  const before = ek.memory().arrays;
  const mine = values.map(handed);
  const weights = byName(mine);
  const more = residual && handed(residual);
  const applied = apply(ek, norm, mine.slice(0, inputs.length) as [PlainArray], weights, {
    mask,
    residual: more,
  });
  const close = (name: string, got: PlainArray, { shape, data }: Values64) => {
    expect(got.shape, name).toEqual(shape);
    const allowed = tolerance * Math.max(1, largest(data)) || Number.MIN_VALUE;
    expectClose(name, got.data, data, () => allowed);
  };
  close("y", applied.y, expected.y);
  if (expected.sum) close("sum", applied.sum as PlainArray, expected.sum);
  expected.more?.forEach((one, i) => {
    close(`more[${i}]`, applied.more[i], one);
  });
  for (const [name, one] of Object.entries(expected.state ?? {})) close(name, applied.state[name], one);

  const upstream = (shape: readonly number[], i: number) => valuesOf(shape, steps, seed + 200 + i);
  const dy = upstream(expected.y.shape, 0);
  const dSum = seed % 3 === 0 ? upstream(inputs[0], 1) : undefined;
  const dMore = (expected.more ?? []).map(({ shape }, i) =>
    (seed >> i) % 3 > 0 ? upstream(shape, 2 + i) : undefined,
  );
  const back = [dy, dSum, ...dMore].map((one) => one && handed(one));
  // what a call gave is its caller's, who disposes of it, and stores new state
  dispose([applied.y, ...applied.more]);
  for (const [name, { data }] of Object.entries(applied.state)) {
    if (data.length === weights[name].data.length) weights[name].data.set(data);
  }
  const [first, second, ...others] = back;
  const gradients = applied.backward(first as PlainArray, { dSum: second, dMore: others });
  const paths = [
    [along.y.by, dy],
    [(along.sum ?? moving[0]).by, dSum],
    ...(along.more ?? []).map(({ by }, i) => [by, dMore[i]]),
  ].flatMap(([by, gradient]) => (by && gradient ? [dot(by, gradient)] : []));
  const found = [...gradients.inputs, ...names.map((name) => gradients.weights[name])].flatMap(
    (gradient, i) => (gradient ? [dot(gradient, directions[i])] : []),
  );
  const [want, got] = [paths, found].map((parts) => parts.reduce((sum, part) => sum + part.sum, 0));
  const size = [...paths, ...found].reduce((most, part) => most + part.size, 1);
  expect(trained.every((name) => gradients.weights[name].shape.length === specified[name].shape.length)).toBe(
    true,
  );
  if (!(Math.abs(got - want) <= tolerance * size)) {
    throw new Error(`gradient along a direction: got ${got}, expected ${want} ± ${tolerance * size}`);
  }
  dispose([...mine, more, ...back, applied.sum, ...gradients.inputs, ...Object.values(gradients.weights)]);
  expect(ek.memory().arrays, "arrays left behind").toBe(before);
}

describe("random formulas", () => {
  it.each([
    { kind: "all", ek: truth, tolerance: 1e-9 },
    { kind: "exact", ek: wasm, tolerance: 0 },
    { kind: "smooth", ek: wasm, tolerance: 2e-4 },
  ] as const)("$kind, on $ek.backend", ({ kind, ek, tolerance }) => {
    for (let seed = 0; seed < FORMULAS; seed++) {
      try {
        check(seed, kind, ek, tolerance);
      } catch (error) {
        throw new Error(`${(error as Error).message}\n${randomFormula(seed, kind, STEPS, ELEMENTS)}`, {
          cause: error,
        });
      }
    }
  });

  it("carry what is no number, or infinite, as their operations do", () => {
    const hard = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0];
    const spoiled = (shape: readonly number[], seed: number): Values64 => {
      const { data } = valuesOf(shape, "exact", seed);
      return { shape, data: data.map((value, i) => ((i + seed) % 5 === 0 ? hard[(i + seed) % 4] : value)) };
    };
    for (let seed = 0; seed < FORMULAS; seed++) {
      const { norm, inputs, mask, residual } = randomFormula(seed, "exact", STEPS, ELEMENTS);
      if (mask || residual) continue;
      const arrays = inputs.map((shape, i) => spoiled(shape, seed + i));
      const weights = Object.fromEntries(
        Object.entries(norm.weights(...inputs)).map(([name, { shape }], i) => [
          name,
          spoiled(shape, seed + 9 + i),
        ]),
      );
      const { y } = run(new Plain(), norm, arrays, weights, { training: true });
      const got = apply(wasm, norm, arrays as unknown as [PlainArray], weights).y.data;
      const off = y.data.findIndex(
        (value, i) => value !== got[i] && !(Number.isNaN(value) && Number.isNaN(got[i])),
      );
      expect(off, `seed ${seed}: got ${got[off]}, expected ${y.data[off]}`).toBe(-1);
    }
  });
});

/** A normalization of any operations. */
function formula(
  make: <T>(
    ops: Ops<T>,
    x: T,
    weights: Readonly<Record<string, T>>,
    options: ApplyOptions<T>,
  ) => ReturnType<Normalization["apply"]>,
  weights: Readonly<Record<string, Weight>> = {},
): Normalization {
  return {
    name: "formula",
    weights: () => ({ ...weights }),
    apply: (ops, [x], held, options) => make(ops, x, held, options) as never,
  };
}

const state = (length: number): Weight => ({ shape: [length], initial: 1, trained: false });
const x = valuesOf([3, 4], "smooth", 1);
const dy = valuesOf([3, 4], "smooth", 2);

describe("what is given", () => {
  it("is an array of its own, whatever it is", () => {
    const norm = formula((ops, x) => ({
      y: x,
      more: [x, ops.reshape(x, [12]), ops.constant([2, 2], [2]), ops.slice(x, 0, 1, 1)] as never,
    }));
    const held = wasm.array(x.shape, x.data);
    const { y, more, backward } = apply<PlainArray>(wasm, norm, held);
    const all = [held, y, ...more] as BackendArray[];
    expect(new Set(all.map(({ handle }) => handle)).size).toBe(all.length);
    expect(more.map(({ shape }) => shape)).toEqual([[3, 4], [12], [2], [0, 4]]);
    expect([...more[2].data]).toEqual([2, 2]);
    const { dx } = backward({ shape: dy.shape, data: dy.data });
    expectClose("dx", dx.data, dy.data, () => 1e-7);
    dispose([...all, dx]);
  });

  it("of a call may be a part that the backward pass needs", () => {
    for (const given of ["y", "mean", "variance"] as const) {
      const part = formula((ops, x) => {
        const normalized = ops.normalize(layerNorm(), x);
        return { y: ops.mul(normalized.y, ops.tanh(normalized.y)), more: [normalized[given]] as never };
      });
      const none = formula((ops, x) => {
        const { y } = ops.normalize(layerNorm(), x);
        return { y: ops.mul(y, ops.tanh(y)) };
      });
      const [a, b] = [part, none].map((norm) => apply(wasm, norm, x).backward(dy).dx.data);
      expect([...a], given).toEqual([...b]);
    }
  });

  it("has zeros for gradients that reach nothing", () => {
    const norm = formula((ops, x, { w }) => ({ y: ops.mul(ops.stop(x), ops.stop(w)) }), {
      w: { shape: [4], initial: 2, trained: true },
    });
    const { dx, weights } = apply(wasm, norm, x).backward(dy);
    expect([...dx.data, ...weights.w.data]).toEqual(new Array(16).fill(0));
  });

  it("has the gradient of the first where two are equal", () => {
    const equal = { shape: [2], data: Float64Array.of(2, -1) };
    const both = { shape: [2], initial: [2, -1], trained: true };
    for (const choose of ["max", "min"] as const) {
      const norm = formula((ops, x, { w }) => ({ y: ops[choose](x, w) }), { w: both });
      const { dx, weights } = apply(truth, norm, equal).backward({ shape: [2], data: Float64Array.of(3, 5) });
      expect([...dx.data, ...weights.w.data], choose).toEqual([3, 5, 0, 0]);
    }
  });

  it("has no slope where a power is 0", () => {
    const norm = formula((ops, x) => ({ y: ops.pow(ops.mul(x, 0), 0) }));
    const { y, backward } = apply(truth, norm, x);
    expect([...y.data]).toEqual(new Array(12).fill(1));
    expect([...backward(dy).dx.data]).toEqual(new Array(12).fill(0));
  });
});

describe("state", () => {
  /** The gradient by way of what was stored before the call, whatever is stored since. */
  const gradientAfter = (norm: Normalization, ek: Evenkeel) => {
    const held = ek.array([4], [1, 2, 3, 4]);
    const applied = apply(ek, norm, x, { held });
    held.data.set(applied.state.held.data);
    const { dx } = applied.backward(dy);
    dispose([held, applied.y, dx]);
    return [...dx.data];
  };
  const expected = Array.from(dy.data, (value, i) => Math.fround(Math.fround(value) * (1 + (i % 4))));

  it("is what it was before, to the backward pass", () => {
    const norm = formula((ops, x, { held }) => ({ y: ops.mul(x, held), state: { held: ops.add(held, 1) } }), {
      held: state(4),
    });
    expect(gradientAfter(norm, wasm)).toEqual(expected);
  });

  it("is that too where it is given as well", () => {
    const norm = formula(
      (ops, x, { held }) => ({
        y: ops.mul(x, held),
        more: [held] as never,
        state: { held: ops.add(held, 1) },
      }),
      {
        held: state(4),
      },
    );
    expect(gradientAfter(norm, wasm)).toEqual(expected);
  });

  it("is that too where the forward pass does not read it", () => {
    const through = <T>(ops: Ops<T>, x: T, held: T) =>
      (ops.intercept as NonNullable<typeof ops.intercept>)(x, [held], (gradient, [old]) =>
        ops.mul(gradient, old),
      );
    const norm = formula(
      (ops, x, { held }) => ({
        y: through(ops, x, held),
        state: { held: ops.reshape(ops.sum(x, [0]), [4]) },
      }),
      { held: state(4) },
    );
    expect(gradientAfter(norm, wasm)).toEqual(expected);
  });

  it("may become what the forward pass made, in the backward pass", () => {
    const norm = formula(
      (ops, x, { held }, { moveState }) => ({
        y: (ops.intercept as NonNullable<typeof ops.intercept>)(
          x,
          [ops.mul(held, 3)],
          (gradient, [saved]) => {
            moveState?.({ held: saved });
            return ops.mul(gradient, saved);
          },
        ),
      }),
      { held: state(4) },
    );
    const { state: moved } = apply(wasm, norm, x).backward(dy);
    expect([...moved.held.data]).toEqual([3, 3, 3, 3]);
  });
});

describe("programs", () => {
  const signature = (shape: readonly number[], changes: Partial<Signature> = {}): Signature => ({
    ...{ inputs: [shape], training: true, differentiable: true, movesState: false },
    ...changes,
  });

  it("are made once for the shapes of the last calls", () => {
    const norm = dynamicTanh();
    const of = (length: number) => programOf(norm, signature([2, length]));
    const first = of(1);
    for (let length = 2; length <= 16; length++) of(length);
    expect(of(1)).toBe(first);
    of(17);
    expect(of(1)).toBe(first);
    const second = of(2);
    for (let length = 20; length < 36; length++) of(length);
    expect(of(2)).not.toBe(second);
  });

  it("depend on shapes and on nothing that a caller changes afterwards", () => {
    const norm = dynamicTanh();
    const shape = [2, 3];
    const program = programOf(norm, signature(shape));
    shape[0] = 7;
    expect(programOf(norm, signature([2, 3]))).toBe(program);
    expect(programOf(norm, signature(shape)).y.shape).toEqual([7, 3]);
    expect(program.y.shape).toEqual([2, 3]);
    const others: Partial<Signature>[] = [
      { mask: [2] },
      { residual: [2, 3] },
      { training: false },
      { differentiable: false },
      { movesState: true },
    ];
    const all = others.map((changes) => programOf(norm, signature([2, 3], changes)));
    expect(new Set([program, ...all]).size).toBe(6);
  });

  it("serve all backends", () => {
    const norm = dynamicTanh();
    const results = [wasm, truth, wasm].map((ek) => apply(ek, norm, x).backward(dy).dx.data);
    expect([...results[2]]).toEqual([...results[0]]);
    expectClose("dx", results[0], results[1], () => 1e-6);
  });

  it("say what they have to say at every call", () => {
    const norm = formula((ops, x, _, { warn }) => {
      warn?.("few values");
      return { y: ops.tanh(x) };
    });
    const said: string[] = [];
    for (let i = 0; i < 3; i++) apply(wasm, norm, x, {}, { warn: (message) => said.push(message) });
    expect(said).toEqual(["few values", "few values", "few values"]);
  });

  it("hold nothing where a formula throws, or memory ends, wherever it does", () => {
    const before = wasm.memory();
    let fails = true;
    const throwing = formula((ops, x) => {
      const y = ops.tanh(x);
      if (fails) throw new RangeError("not now");
      return { y };
    });
    expect(() => apply(wasm, throwing, wasm.array(x.shape, x.data))).toThrow("not now");
    fails = false;
    dispose([apply(wasm, throwing, x).y]);
    const norm = formula(
      (ops, x, { w }) => {
        const { y, mean } = ops.normalize(layerNorm(), x, { gamma: w });
        const sums = ops.sum(ops.tanh(y), [0]);
        return {
          y: ops.mul(ops.sorted(y), sums),
          more: [mean] as never,
          state: { s: ops.reshape(sums, [4]) },
        };
      },
      { w: { shape: [4], initial: 1, trained: true }, s: state(4) },
    );
    const { kernels } = wasm.store as unknown as {
      kernels: { allocate(length: number, type?: string): number; release(array: number): void };
    };
    const { allocate, release } = kernels;
    const taken = new Set<number>();
    let left = 0;
    let ended = 0;
    kernels.allocate = (length, type) => {
      if (left-- === 0) throw new RangeError("no room");
      const array = allocate.call(kernels, length, type);
      taken.add(array);
      return array;
    };
    kernels.release = (array) => {
      taken.delete(array);
      release.call(kernels, array);
    };
    try {
      for (let room = 0; ; room++) {
        left = -1;
        const held = wasm.array(x.shape, x.data);
        const given: unknown[] = [held];
        left = room;
        try {
          const { y, more, backward } = apply<PlainArray>(wasm, norm, held);
          given.push(y, ...more);
          const gradients = backward(dy);
          given.push(...gradients.inputs, ...Object.values(gradients.weights));
          if (left >= 0) break;
        } catch (error) {
          expect((error as Error).message).toBe("no room");
          ended++;
        } finally {
          left = -1;
          dispose(given);
        }
        expect(taken.size, `room for ${room} arrays`).toBe(0);
      }
    } finally {
      Object.assign(kernels, { allocate, release });
    }
    // the array that was given to the formula that throws
    expect(wasm.memory().arrays).toBe(before.arrays + 1);
    expect(ended).toBeGreaterThan(10);
  });
});

describe("arrays of a call", () => {
  it("of half the bytes beside a plain x are there for the backward pass", () => {
    for (const type of ["float16", "bfloat16"] as const) {
      const gamma = wasm.array([4], [1, 2, 3, 4], { type });
      const applied = apply(wasm, layerNorm(), x, { gamma });
      const others = Array.from({ length: 8 }, () => wasm.array([4], [9, 9, 9, 9]));
      const expected = apply(wasm, layerNorm(), x, { gamma: Float32Array.of(1, 2, 3, 4) }).backward(dy);
      expect([...applied.backward(dy).dx.data]).toEqual([...expected.dx.data]);
      const again = apply(wasm, layerNorm(), x, { gamma });
      dispose([gamma, ...others]);
      expect(() => again.backward(dy)).toThrow("layerNorm: gamma: this array of shape [4] was disposed");
    }
  });

  it("of half the bytes are taken in any shape, and give float32 where the shape is not theirs", () => {
    const before = wasm.memory().arrays;
    const given = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8];
    const held = wasm.array([3, 4], given, { type: "bfloat16" });
    const gamma = wasm.array([1, 4], [1, 2, 3, 4], { type: "bfloat16" });
    const { y } = apply(wasm, dynamicTanh(), { shape: [3, 4], data: Float32Array.from(given) }, { gamma });
    const expected = apply(
      wasm,
      dynamicTanh(),
      { shape: [3, 4], data: Float32Array.from(given) },
      { gamma: Float32Array.of(1, 2, 3, 4) },
    );
    expect([...y.data]).toEqual([...expected.y.data]);
    const { mean, variance, backward } = statistics(wasm, layerNorm(), held);
    expectClose("mean", (mean as PlainArray).data, [9 / 4, 22 / 4, 21 / 4], () => 1e-6);
    expectClose("variance", variance.data, [27 / 16, 25 / 4, 51 / 16], () => 1e-6);
    const dx = backward({ dMean: { shape: [3], data: Float32Array.of(4, 8, 16) } });
    expect((dx as unknown as BackendArray).type).toBe("bfloat16");
    expect(() => backward({ dMean: { shape: [2], data: Float32Array.of(4, 8) } })).toThrow(
      "must have shape [3]",
    );
    dispose([dx, held, gamma]);
    expect(wasm.memory().arrays).toBe(before);
  });

  it("are needed until the backward pass, but for what the call gave", () => {
    const norm = formula((ops, x, { w }) => ({ y: ops.mul(ops.tanh(x), w), more: [ops.exp(x)] as never }), {
      w: { shape: [4], initial: 1, trained: true },
    });
    for (const name of ["y", "more", "x", "w"]) {
      const before = wasm.memory().arrays;
      const [held, w] = [wasm.array(x.shape, x.data), wasm.array([4], [1, 2, 3, 4])];
      const { y, more, backward } = apply<PlainArray>(wasm, norm, held, { w });
      dispose({ y: [y], more, x: [held], w: [w] }[name] as unknown[]);
      const back = () => backward(dy, { dMore: [dy] });
      if (name === "x" || name === "w") expect(back, name).toThrow(`formula: ${name}: this array of shape`);
      else {
        const { dx, weights } = back();
        dispose([dx, weights.w]);
      }
      dispose([held, w, y, ...more]);
      expect(wasm.memory().arrays, name).toBe(before);
    }
  });
});
