/** A batch that lies in several places is normalized as one: the same y, gradients and state as the whole batch gives in one place. */
import { describe, expect, it } from "vitest";
import {
  type AsyncReduce,
  actNorm,
  apply,
  applyOver,
  BatchNorm,
  batchLayerNorm,
  batchNorm,
  batchRenorm,
  catalog,
  conditionalBatchNorm,
  evoNormB0,
  ghostBatchNorm,
  iterNorm,
  layerNorm,
  type Mask,
  type MomentsList,
  meanOnlyBatchNorm,
  mergeLists,
  type Normalization,
  onlineNorm,
  open,
  type PlainArray,
  type Reduce,
  recurrentBatchNorm,
  residualBlock,
  statisticsOf,
  switchableNorm,
  withActivation,
} from "../../src/index.js";
import { sizeOf } from "../../src/shape.js";
import { expectClose, extremeInputs, largest, normal, random, tolerance } from "../support/numerics.js";
import { inPlaces } from "../support/places.js";

const opened = { reference: await open({ backend: "reference" }), wasm: await open({ backend: "wasm" }) };
const backends = ["reference", "wasm"] as const;
type Ek = (typeof opened)["wasm"];

interface Case {
  norm: Normalization;
  /** Lengths of x behind the batch, and of a condition. */
  rest: number[];
  condition?: number[];
  /** Lengths of a mask behind the batch. */
  mask?: number[];
  residual?: boolean;
  training?: boolean;
  /** Calls in both passes; default: one in each. */
  calls?: number;
}

/** Uneven ones, one with a single example, and one with none. */
const sizes = [4, 1, 0, 7];
const total = sizes.reduce((a, b) => a + b);
/** Of the whole batch: what lies in the second place is masked, and some of the others. */
const counts = Array.from({ length: total }, (_, i) => Number(i !== 4 && i % 5 !== 0));

function data(lengths: readonly number[], seed: number, mean = 0.5): PlainArray {
  return { shape: [total, ...lengths], data: normal(total * sizeOf(lengths), seed, mean) };
}

/** What of an array lies in a place. */
function part({ shape, data }: PlainArray, place: number, places = sizes): PlainArray {
  const from = places.slice(0, place).reduce((a, b) => a + b, 0);
  const size = sizeOf(shape.slice(1));
  return {
    shape: [places[place], ...shape.slice(1)],
    data: data.slice(from * size, (from + places[place]) * size),
  };
}

/** One pass forward and back, of the whole batch or of a part. */
function both(
  ek: Ek,
  { norm, training }: Case,
  take: (array: PlainArray) => PlainArray,
  all: Arrays,
  reduce?: Reduce,
) {
  const { inputs, weights, mask, residual, dy } = all;
  const result = apply(ek, norm, inputs.map(take) as [PlainArray], weights, {
    training,
    mask: mask && (take(mask as PlainArray) as Mask),
    residual: residual && take(residual),
    reduce,
  });
  const { dx, inputs: others, weights: gradients } = result.backward(take(dy));
  const { y, sum, state } = result;
  return { y, sum, state, dx, others: others.slice(1), gradients };
}

interface Arrays {
  inputs: PlainArray[];
  weights: Record<string, Float32Array>;
  mask?: PlainArray;
  residual?: PlainArray;
  dy: PlainArray;
}

function arraysOf({ norm, rest, condition, mask, residual }: Case, x = data(rest, 1, 3)): Arrays {
  const inputs = condition ? [x, data(condition, 2)] : [x];
  const shapes = inputs.map(({ shape }) => shape);
  const specified = Object.entries(norm.weights(...shapes));
  const [output = x.shape] = norm.outputs?.(...shapes) ?? [];
  return {
    inputs,
    weights: Object.fromEntries(
      specified
        .filter(([, { trained }]) => trained)
        .map(([name, { shape }], i) => [name, normal(sizeOf(shape), 10 + i, 0.2)]),
    ),
    ...(mask && {
      mask: {
        shape: [total, ...mask],
        data: Float32Array.from({ length: total * sizeOf(mask) }, (_, i) => {
          const [example, within] = [Math.floor(i / sizeOf(mask)), i % sizeOf(mask)];
          return sizeOf(mask) === 1 ? counts[example] : Number(example !== 4 && within <= example % 4);
        }),
      },
    }),
    ...(residual && { residual: data(rest, 5) }),
    dy: { shape: output, data: normal(sizeOf(output), 3) },
  };
}

