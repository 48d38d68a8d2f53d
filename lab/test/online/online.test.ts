/** A stream: the same bits however it is cut or broken off, honest predictions, and nothing that ends it. */
import * as tf from "@tensorflow/tfjs-core";
import { Standardizer } from "evenkeel";
import { beforeAll, expect, test } from "vitest";
import { startTensorFlow } from "../../src/node/tensorflow.js";
import { type Online, openOnline, type Pushed, type SavedOnline } from "../../src/online/online.js";
import { type OnlineSettings, usualOnline } from "../../src/online/settings.js";
import { drawsOf } from "./support/draws.js";

beforeAll(startTensorFlow);

const columns = ["a", "b", "c"];
const watching: OnlineSettings = { ...usualOnline, columns };
const numbers: OnlineSettings = {
  ...watching,
  learn: { column: "y", kind: "number" },
  depth: 2,
  width: 8,
  batchSize: 8,
  compared: true,
};
const classes: OnlineSettings = {
  ...numbers,
  learn: { column: "y", kind: "classes", classes: ["low", "middle", "high"] },
  norm: "online",
  forgetting: 0.99,
};

/** Records with missing values, and targets of which some are not known. */
function records(count: number, kind: "number" | "classes", seed = 1) {
  const { normal, uniform } = drawsOf(seed);
  const rows = new Float64Array(count * 3);
  const targets = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const x = [normal(), 1e6 + 3 * normal(), uniform() < 0.2 ? Number.NaN : Math.exp(normal())];
    rows.set(x, 3 * i);
    const y = x[0] + 0.5 * (x[1] - 1e6) + 0.1 * normal();
    targets[i] =
      uniform() < 0.1
        ? Number.NaN
        : kind === "number"
          ? 50 + 20 * y
          : Math.max(0, Math.min(2, Math.round(y) + 1));
  }
  return { rows, targets };
}

/** Pushes records `from` up to `to`, cut at random. */
function pushed(
  online: Online,
  { rows, targets }: ReturnType<typeof records>,
  cuts: readonly number[],
): Pushed[] {
  return cuts
    .slice(1)
    .map((to, i) => online.push(rows.slice(3 * cuts[i], 3 * to), targets.slice(cuts[i], to)));
}

const joined = (
  parts: readonly Pushed[],
  of: "standardized" | "predictions" | "chances" | "plain",
): number[] => parts.flatMap((part) => [...part[of]]);

const LISTS = ["standardized", "predictions", "chances", "plain"] as const;

/** Ascending places from 0 to `count`, some of them equal. */
function cutsOf(count: number, pieces: number, seed: number): number[] {
  const generator = drawsOf(seed);
  const inner = Array.from({ length: pieces }, () => Math.floor(generator.uniform() * (count + 1)));
  return [0, ...inner.sort((a, b) => a - b), count];
}

function bytesOf({ json, weights }: SavedOnline): string {
  return JSON.stringify(json) + Buffer.from(weights).toString("base64");
}

test.each([
  ["a number", numbers, "number"],
  ["classes", classes, "classes"],
  ["a number with normalized weights", { ...numbers, norm: "weight", optimizer: "momentum" }, "number"],
  [
    "a number by batches",
    { ...numbers, norm: "batch", optimizer: "sgd", compared: false, batchSize: 5 },
    "number",
  ],
] as [string, OnlineSettings, "number" | "classes"][])(
  "%s: cut anywhere, saved and opened again anywhere, it is the same to the bit",
  (_, settings, kind) => {
    const count = 45;
    const data = records(count, kind);
    const whole = openOnline(settings);
    const expected = pushed(whole, data, [0, count]);
    const saved = bytesOf(whole.save());
    for (const seed of [1, 2]) {
      const cuts = cutsOf(count, 3, seed);
      let online = openOnline(settings);
      const parts: Pushed[] = [];
      for (let i = 1; i < cuts.length; i++) {
        parts.push(...pushed(online, data, [cuts[i - 1], cuts[i]]));
        if (seed === 1) continue;
        // as after a restart: all that is left is text and bytes
        const { json, weights } = online.save();
        online.dispose();
        online = openOnline(settings, { json: JSON.parse(JSON.stringify(json)), weights: weights.slice() });
      }
      for (const list of LISTS) expect(joined(parts, list)).toEqual(joined(expected, list));
      expect(online.errors).toEqual(whole.errors);
      expect(bytesOf(online.save()) === saved).toBe(true);
      expect(online.history()).toEqual(whole.history());
      online.dispose();
    }
    whole.dispose();
  },
);

