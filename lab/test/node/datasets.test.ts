import { existsSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { splitOf } from "../../src/data/split.js";
import { describedData, loadDataset } from "../../src/node/datasets.js";
import { loadFashionMnist } from "../../src/node/fashion-mnist.js";
import { errorOf, pathOf, write } from "../support/files.js";

test("breast-cancer", async () => {
  const data = await loadDataset("breast-cancer", {});
  expect(data).toMatchObject({
    name: "breast-cancer",
    task: "classification",
    metric: "accuracy",
    target: "diagnosis",
    form: { input: { shape: [30] } },
    classes: ["benign", "malignant"],
    count: 569,
    decisions: [],
    warnings: [],
  });
  const names = data.inputs.map(({ column }) => column);
  expect(names.slice(0, 2)).toEqual(["mean radius", "mean texture"]);
  expect([names[10], names[29]]).toEqual(["radius error", "worst fractal dimension"]);
  expect(data.y.reduce((a, b) => a + b)).toBe(212);
  // malignant nuclei are larger: the classes are not swapped
  const radius = (label: number) => {
    const rows = [...data.y.keys()].filter((row) => data.y[row] === label);
    return rows.reduce((sum, row) => sum + data.x[row * 30], 0) / rows.length;
  };
  expect(radius(1)).toBeGreaterThan(radius(0) + 1);
});

test("digits, as images", async () => {
  const data = await loadDataset("digits", {});
  expect(data).toMatchObject({
    task: "classification",
    target: "digit",
    form: { input: { shape: [8, 8, 1] } },
    classes: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    count: 1797,
    decisions: [],
    warnings: [],
  });
  expect(data.inputs).toHaveLength(1);
  expect(data.inputs[0].names.slice(7, 9)).toEqual(["pixel_0_7", "pixel_1_0"]);
  expect([Math.min(...data.x), Math.max(...data.x)]).toEqual([0, 1]);
  expect(data.x).toHaveLength(1797 * 64);
});

test("credit-g", async () => {
  const data = await loadDataset("credit-g", {});
  expect(data).toMatchObject({
    task: "classification",
    metric: "balanced accuracy",
    target: "class",
    classes: ["good", "bad"],
    decisions: [],
    warnings: [],
  });
  expect(data.inputs.find(({ column }) => column === "checking_status")?.names).toContain(
    "checking_status=no checking",
  );
  expect(data.inputs.map(({ column }) => column)).toContain("duration");
  expect(data.y.filter((label) => label === 0)).toHaveLength(700);
});

test("shuttle, limited: every class is there", async () => {
  const data = await loadDataset("shuttle", { limit: 2000 });
  expect(data).toMatchObject({
    task: "classification",
    target: "Class",
    form: { input: { shape: [9] } },
    fileRows: 58_000,
  });
  expect(data).toMatchObject({ decisions: [], warnings: [] });
  expect(data.classes).toHaveLength(7);
  expect(data.count).toBe(2000);
  expect(data.x.every(Number.isFinite)).toBe(true);
});

test("the file of a path, and its provenance", async () => {
  const path = write("own.csv", `x,y\n${"1.5,a\n2.5,b\n".repeat(5)}`);
  expect(await loadDataset(path, {})).toMatchObject({ name: "own", provenance: path, classes: ["a", "b"] });
});

test("a limit draws from all that is read, and no more than that is kept", async () => {
  const lines = Array.from({ length: 25_000 }, (_, row) => `${row},${row % 2 ? "a" : "b"}`);
  const path = write("long.csv", `x,y\n${lines.join("\n")}\n`);
  const data = await loadDataset(path, { limit: 100 });
  expect([data.count, data.fileRows]).toEqual([100, 25_000]);
  // x counts the rows of the file, not those of the sample
  expect(data.decisions).toContainEqual({
    columns: ["x"],
    what: "used as a number",
    why: "it counts the rows, and there is no other input",
  });
});

const NAMES = [
  "breast-cancer",
  "digits",
  "credit-g",
  "shuttle",
  "vehicle",
  "nox-motorway",
  "supermarket",
  "etth1",
  "electricity",
  "co2",
  "sentiment-imdb",
  "sentiment-amazon",
  "sentiment-yelp",
  "moby-dick",
  "fashion-mnist",
];

test("every bundled name says what it is and where it comes from", () => {
  expect(describedData.map(({ name }) => name)).toEqual(NAMES);
  for (const { description, provenance, licence } of describedData) {
    for (const line of [description, provenance, licence]) expect(line).toMatch(/^\S[^\n]*\S$/);
  }
});

test("a name that is neither a dataset nor a file", async () => {
  expect(await errorOf(() => loadDataset("digts", {}))).toBe(
    `UsageError: --data: there is neither a dataset nor a file "digts"; did you mean "digits"? The datasets are ${NAMES.join(", ")}`,
  );
});

test("a path to nothing", async () => {
  expect(await errorOf(() => loadDataset(pathOf("nothing.csv"), {}))).toBe(
    "UsageError: nothing.csv: there is no such file; check the path",
  );
});

/** An IDX file of bytes, as MNIST's. */
function idx(shape: number[], value: (index: number) => number): Buffer {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.writeUInt32BE(0x800 + shape.length);
  for (const [axis, size] of shape.entries()) header.writeUInt32BE(size, 4 + 4 * axis);
  const data = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, index) => value(index));
  return gzipSync(Buffer.concat([header, Buffer.from(data)]));
}