const joined = (arrays: readonly (PlainArray | undefined)[]) =>
  arrays.flatMap((one) => [...(one as PlainArray).data]);

/** Compares K places with one. */
function compare(ek: Ek, one: Case, all = arraysOf(one), { forward, backward } = allowed(ek)): void {
  const whole = both(ek, one, (array) => array, all);
  const { results, calls } = inPlaces(sizes.length, (place, reduce) =>
    both(ek, one, (array) => part(array, place), all, reduce),
  );
  expect(calls).toBe(one.calls ?? 2);
  const close = (name: string, actual: number[], expected: ArrayLike<number>, relative: number, terms = 1) =>
    expectClose(
      name,
      Float64Array.from(actual),
      expected,
      () => relative * terms * Math.max(largest(expected), 1e-30),
    );
  close("y", joined(results.map(({ y }) => y)), whole.y.data, forward);
  if (whole.sum) close("sum", joined(results.map(({ sum }) => sum)), whole.sum.data, forward);
  close("dx", joined(results.map(({ dx }) => dx)), whole.dx.data, backward);
  whole.others.forEach((other, i) => {
    close(
      `input ${i + 1}`,
      joined(results.map(({ others }) => others[i])),
      (other as PlainArray).data,
      backward,
    );
  });
  for (const [name, { data }] of Object.entries(whole.gradients)) {
    const sum = Array.from(data, (_, i) =>
      results.reduce((all, { gradients }) => all + gradients[name].data[i], 0),
    );
    // of a sum over all places
    close(`gradient of ${name}`, sum, data, backward, sum.length === 0 ? 1 : 4);
  }
  for (const [name, { data }] of Object.entries(whole.state)) {
    for (const { state } of results) {
      close(name, [...state[name].data], data, forward);
      expect([...state[name].data], `${name}: the same in every place`).toEqual([
        ...results[0].state[name].data,
      ]);
    }
  }
}

const allowed = (ek: Ek) => (ek.precision === "float64" ? { forward: 1e-12, backward: 1e-11 } : tolerance);