test("a record's own target, and whatever comes later, does not change its prediction", () => {
  for (const at of [0, 7, 12]) {
    const data = records(24, "number");
    const others = { rows: data.rows.slice(), targets: data.targets.slice() };
    others.targets[at] = 1e9;
    others.rows.fill(1e9, 3 * (at + 1));
    others.targets.fill(-1e9, at + 1);
    const [one, other] = [data, others].map((each) => {
      const online = openOnline(numbers);
      const [{ predictions, plain, standardized }] = pushed(online, each, [0, 24]);
      online.dispose();
      return [
        ...predictions.slice(0, at + 1),
        ...plain.slice(0, at + 1),
        ...standardized.slice(0, 3 * (at + 1)),
      ];
    });
    expect(other).toEqual(one);
  }
});

test("what is known before a record does change its prediction, and is learned from", () => {
  const data = records(600, "number");
  const online = openOnline({ ...numbers, batchSize: 16, learningRate: 0.01, fading: 0.99 });
  pushed(online, data, [0, 600]);
  const [network, plain, mean, last] = online.errors;
  expect([network, plain, mean, last].map(({ of }) => of)).toEqual(["network", "plain", "mean", "last"]);
  expect(network.rmse).toBeLessThan(0.6 * mean.rmse);
  expect(last.rmse).toBeGreaterThan(mean.rmse);
  expect(network.count).toBe(plain.count);
  online.dispose();
});

test("classes are learned, with their chances beside them", () => {
  const data = records(600, "classes");
  const online = openOnline({ ...classes, norm: "layer", batchSize: 16, learningRate: 0.01 });
  const [{ predictions, chances }] = pushed(online, data, [0, 600]);
  const [network, , majority] = online.errors;
  expect(network.wrong).toBeLessThan(0.6 * majority.wrong);
  expect(network.rmse).toBeNaN();
  for (let i = 0; i < 600; i++) {
    const row = chances.subarray(3 * i, 3 * i + 3);
    expect(row[0] + row[1] + row[2]).toBeCloseTo(1, 12);
    expect(row[predictions[i]]).toBe(Math.max(...row));
  }
  online.dispose();
});

test.each([1, 0.97])(
  "each record is standardized as a Standardizer that has seen those before it (λ = %f)",
  (forgetting) => {
    const count = 300;
    const { rows } = records(count, "number");
    const { standardized } = openOnline({ ...watching, forgetting }).push(rows);
    // of the first record there is nothing to compare with
    expect([standardized[0], standardized[1]]).toEqual([0, 0]);
    const standardizer = new Standardizer({ forgetting });
    for (let i = 0; i < count; i++) {
      const row = { shape: [1, 3], data: rows.slice(3 * i, 3 * i + 3) };
      if (i > 20) {
        const expected = standardizer.transform(row).data;
        for (let j = 0; j < 3; j++) {
          const distance = Math.abs(standardized[3 * i + j] - expected[j]);
          expect(Number.isNaN(rows[3 * i + j]) ? Number.isNaN(distance) : distance < 1e-8).toBe(true);
        }
      }
      standardizer.partialFit(row);
    }
  },
);