/** A small Fashion-MNIST: 60 + 20 images of 2×3, where every pixel of an image is 10 times its label. */
function writeFashionMnist(): string {
  write(
    "train-images-idx3-ubyte.gz",
    idx([60, 2, 3], (i) => 10 * (Math.floor(i / 6) % 10)),
  );
  write(
    "train-labels-idx1-ubyte.gz",
    idx([60], (i) => i % 10),
  );
  write(
    "t10k-images-idx3-ubyte.gz",
    idx([20, 2, 3], (i) => 10 * (Math.floor(i / 6) % 10)),
  );
  write(
    "t10k-labels-idx1-ubyte.gz",
    idx([20], (i) => i % 10),
  );
  return pathOf(".");
}

test("Fashion-MNIST holds out its own test images, and each image keeps its label", async () => {
  const folder = writeFashionMnist();
  const data = await loadFashionMnist({ ignore: [], target: undefined }, "", folder);
  expect(data).toMatchObject({
    form: { input: { shape: [2, 3, 1] } },
    count: 80,
    metric: "accuracy",
    fileRows: 80,
  });
  expect([data.classes[0], data.classes[9]]).toEqual(["T-shirt/top", "Ankle boot"]);
  expect(data.x).toEqual(
    Float32Array.from({ length: 80 * 6 }, (_, i) => (10 * data.y[Math.floor(i / 6)]) / 90),
  );
  const split = splitOf(data.parts, 80, 1);
  expect([split.train.length, split.validation.length]).toEqual([48, 12]);
  expect([...split.heldOut].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => 60 + i));
  const limited = await loadFashionMnist({ limit: 40, metric: "auc" }, "", folder);
  expect(limited).toMatchObject({ count: 40, metric: "AUC", fileRows: 80 });
  const held = [...(limited.parts.heldOut ?? [])].map((row) => limited.y[row]);
  expect(held.sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(await loadFashionMnist({ limit: 40, metric: "auc" }, "", folder)).toEqual(limited);
});

test("Fashion-MNIST's errors", async () => {
  const folder = writeFashionMnist();
  const error = (options = {}) => errorOf(() => loadFashionMnist(options, "", folder));
  expect(await error({ target: "a" })).toBe(
    "UsageError: fashion-mnist: --target does not apply, its images, classes, target and held-out part are fixed; leave it out",
  );
  expect(await error({ limit: 29 })).toBe(
    "UsageError: --limit: expected an integer number of rows, at least 30 (3 of each of the 10 classes), got 29",
  );
  write(
    "t10k-labels-idx1-ubyte.gz",
    idx([20], () => 10),
  );
  expect(await error()).toBe(
    "FailureError: t10k-labels-idx1-ubyte.gz: expected 20 labels from 0 to 9, one for each image, got others; install the files again: apt-get install --reinstall dataset-fashion-mnist",
  );
  write("train-labels-idx1-ubyte.gz", gzipSync("not idx"));
  expect(await error()).toBe(
    "FailureError: train-labels-idx1-ubyte.gz: expected an IDX file of bytes with 1 axis, got another header; install the file again: apt-get install --reinstall dataset-fashion-mnist",
  );
  write("train-labels-idx1-ubyte.gz", gzipSync(Buffer.from([0, 0, 8, 1, 0, 0, 0, 60, 0])));
  expect(await error()).toBe(
    "FailureError: train-labels-idx1-ubyte.gz: expected 60 bytes of data (60), got 1; install the file again: apt-get install --reinstall dataset-fashion-mnist",
  );
  expect(await errorOf(() => loadFashionMnist({}, "", pathOf("nowhere")))).toBe(
    "FailureError: fashion-mnist is not installed (there is no nowhere/train-images-idx3-ubyte.gz); install it: apt-get install dataset-fashion-mnist",
  );
});

test.skipIf(!existsSync("/usr/share/datasets/fashion-mnist"))("Fashion-MNIST as installed", async () => {
  // with all that the command line hands over, which is more than options of the data
  const options = { data: "fashion-mnist", seeds: 3, json: false, out: "folder", limit: 700 };
  const data = await loadDataset("fashion-mnist", options);
  expect(data).toMatchObject({ form: { input: { shape: [28, 28, 1] } }, count: 700, fileRows: 70_000 });
  expect(data.parts.heldOut).toHaveLength(100);
  expect(data.x.reduce((a, b) => Math.max(a, b))).toBe(1);
});