const cases: Record<string, Case> = {
  batchNorm: { norm: batchNorm(), rest: [5] },
  "batchNorm, channels first, mask and residual": {
    norm: batchNorm({ axis: 1 }),
    rest: [3, 4],
    mask: [1, 4],
    residual: true,
  },
  "batchNorm, over two axes": { norm: batchNorm({ axis: [1, 3] }), rest: [3, 2, 2], mask: [1] },
  "batchNorm, unbiased and over an epoch": {
    norm: batchNorm({ average: "epoch", runningVariance: "unbiased" }),
    rest: [3],
    mask: [1],
  },
  "batchNorm, micro-batches": { norm: batchNorm({ microBatches: 2, average: "cumulative" }), rest: [3] },
  "batchNorm, a mask that differs between channels": { norm: batchNorm(), rest: [3], mask: [3] },
  "batchNorm, evaluated on the batch": {
    norm: batchNorm({ sources: { batchMean: "batch", batchVariance: "batch" } }),
    rest: [3],
    training: false,
  },
  "batchNorm, evaluated on the batch's mean": {
    norm: batchNorm({ sources: { batchMean: "batch" } }),
    rest: [3],
    training: false,
  },
  "batchNorm, evaluated on the batch's variance": {
    norm: batchNorm({ sources: { batchVariance: "batch" } }),
    rest: [3],
    mask: [1],
    training: false,
  },
  batchRenorm: { norm: batchRenorm({ momentum: 0.9 }), rest: [3], mask: [1] },
  "batchRenorm, with limits": { norm: batchRenorm({ rMax: 1, dMax: 0, renormMomentum: 0.5 }), rest: [2, 3] },
  meanOnlyBatchNorm: { norm: meanOnlyBatchNorm(), rest: [2, 3], mask: [2] },
  "conditionalBatchNorm, of a vector": {
    norm: conditionalBatchNorm(),
    rest: [2, 3],
    condition: [4],
    residual: true,
  },
  switchableNorm: { norm: switchableNorm(), rest: [4, 3], mask: [4] },
  evoNormB0: { norm: evoNormB0({ axis: 1, runningVariance: "unbiased" }), rest: [3, 4], mask: [1, 4] },
  // the mean, then the covariances about it
  iterNorm: { norm: iterNorm({ groups: 2, iterations: 2 }), rest: [4], mask: [1], calls: 4 },
  // no gradient
  actNorm: { norm: actNorm({ variance: "unbiased" }), rest: [3], mask: [1], calls: 1 },
  // the batch's part, and the averages of the features'
  batchLayerNorm: { norm: batchLayerNorm(), rest: [2, 3], mask: [2], calls: 3 },
  // x̂ is weighted by the number of examples in all places
  "batchLayerNorm, evaluated on the batch's mean": {
    norm: batchLayerNorm({ sources: { batchMean: "batch" } }),
    rest: [2, 3],
    training: false,
  },
  "batchLayerNorm, evaluated on the batch's variance": {
    norm: batchLayerNorm({ sources: { batchVariance: "batch", featureMean: "batch" } }),
    rest: [2, 3],
    mask: [2],
    training: false,
  },
  // x·W of all steps, then h·U and the cell of each
  recurrentBatchNorm: { norm: recurrentBatchNorm({ units: 2 }), rest: [2, 2], mask: [2], calls: 10 },
  "batchNorm and an activation": { norm: withActivation(batchNorm(), "silu"), rest: [3] },
  "a block around batchNorm and layerNorm": {
    norm: residualBlock(withActivation(batchNorm(), "silu"), { placement: "post" }),
    rest: [3],
  },
};