test("moments of a mean far above the spread are those of two passes over everything", () => {
  const count = 20_000;
  const { normal } = drawsOf(3);
  const values = Float64Array.from({ length: count }, () => 1e12 + normal());
  const online = openOnline({ ...watching, columns: ["far"] });
  const { standardized } = online.push(values);
  let mean = 0;
  for (let i = 0; i < count - 1; i++) mean += (values[i] - 1e12) / (count - 1);
  let variance = 0;
  for (let i = 0; i < count - 1; i++) variance += (values[i] - 1e12 - mean) ** 2 / (count - 1);
  const expected = (values[count - 1] - 1e12 - mean) / Math.sqrt(variance);
  expect(standardized[count - 1]).toBeCloseTo(expected, 6);
});

test("values of no square are missing, told once for each column, and the stream goes on", () => {
  const online = openOnline(numbers);
  const rows = records(100, "number").rows;
  rows[3 * 10] = Number.POSITIVE_INFINITY;
  rows[3 * 12] = 1e200;
  rows[3 * 12 + 1] = Number.NEGATIVE_INFINITY;
  rows.fill(Number.NaN, 3 * 40, 3 * 50);
  const targets = Float64Array.from({ length: 100 }, (_, i) => (i === 20 ? Number.POSITIVE_INFINITY : i));
  const first = online.push(rows.slice(0, 150), targets.slice(0, 50));
  expect(first.notes).toEqual([
    { record: 10, kind: "infinite", name: "a" },
    { record: 12, kind: "infinite", name: "b" },
    { record: 20, kind: "infinite", name: "y" },
  ]);
  const second = online.push(rows.slice(150), targets.slice(50));
  expect(second.notes).toEqual([]);
  expect([first.standardized[30], first.standardized[36], first.standardized[37]]).toEqual([
    Number.NaN,
    Number.NaN,
    Number.NaN,
  ]);
  expect([...first.predictions.slice(1), ...second.predictions].every(Number.isFinite)).toBe(true);
  expect(online.errors.every(({ rmse }) => Number.isFinite(rmse))).toBe(true);
  expect(online.history()).toMatchObject({ records: 100, infinite: 4 });
  online.dispose();
});

test("constant columns, columns without a value, denormals and one huge value: finite throughout", () => {
  const count = 120;
  const rows = Float64Array.from(
    { length: 3 * count },
    (_, at) => [7, Number.NaN, 5e-324 * (at % 5)][at % 3],
  );
  rows[3 * 80] = 1e139;
  const targets = Float64Array.from({ length: count }, (_, i) => (i === 90 ? -1e139 : i % 7));
  const online = openOnline(numbers);
  const { standardized, predictions, plain } = online.push(rows, targets);
  for (let i = 0; i < count; i++) {
    expect(standardized[3 * i + 1]).toBeNaN();
    if (i < 80) expect(standardized[3 * i]).toBe(0);
    for (const value of [standardized[3 * i], standardized[3 * i + 2]])
      expect(value).toSatisfy(Number.isFinite);
  }
  expect([...predictions.slice(1), ...plain.slice(1)].every(Number.isFinite)).toBe(true);
  expect(online.errors.every(({ rmse }) => Number.isFinite(rmse))).toBe(true);
  online.dispose();
});

test("a network that diverges begins anew and is told; the other goes on", () => {
  const settings: OnlineSettings = { ...numbers, optimizer: "sgd", learningRate: 1e30 };
  const data = records(80, "number");
  const online = openOnline(settings);
  const [{ notes, predictions }] = pushed(online, data, [0, 80]);
  expect(notes.map(({ kind, name }) => [kind, name])).toContainEqual(["diverged", "plain"]);
  expect([...predictions.slice(1)].every(Number.isFinite)).toBe(true);
  const saved = online.save();
  const again = openOnline(settings, saved);
  expect(bytesOf(again.save()) === bytesOf(saved)).toBe(true);
  again.dispose();
  online.dispose();
});

