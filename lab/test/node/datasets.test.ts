import { existsSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { describedData, loadDataset } from "../../src/node/datasets.js";
import { loadFashionMnist } from "../../src/node/fashion-mnist.js";
import { errorOf, pathOf, write } from "../support/files.js";

test("breast-cancer", async () => {
  const data = await loadDataset("breast-cancer", {});
  expect(data).toMatchObject({
    name: "breast-cancer",
    task: "classification",
    target: "diagnosis",
    inputShape: [30],
    classes: ["benign", "malignant"],
    notes: [],
  });
  expect(data.features.slice(0, 2)).toEqual(["mean radius", "mean texture"]);
  expect(data.features.slice(10, 11)).toEqual(["radius error"]);
  expect(data.features.at(-1)).toBe("worst fractal dimension");
  expect([data.train.count, data.heldOut.count]).toEqual([455, 114]);
  // 212 malignant and 357 benign in all.
  const malignant = [data.train, data.heldOut].map(({ y }) => y.reduce((a, b) => a + b));
  expect(malignant).toEqual([170, 42]);
  // Malignant nuclei are larger: the classes are not swapped.
  const radius = (label: number) => {
    const rows = [...data.train.y.keys()].filter((row) => data.train.y[row] === label);
    return rows.reduce((sum, row) => sum + data.train.x[row * 30], 0) / rows.length;
  };
  expect(radius(1)).toBeGreaterThan(radius(0) + 1);
});

test("digits, as images", async () => {
  const data = await loadDataset("digits", {});
  expect(data).toMatchObject({ task: "classification", target: "digit", inputShape: [8, 8, 1], notes: [] });
  expect(data.classes).toEqual(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
  expect(data.features.slice(7, 9)).toEqual(["pixel_0_7", "pixel_1_0"]);
  expect([data.train.count, data.heldOut.count]).toEqual([1438, 359]);
  expect([Math.min(...data.train.x), Math.max(...data.train.x)]).toEqual([0, 1]);
  expect(data.train.x).toHaveLength(1438 * 64);
});

test("credit-g", async () => {
  const data = await loadDataset("credit-g", {});
  expect(data).toMatchObject({ task: "classification", target: "class", classes: ["bad", "good"] });
  expect(data.features).toContain("checking_status=no checking");
  expect(data.features).toContain("duration");
  expect([data.train.count, data.heldOut.count]).toEqual([800, 200]);
  expect(data.heldOut.y.reduce((a, b) => a + b)).toBe(140);
});

test("shuttle, limited", async () => {
  const data = await loadDataset("shuttle", { limit: 2000 });
  expect(data).toMatchObject({ task: "classification", target: "Class", inputShape: [9] });
  expect(data.classes).toHaveLength(7);
  expect([data.train.count, data.heldOut.count]).toEqual([1600, 400]);
  expect(data.train.x.every(Number.isFinite)).toBe(true);
});

test("the file of a path, and its provenance", async () => {
  const path = write("own.csv", `x,y\n${"1,a\n2,b\n".repeat(5)}`);
  expect(await loadDataset(path, {})).toMatchObject({ name: "own", provenance: path, classes: ["a", "b"] });
});

test("every bundled name says what it is and where it comes from", () => {
  expect(describedData.map(({ name }) => name)).toEqual([
    "breast-cancer",
    "digits",
    "credit-g",
    "shuttle",
    "fashion-mnist",
  ]);
  for (const { description, provenance, licence } of describedData) {
    for (const line of [description, provenance, licence]) expect(line).toMatch(/^\S[^\n]*\S$/);
  }
});

test("a name that is neither a dataset nor a file", async () => {
  expect(await errorOf(() => loadDataset("digts", {}))).toBe(
    'UsageError: --data: there is neither a dataset nor a file "digts"; did you mean "digits"? The datasets are breast-cancer, digits, credit-g, shuttle, fashion-mnist',
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

test("Fashion-MNIST keeps its own split, and each image its label", async () => {
  const folder = writeFashionMnist();
  const data = await loadFashionMnist({ ignore: [], target: undefined }, "", folder);
  expect(data).toMatchObject({ inputShape: [2, 3, 1], train: { count: 60 }, heldOut: { count: 20 } });
  expect([data.classes[0], data.classes[9]]).toEqual(["T-shirt/top", "Ankle boot"]);
  for (const split of [data.train, data.heldOut]) {
    expect(split.x).toEqual(
      Float32Array.from({ length: split.count * 6 }, (_, i) => (10 * split.y[Math.floor(i / 6)]) / 90),
    );
  }
  const limited = await loadFashionMnist({ limit: 40 }, "", folder);
  expect([limited.train.count, limited.heldOut.count]).toEqual([30, 10]);
  expect([...limited.heldOut.y].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(await loadFashionMnist({ limit: 40 }, "", folder)).toEqual(limited);
});

test("Fashion-MNIST's errors", async () => {
  const folder = writeFashionMnist();
  const error = (options = {}) => errorOf(() => loadFashionMnist(options, "", folder));
  expect(await error({ target: "a" })).toBe(
    "UsageError: fashion-mnist: --target does not apply, its images, classes and target are fixed; leave it out",
  );
  expect(await error({ limit: 10 })).toBe(
    "UsageError: --limit: expected an integer number of rows, at least 20 (2 of each of the 10 classes), got 10",
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
  expect(data).toMatchObject({ inputShape: [28, 28, 1], train: { count: 600 }, heldOut: { count: 100 } });
  expect(data.train.x.reduce((a, b) => Math.max(a, b))).toBe(1);
});