describe.each(backends)("%s", (name) => {
  const ek = opened[name];

  it.each(Object.keys(cases))("%s", (one) => compare(ek, cases[one]));

  it("gives the statistics of all places, with gradients", () => {
    const norm = statisticsOf(batchNorm());
    const x = data([3], 1, 3);
    const [dMean, dVariance] = [1, 2].map((seed) => ({ shape: [3], data: normal(3, seed) }));
    const run = (here: PlainArray, reduce?: Reduce) => {
      const { y, more, backward } = apply(ek, norm, here, {}, { reduce });
      return {
        statistics: [...y.data, ...more[0].data],
        dx: [...backward(dMean, { dMore: [dVariance] }).dx.data],
      };
    };
    const whole = run(x);
    const { results } = inPlaces(sizes.length, (place, reduce) => run(part(x, place), reduce));
    const { forward, backward } = allowed(ek);
    const close = (name: string, actual: number[], expected: number[], relative: number) =>
      expectClose(name, Float64Array.from(actual), expected, () => relative * largest(expected));
    for (const { statistics } of results) close("statistics", statistics, whole.statistics, forward);
    // each place's loss has them all
    const dx = results.flatMap((one) => one.dx);
    close(
      "dx",
      dx,
      whole.dx.map((one) => one * sizes.length),
      backward,
    );
  });

  it("loses nothing of a mean far above the spread", () => {
    for (const mean of [1e4, -1e5, 1e6, 1e7]) {
      for (const one of [cases.batchNorm, cases.batchRenorm, cases.meanOnlyBatchNorm]) {
        const x = { shape: [total, ...one.rest], data: normal(total * sizeOf(one.rest), 7, mean) };
        const all = arraysOf(one, x);
        // subtracting a mean rounded to float32 would be wrong by up to half of the deviation
        const { y } = both(opened.reference, one, (array) => array, all);
        const { results } = inPlaces(sizes.length, (place, reduce) =>
          both(ek, one, (array) => part(array, place), all, reduce),
        );
        expectClose(
          `mean ${mean}`,
          Float64Array.from(joined(results.map(({ y }) => y))),
          y.data,
          () => 5e-6 * largest(y.data),
        );
        compare(ek, one, all, { forward: 5e-6, backward: 2e-5 });
      }
    }
  });

  it("knows constant channels, and a spread that is only between places", () => {
    const one: Case = { norm: batchNorm({ epsilon: 0 }), rest: [3] };
    const ofPlace = [1, 1e7 + 1, 0, 3];
    const values = Float32Array.from({ length: total * 3 }, (_, i) => {
      const example = Math.floor(i / 3);
      const place = example < 4 ? 0 : example < 5 ? 1 : 3;
      // the same everywhere, the same within a place, and one more that varies
      return i % 3 === 0 ? 1e7 + 1 : i % 3 === 1 ? ofPlace[place] : Math.sin(i);
    });
    const all = arraysOf(one, { shape: [total, 3], data: values });
    compare(ek, one, all);
    const { results } = inPlaces(sizes.length, (place, reduce) =>
      both(ek, one, (array) => part(array, place), { ...all, weights: {} }, reduce),
    );
    const first = (arrays: PlainArray[]) => joined(arrays).filter((_, i) => i % 3 === 0);
    expect(first(results.map(({ y }) => y)).every((value) => value === 0)).toBe(true);
    expect(first(results.map(({ dx }) => dx)).every((value) => value === 0)).toBe(true);
  });

  it("gives equal values no spread, however many", () => {
    const one = batchNorm({ epsilon: 0 });
    for (const value of [0.1, 1e7 / 3, -3e38, 1e-42, 16777217]) {
      for (const length of [2, 65, 4097]) {
        const x: PlainArray = { shape: [length, 1], data: new Float32Array(length).fill(value) };
        const { y, backward } = apply(ek, one, x, {}, { reduce: (list) => list });
        const dy = { shape: [length, 1], data: normal(length, 1) };
        expect(
          [...y.data, ...backward(dy).dx.data].every((zero) => zero === 0),
          `${length} × ${value}`,
        ).toBe(true);
      }
    }
  });

  it("takes one value per channel in each place, and no value at all", () => {
    const norm = batchNorm();
    const x = [3, 5, 10];
    const { results } = inPlaces(3, (place, reduce) =>
      apply(ek, norm, { shape: [1, 1], data: Float32Array.of(x[place]) }, {}, { reduce }),
    );
    const deviation = Math.sqrt((9 + 1 + 16) / 3 + 1e-5);
    expectClose(
      "y",
      Float64Array.from(results, ({ y }) => y.data[0]),
      x.map((one) => (one - 6) / deviation),
      () => 1e-6,
    );
    expect(results[0].state.runningVariance.data[0]).toBeCloseTo(0.9 + (0.1 * 26) / 3, 6);
    const nothing = { shape: [2, 1], data: [0, 0] } as Mask;
    const { results: masked } = inPlaces(2, (_, reduce) => {
      const applied = apply(
        ek,
        norm,
        { shape: [2, 1], data: Float32Array.of(1, Number.NaN) },
        {},
        { mask: nothing, reduce },
      );
      return { ...applied, dx: applied.backward({ shape: [2, 1], data: Float32Array.of(1, 2) }).dx };
    });
    for (const { y, dx, state } of masked) {
      expect([...y.data, ...dx.data]).toEqual([0, 0, 0, 0]);
      expect([...state.runningMean.data, ...state.runningVariance.data]).toEqual([0, 1]);
    }
  });

  it("hands a value that is not a number to every place", () => {
    const { results } = inPlaces(2, (place, reduce) => {
      const values = place === 0 ? [Number.NaN, 1, 2, 2] : [3, 3, 4, 5];
      return apply(ek, batchNorm(), { shape: [2, 2], data: Float32Array.from(values) }, {}, { reduce }).y;
    });
    for (const { data } of results) {
      expect([data[0], data[2]]).toEqual([Number.NaN, Number.NaN]);
      expect([data[1], data[3]].every(Number.isFinite)).toBe(true);
    }
  });

  it("waits for places that take time, forward and backward, in arrays of the backend", async () => {
    const one: Case = { norm: batchNorm(), rest: [5], residual: true };
    const all = arraysOf(one);
    const whole = both(ek, one, (array) => array, all);
    const before = ek.memory().arrays;
    const reduce = meeting(sizes.length);
    const results = await Promise.all(
      sizes.map(async (_, place) => {
        const here = (array: PlainArray) => {
          const { shape, data } = part(array, place);
          return ek.array(shape, data);
        };
        const [x, residual, dy] = [all.inputs[0], all.residual as PlainArray, all.dy].map(here);
        const { y, sum, backward, state } = await applyOver(ek, one.norm, x, all.weights, {
          residual,
          reduce,
        });
        const { dx, weights } = await backward(dy);
        const copies = [y, dx].map(({ data }) => [...data]);
        for (const array of [x, residual, dy, y, sum, dx, ...Object.values(weights)]) {
          (array as ReturnType<typeof ek.array>).dispose();
        }
        return { y: copies[0], dx: copies[1], mean: [...state.runningMean.data] };
      }),
    );
    const { forward, backward } = allowed(ek);
    const close = (name: string, of: number[], expected: ArrayLike<number>, relative: number) =>
      expectClose(name, Float64Array.from(of), expected, () => relative * largest(expected));
    close(
      "y",
      results.flatMap(({ y }) => y),
      whole.y.data,
      forward,
    );
    close(
      "dx",
      results.flatMap(({ dx }) => dx),
      whole.dx.data,
      backward,
    );
    for (const { mean } of results) close("mean", mean, whole.state.runningMean.data, forward);
    expect(ek.memory().arrays).toBe(before);
  });

  it("releases what it made where a place fails", async () => {
    const before = ek.memory().arrays;
    const x = ek.array([2, 2], [1, 2, 3, 4]);
    const lost = async () => Promise.reject(new Error("the network is gone"));
    const fails = applyOver(ek, batchNorm(), x, {}, { reduce: lost });
    await expect(fails).rejects.toThrow(new Error("the network is gone"));
    let calls = 0;
    const later: AsyncReduce = async (list) => (calls++ === 0 ? list : lost());
    const { y, backward } = await applyOver(ek, batchNorm(), x, {}, { reduce: later });
    await expect(backward(y)).rejects.toThrow(new Error("the network is gone"));
    await expect(backward(y)).rejects.toThrow("backward was called already");
    const gone = () => {
      throw new Error("at once");
    };
    expect(() => apply(ek, batchNorm(), x, {}, { reduce: gone })).toThrow(new Error("at once"));
    for (const array of [x, y]) array.dispose();
    expect(ek.memory().arrays).toBe(before);
  });

  it("goes on to the end where it is released while it waits for the way back", async () => {
    const before = ek.memory().arrays;
    const plain: PlainArray = { shape: [2, 2], data: Float32Array.of(1, 2, 3, 5) };
    const expected = apply(ek, batchNorm(), plain, {}, { reduce: (list) => list }).backward(plain);
    const x = ek.array([2, 2], [1, 2, 3, 5]);
    const reduce: AsyncReduce = async (list) => list;
    const { y, backward, release } = await applyOver(ek, batchNorm(), x, {}, { reduce });
    const waiting = backward(x);
    release();
    const { dx, weights } = await waiting;
    expect([...dx.data]).toEqual([...expected.dx.data]);
    for (const array of [x, y, dx, ...Object.values(weights)]) (array as typeof x).dispose();
    expect(ek.memory().arrays).toBe(before);
  });

  it("sees an array that was disposed of while it waited", async () => {
    const x = ek.array([2, 2], [1, 2, 3, 4]);
    const before = ek.memory().arrays;
    const reduce: AsyncReduce = async (list) => {
      x.dispose();
      return list;
    };
    await expect(applyOver(ek, batchNorm(), x, {}, { reduce })).rejects.toThrow("batchNorm: x");
    expect(ek.memory().arrays).toBe(before - 1);
  });
});

