/** The controls of the page of the visitor's own data, as an address and as the lab has them. */
import { expect, it } from "vitest";
import {
  commandOf,
  fields,
  fitted,
  marksOf,
  partsOf,
  readingFields,
  readingOf,
  type State,
  suited,
  usualState,
  valuesOf,
} from "../../src/data/state.ts";
import { readingOptions } from "../../src/desk/protocol.ts";
import { read, written } from "../../src/ui/address.ts";

const all: State = {
  data: "",
  file: "täble & co, 2.csv",
  size: 1234,
  target: "50 % <b>",
  task: "classification",
  metric: "balanced accuracy",
  ignore: ["city, state", "a&b=c#d", "%2C", "ü"],
  keep: ["id"],
  categorical: ["zip"],
  numeric: ["n", "n,"],
  levels: 5,
  image: "8x6",
  text: "review",
  limit: 100,
  split: "time",
  time: "when",
  parts: "60,20,20",
  group: "patient",
  horizon: 24,
  window: 96,
  season: 12,
  series: "place",
  user: "who",
  item: "what",
  rating: "how much",
  header: "no",
  delimiter: "semicolon",
  decimal: ",",
  missing: '?,"",N/A',
  dates: "mdy",
  encoding: "windows-1252",
  member: "Sheet 2",
  maxCells: 5e7,
  maxBytes: 2 ** 31,
  norms: ["none", "layer"],
  seeds: 2,
  model: "mlp",
  depth: 4,
  width: 16,
  activation: "tanh",
  optimizer: "adam",
  rate: 0.01,
  batch: 8,
  epochs: 3,
  backend: "webgl",
  baseline: "layer",
  sweep: "depth",
  values: "2,4",
};

it("is the same from its address", () => {
  const address = written(all, fields);
  expect(new URL(`https://example.org/#${address}`).hash).toBe(`#${address}`);
  expect(read(`#${address}`, fields)).toEqual(all);
  expect(Object.keys(all).sort()).toEqual(Object.keys(fields).sort());
  expect(written(usualState, fields)).toBe("");
});

it.each([
  ["ignore=%25E0%25A4", "ignore"],
  ["seeds=0", "seeds"],
  ["seeds=1.5", "seeds"],
  ["limit=1", "limit"],
  ["task=dance", "task"],
  ["size=-1", "size"],
  ["delimiter=xyz", "delimiter"],
] as const)("passes over %s", (hash, name) => {
  expect(read(hash, fields)[name]).toEqual(fields[name].usual);
});

it("reads as usual where nothing is said", () => {
  expect(readingOf(usualState)).toEqual({});
  expect(commandOf({ ...usualState, file: "iris.csv" })).toBe("evenkeel compare --data iris.csv --seeds 3");
});

it("has every option as the lab takes it", () => {
  const { image, shares, header, delimiter, missing, limits, ...others } = readingOf(all);
  expect({ image, header, delimiter, missing, limits }).toEqual({
    image: [8, 6],
    header: false,
    delimiter: ";",
    missing: ["?", "", "N/A"],
    limits: { bytes: 2 ** 31, cells: 5e7 },
  });
  expect(shares).toEqual([0.6, 0.2, 0.2]);
  for (const [name, value] of Object.entries(others))
    expect([name, value]).toEqual([name, all[name as keyof State]]);
  expect(Object.keys(readingOf(all)).sort()).toEqual([...readingOptions].sort());
});

it("is a command that a shell takes", () => {
  const command = commandOf({
    ...usualState,
    file: "it's.csv",
    ignore: ["a b", "c"],
    delimiter: "tab",
    header: "yes",
    missing: '""',
    norms: ["none", "rms"],
    epochs: 2,
    sweep: "depth",
    values: "4, 2",
  });
  expect(command).toBe(
    "evenkeel compare --data 'it'\\''s.csv' --ignore 'a b' --ignore c --header yes --delimiter tab --missing '' --norms none,rms --seeds 3 --epochs 2 --sweep depth 2,4",
  );
});

it.each([
  ["digits", "./digits"],
  ["-x.csv", "./-x.csv"],
  ["x.csv", "x.csv"],
])("a file %s is typed %s", (file, path) => {
  expect(commandOf({ ...usualState, file })).toContain(`--data ${path} `);
});

it.each([
  ["60,20,20", [0.6, 0.2, 0.2]],
  ["6 2 2", [0.6, 0.2, 0.2]],
  ["60,20", undefined],
  ["60,0,40", undefined],
  ["a,b,c", undefined],
])("parts %s", (typed, expected) => {
  expect(partsOf(typed)).toEqual(expected);
});

it.each([
  ["", undefined],
  ['""', [""]],
  ["?", ["?"]],
  ["?, N/A", ["?", "N/A"]],
  ["'-',.", ["-", "."]],
])("marks %s", (typed, expected) => {
  expect(marksOf(typed)).toEqual(expected);
});

it.each([
  ["0.1", undefined],
  ["0.1,0.1", undefined],
  ["0.1,x", undefined],
  ["0.1, 0.01", [0.01, 0.1]],
  ["1 2", [1, 2]],
])("values %s", (typed, expected) => {
  expect(valuesOf(typed)).toEqual(expected);
});

it("drops what has no place in a task", () => {
  const own = suited(all, { metrics: ["R²"], suits: ["target", "header", "limits"] });
  const kept = ["target", "header", "maxCells", "maxBytes"];
  const dropped = Object.keys(readingFields).filter((name) => !kept.includes(name));
  expect(dropped.length).toBe(27);
  expect(own).toEqual({
    ...all,
    ...Object.fromEntries(dropped.map((name) => [name, usualState[name as keyof State]])),
  });
});

it("drops a network and normalizations that data have not", () => {
  const model = { norms: ["none", "layer"], usualNorms: ["none", "layer"] };
  const models = [{ ...model, name: "gru" }] as Parameters<typeof fitted>[1]["models"];
  const own = fitted({ ...all, norms: ["batch", "layer"], baseline: "batch" }, { model: "gru", models });
  expect(own).toEqual({
    ...all,
    model: "",
    depth: undefined,
    width: undefined,
    norms: ["layer"],
    baseline: "",
  });
  expect(fitted({ ...all, norms: ["batch"] }, { model: "gru", models }).norms).toEqual([]);
  expect(fitted({ ...usualState }, { model: "gru", models })).toEqual(usualState);
});