test("its history is bounded, has every record once, and moments as of one pass", () => {
  const count = 16 * 240 * 3 + 77;
  const { rows } = records(count, "number");
  const online = openOnline({ ...watching, drift: { ...watching.drift, chance: 0 } });
  for (let i = 0; i < count; i += 500) online.push(rows.slice(3 * i, 3 * Math.min(count, i + 500)));
  const { points, records: all } = online.history();
  expect(all).toBe(count);
  expect(points.length).toBeGreaterThan(120);
  expect(points.length).toBeLessThanOrEqual(240);
  expect(points.map(({ from }) => from)).toEqual([0, ...points.slice(0, -1).map(({ to }) => to)]);
  expect(points.at(-1)?.to).toBe(count);
  const { from, to, moments } = points[3];
  const values = Array.from({ length: to - from }, (_, i) => rows[3 * (from + i)]);
  const mean = values.reduce((sum, value) => sum + value) / values.length;
  expect(moments.count[0]).toBe(values.length);
  expect(moments.mean[0]).toBeCloseTo(mean, 12);
  expect(moments.m2[0]).toBeCloseTo(
    values.reduce((sum, value) => sum + (value - mean) ** 2, 0),
    9,
  );
});

test("a network without normalization is not compared with itself", () => {
  const online = openOnline({ ...numbers, norm: "none" });
  const [{ plain }] = pushed(online, records(20, "number"), [0, 20]);
  expect([plain.length, online.errors.map(({ of }) => of)]).toEqual([0, ["network", "mean", "last"]]);
  online.dispose();
});

test("networks are freed", () => {
  const before = tf.memory().numTensors;
  const online = openOnline(numbers);
  pushed(online, records(40, "number"), [0, 13, 40]);
  const during = tf.memory().numTensors;
  pushed(online, records(40, "number"), [0, 13, 40]);
  expect(tf.memory().numTensors).toBe(during);
  online.dispose();
  expect(tf.memory().numTensors).toBe(before);
});

test("what does not fit is refused before anything has changed", () => {
  const online = openOnline(classes);
  const before = bytesOf(online.save());
  expect(() => online.push(new Float64Array(4))).toThrow(
    new RangeError("Online.push: expected rows of 3 values, got 4 values in all"),
  );
  expect(() => online.push(new Float64Array(6), new Float64Array(1))).toThrow(
    new RangeError("Online.push: expected 2 targets, one for each row, got 1"),
  );
  expect(() => online.push(new Float64Array(6), Float64Array.of(0, 3))).toThrow(
    new RangeError("Online.push: expected targets from 0 to 2, indexes of classes, or NaN, got 3"),
  );
  expect(bytesOf(online.save())).toBe(before);
  const saved = online.save();
  online.dispose();
  expect(() => openOnline({ ...classes, width: 9 }, saved)).toThrow(
    new RangeError("openOnline: saved with width 8, got 9; what goes on needs the same settings"),
  );
  expect(() => openOnline(classes, { ...saved, weights: saved.weights.slice(1) })).toThrow(
    /^openOnline: saved.weights must have \d+ bytes, as saved.json says, got \d+$/,
  );
  // the last one sums over the whole batch, so that rows round each other
  const tensors = tf.memory().numTensors;
  for (const norm of ["batch-layer", "reversible-instance", "no-such", "divisive"]) {
    expect(() => openOnline({ ...classes, norm, columns: [..."abcdefgh"], width: 16 })).toThrow(
      new RangeError(
        `openOnline: norm must be one of features or weights that predicts each record by itself, got "${norm}"; "layer" and "online" do`,
      ),
    );
  }
  expect(tf.memory().numTensors).toBe(tensors);
  expect(() => openOnline({ ...watching, forgetting: 0 })).toThrow(
    new RangeError("openOnline: forgetting must be above 0 and at most 1, got 0"),
  );
  expect(() => openOnline({ ...watching, drift: { chance: 0.1, block: 8 } })).toThrow(
    new RangeError("openOnline: drift.block must be a whole number of at least 16, got 8"),
  );
});