/** Lets so many places meet: each gets what all of them brought. */
function meeting(places: number): AsyncReduce {
  let brought: MomentsList[] = [];
  let waiting: ((all: MomentsList) => void)[] = [];
  return (list) =>
    new Promise((resolve) => {
      brought.push(list);
      waiting.push(resolve);
      if (brought.length < places) return;
      const [all, go] = [mergeLists(brought), waiting];
      [brought, waiting] = [[], []];
      for (const one of go) one(all);
    });
}

it("gradients through merged statistics are those of finite differences, in float64", () => {
  const ek = opened.reference;
  const lengths = [2, 3];
  const step = 1e-5;
  const cases: Case[] = [
    { norm: batchNorm({ axis: 1 }), rest: [2, 2] },
    { norm: evoNormB0(), rest: [2, 2] },
    { norm: batchLayerNorm(), rest: [2] },
    { norm: batchNorm({ sources: { batchVariance: "batch" } }), rest: [2], training: false },
  ];
  for (const [seed, one] of cases.entries()) {
    const next = random(seed + 1);
    const size = 5 * sizeOf(one.rest);
    const fill = () => Float64Array.from({ length: size }, () => 4 * next() - 1);
    const [values, dy] = [fill(), fill()];
    const run = (x: Float64Array) =>
      inPlaces(2, (place, reduce) => {
        const take = (data: Float64Array) => part({ shape: [5, ...one.rest], data }, place, lengths);
        const applied = apply(ek, one.norm, take(x), {}, { reduce, training: one.training });
        const gradient = take(dy);
        const loss = Array.from(applied.y.data).reduce((sum, y, i) => sum + y * gradient.data[i], 0);
        return { loss, dx: [...applied.backward(gradient).dx.data] };
      }).results;
    const dx = run(values).flatMap((result) => result.dx);
    for (let i = 0; i < size; i++) {
      const [up, down] = [step, -step].map((by) => {
        const moved = values.slice();
        moved[i] += by;
        return run(moved).reduce((sum, { loss }) => sum + loss, 0);
      });
      expect(dx[i], `${one.norm.name}, value ${i}`).toBeCloseTo((up - down) / (2 * step), 6);
    }
  }
});

const farApart = [
  "standard deviation 10²⁰",
  "standard deviation 10³⁰",
  "standard deviation 10⁻²⁰",
  "standard deviation 10⁻³⁰",
  "mean 10²⁴, standard deviation 10²⁰",
  "one value 10³⁰",
];
it.each([
  ["batchNorm", batchNorm({ epsilon: 0 }), farApart],
  // of which many are far below epsilon
  ["batchNorm with epsilon", batchNorm(), [...farApart, "denormal"]],
  ["iterNorm", iterNorm(), [...farApart, "denormal"]],
] as const)("extreme values stay as far apart as in one place: %s", (_, norm, names) => {
  const one: Case = { norm, rest: [3] };
  for (const name of names) {
    const x = { shape: [total, 3], data: extremeInputs[name](total * 3, 4) };
    const all = arraysOf(one, x);
    const expected = both(opened.reference, one, (array) => array, all);
    const { results } = inPlaces(sizes.length, (place, reduce) =>
      both(opened.wasm, one, (array) => part(array, place), all, reduce),
    );
    for (const [part, relative] of [
      ["y", tolerance.forward],
      ["dx", tolerance.backward],
    ] as const) {
      const { data } = expected[part];
      expectClose(
        `${name}: ${part}`,
        Float64Array.from(joined(results.map((one) => one[part]))),
        data,
        () => relative * largest(data),
      );
    }
  }
});

it("a spread that is the rounding of a mean far above it is none for ActNorm, as in one place", () => {
  const far = (place: number, by: number) => ({
    shape: [2, 1],
    data: Float32Array.of(1e7 + place * by, 1e7 + (place + 1) * by),
  });
  for (const [by, deviates] of [
    [1, false],
    [100, true],
  ] as const) {
    const { results } = inPlaces(2, (place, reduce) =>
      apply(opened.wasm, actNorm(), far(place, by), {}, { reduce }),
    );
    for (const { state } of results) expect(state.initialDeviation.data[0] !== 1).toBe(deviates);
  }
});

describe("which normalizations merge", () => {
  const factories = Object.entries(catalog);
  const made = (factory: unknown) => (factory as (options?: object) => Normalization)({});

  it("is said by each", () => {
    const merging = factories.flatMap(([name, factory]) => {
      try {
        const { handles } = made(factory);
        return handles?.merge === undefined ? [] : [`${name} ${handles.merge}`];
      } catch {
        // needs a size
        return [name];
      }
    });
    expect(merging.sort()).toEqual([
      "actNorm true",
      "batchLayerNorm true",
      "batchNorm true",
      "batchRenorm true",
      "conditionalBatchNorm true",
      "evoNormB0 true",
      "iterNorm true",
      "layerNormGRU",
      "layerNormLSTM",
      "layerNormRNN",
      "meanOnlyBatchNorm true",
      "onlineNorm false",
      "recurrentBatchNorm",
      "switchableNorm true",
    ]);
  });

  it("those that measure no batch, or parts of it, ask nobody", () => {
    const reduce = () => {
      throw new Error("asked");
    };
    const ek = opened.wasm;
    const x = data([4, 4], 1);
    for (const norm of [
      layerNorm(),
      ghostBatchNorm({ batchSize: 3 }),
      catalog.instanceNorm(),
      catalog.groupNorm({ groups: 2 }),
    ]) {
      const [alone, beside] = [undefined, reduce].map((one) => apply(ek, norm, x, {}, { reduce: one }));
      expect([...beside.y.data]).toEqual([...alone.y.data]);
      expect([...beside.backward(x).dx.data]).toEqual([...alone.backward(x).dx.data]);
    }
    // statistics that are stored
    apply(ek, batchNorm(), x, {}, { training: false, reduce });
    apply(ek, onlineNorm(), x, {}, { training: false, reduce });
  });

  it("those that follow one stream of examples refuse", () => {
    const run = () => apply(opened.wasm, onlineNorm(), data([3], 1), {}, { reduce: (list) => list });
    expect(run).toThrow(
      new Error(
        "onlineNorm: its statistics follow the examples of one place in their order, and cannot be merged with those of others; " +
          "call it without reduce, or use batchNorm",
      ),
    );
  });
});

describe("a layer", () => {
  it("merges in training until it is told otherwise, and keeps the state of all places", () => {
    const ek = opened.wasm;
    const x = data([3], 1, 3);
    const places = [3, 9];
    const whole = new BatchNorm(ek, 3);
    const dy = data([3], 2);
    const y = whole.forward(x);
    const dx = whole.backward(dy);
    const { results } = inPlaces(2, (place, reduce) => {
      const layer = new BatchNorm(ek, 3).synchronize(reduce);
      const here = part(x, place, places);
      const result = {
        y: layer.forward(here),
        dx: layer.backward(part(dy, place, places)),
        mean: [...layer.weights.runningMean.data],
      };
      const dGamma = [...(layer.dGamma as Float32Array)];
      layer.eval();
      layer.forward(here);
      layer.train().synchronize(undefined);
      layer.forward(here);
      return { ...result, dGamma };
    });
    const close = (of: number[], expected: ArrayLike<number>) =>
      expectClose("layer", Float64Array.from(of), expected, () => tolerance.backward * largest(expected));
    close(joined(results.map((one) => one.y)), y.data);
    close(joined(results.map((one) => one.dx)), dx.data);
    close(
      [0, 1, 2].map((i) => results[0].dGamma[i] + results[1].dGamma[i]),
      whole.dGamma as Float32Array,
    );
    for (const { mean } of results) expect(mean).toEqual([...whole.weights.runningMean.data]);
  });
});

describe("what is no reduction", () => {
  const ek = opened.wasm;
  const x = data([3], 1);
  const run = (reduce: unknown) => () => apply(ek, batchNorm(), x, {}, { reduce: reduce as never });

  it("is refused where it is no function", () => {
    expect(run(3)).toThrow(
      new TypeError(
        "apply: reduce must be a function from moments to those of all places, got 3; leave it out for one place",
      ),
    );
    expect(() => new BatchNorm(ek, 3).synchronize({} as never)).toThrow(TypeError);
  });

  it("is refused where it gives no moments, or those of others", () => {
    const before = ek.memory().arrays;
    for (const wrong of [
      () => undefined,
      () => ({ count: [1], mean: [1], m2: [1] }),
      ({ count, mean }: MomentsList) => ({ count, mean, m2: new Float64Array(2) }),
    ]) {
      expect(run(wrong)).toThrow(
        "reduce: expected the moments of 3 statistics, { count, mean, m2 } as float64 lists",
      );
    }
    expect(ek.memory().arrays).toBe(before);
  });

  it("is refused where it loses values that are here", () => {
    const before = ek.memory().arrays;
    for (const [wrong, got] of [
      [Number.NaN, "NaN"],
      [-12, "-12"],
      [Number.POSITIVE_INFINITY, "Infinity"],
      [11, "11"],
    ] as const) {
      // also where it writes to what it was given
      expect(run(({ count, ...list }: MomentsList) => ({ ...list, count: count.fill(wrong) }))).toThrow(
        new RangeError(
          `reduce: expected the moments of all places, with a count of at least the 12 here, got ${got}; ` +
            "merge what each place measured, by mergeLists()",
        ),
      );
    }
    expect(ek.memory().arrays).toBe(before);
  });

  it("may round a spread of 0 to one below it", () => {
    const equal = { shape: [4, 1], data: new Float32Array(4).fill(3) };
    const below = (list: MomentsList) => ({ ...list, m2: list.m2.map(() => -1e-18) });
    const { y } = apply(ek, batchNorm({ epsilon: 0 }), equal, {}, { reduce: below });
    expect([...y.data]).toEqual([0, 0, 0, 0]);
  });

  it("may answer by a promise of another library, where it is waited for", async () => {
    const later = (list: MomentsList) => ({
      // biome-ignore lint/suspicious/noThenProperty: it is what such a promise is
      then: (go: (all: MomentsList) => void) => setTimeout(go, 0, list),
    });
    expect(run(later)).toThrow("got a promise of them");
    const { y } = await applyOver(ek, batchNorm(), x, {}, { reduce: later as never });
    expect([...y.data]).toEqual([...apply(ek, batchNorm(), x, {}, { reduce: (list) => list }).y.data]);
  });

  it("is refused where it takes time and nothing can wait", () => {
    const before = ek.memory().arrays;
    expect(run(async (list: MomentsList) => list)).toThrow(
      new TypeError(
        "reduce: expected the moments of all places at once, got a promise of them; without a framework applyOver() waits for it, " +
          "and TensorFlow.js cannot: use a transport that answers at once, such as one over shared memory",
      ),
    );
    expect(ek.memory().arrays).toBe(before);
  });
});
