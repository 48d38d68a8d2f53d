/**
 * Fashion-MNIST (Xiao, Rasul & Vollgraf 2017) as Debian's package dataset-fashion-mnist installs it: four files in the IDX
 * format of MNIST (big-endian: two zero bytes, the type 8 for bytes, the number of axes, each axis as uint32, the bytes).
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Described } from "../data/bundled.js";
import { checkLimit, drawnText, drawRows, type Parts, shuffledRows } from "../data/split.js";
import type { Dataset, DatasetOptions } from "../datasets/dataset.js";
import type { TableReading } from "../datasets/reading.js";
import { FailureError, UsageError } from "../errors.js";
import { classification } from "../tasks/classification.js";
import { metricOf } from "../tasks/registry.js";
import { readBytes } from "./file.js";

export const fashionMnist: Described = {
  name: "fashion-mnist",
  description: "articles of clothing: 70,000 images of 28×28 pixels, 10 classes (installed apart)",
  provenance: "Fashion-MNIST, Xiao, Rasul & Vollgraf 2017, Zalando; Debian's package dataset-fashion-mnist",
  licence: "MIT",
};

const INSTALLED = "/usr/share/datasets/fashion-mnist";
const REMEDY = "apt-get install --reinstall dataset-fashion-mnist";
const CLASSES = [
  "T-shirt/top",
  "Trouser",
  "Pullover",
  "Dress",
  "Coat",
  "Sandal",
  "Shirt",
  "Sneaker",
  "Bag",
  "Ankle boot",
];

/** An array of bytes as an IDX file holds it. */
interface Idx {
  shape: number[];
  data: Uint8Array;
}

/** What else is fixed, by the names of its options. */
const FIXED = [
  "target",
  "ignore",
  "keep",
  "levels",
  "task",
  "image",
  "group",
  "split",
  "time",
  "categorical",
  "numeric",
] as const satisfies readonly (keyof DatasetOptions)[];

/**
 * The dataset with its own test images held out, pixels divided by the largest of the training images. `folder` holds the
 * four files. Of the options only `limit`, divided in the proportion of training and test images, and `metric` apply.
 * Throws FailureError where the files are absent or damaged, UsageError for other options.
 */
export async function loadFashionMnist(
  options: DatasetOptions,
  provenance: string,
  folder = INSTALLED,
): Promise<Dataset> {
  const unfit = FIXED.find((name) => {
    const value = options[name];
    return value !== undefined && !(Array.isArray(value) && value.length === 0);
  });
  if (unfit !== undefined) {
    throw new UsageError(
      `${fashionMnist.name}: --${unfit} does not apply, its images, classes, target and held-out part are fixed; leave it out`,
    );
  }
  const [trainFiles, heldOutFiles] = ["train", "t10k"].map((part) => ({
    images: join(folder, `${part}-images-idx3-ubyte.gz`),
    labels: join(folder, `${part}-labels-idx1-ubyte.gz`),
  }));
  const absent = [trainFiles, heldOutFiles].flatMap(Object.values<string>).find((path) => !existsSync(path));
  if (absent !== undefined) {
    throw new FailureError(
      `${fashionMnist.name} is not installed (there is no ${absent}); install it: apt-get install dataset-fashion-mnist`,
    );
  }
  const train = await readImages(trainFiles);
  const heldOut = await readImages(heldOutFiles);
  const [, height, width] = train.images.shape;
  const total = train.labels.data.length + heldOut.labels.data.length;
  const { limit = total } = options;
  checkLimit(limit, CLASSES.length);
  const share = Math.min(1, limit / total);
  const heldOutCount = Math.max(CLASSES.length, Math.round(share * heldOut.labels.data.length));
  const trainCount = Math.min(train.labels.data.length, limit - heldOutCount);
  const most = train.images.data.reduce((a, b) => Math.max(a, b), 1);
  const parts = [draw(train, trainCount, most), draw(heldOut, heldOutCount, most)];
  const count = trainCount + heldOutCount;
  const x = new Float32Array(count * height * width);
  const y = new Float32Array(count);
  x.set(parts[0].x);
  x.set(parts[1].x, parts[0].x.length);
  y.set(parts[0].y);
  y.set(parts[1].y, trainCount);
  const divided: Parts = {
    strata: Int32Array.from(y),
    heldOut: Int32Array.from({ length: heldOutCount }, (_, index) => trainCount + index),
  };
  const names = Array.from(
    { length: height * width },
    (_, index) => `pixel_${Math.floor(index / width)}_${index % width}`,
  );
  const sizes = CLASSES.map((_, label) => y.reduce((sum, one) => sum + Number(one === label), 0));
  return {
    name: fashionMnist.name,
    provenance,
    task: classification.name,
    metric: metricOf(classification.name, sizes, options.metric),
    target: "class",
    inputs: [{ column: `${names[0]} … ${names.at(-1)}`, how: `pixels of ${height}×${width}`, names }],
    form: { input: { kind: "image", shape: [height, width, 1] }, outputs: [CLASSES.length] },
    classes: CLASSES,
    count,
    x,
    scaled: new Uint8Array(height * width),
    y,
    targetShape: [],
    yScale: 1,
    parts: divided,
    drawn: drawnText(divided, {}),
    fileRows: total,
    decisions: [],
    warnings: [],
    reading: readingOf(names, most),
  };
}

/** Of a table with a column for each pixel. */
function readingOf(names: readonly string[], most: number): TableReading {
  return {
    from: "table",
    columns: names.map((column) => ({ column, kind: "number", parts: [{ kind: "pixel", mean: 0, most }] })),
    target: { column: "class", kind: "text", center: 0 },
    read: { header: true },
  };
}

async function readImages(paths: { images: string; labels: string }): Promise<{ images: Idx; labels: Idx }> {
  const images = await readIdx(paths.images, 3);
  const labels = await readIdx(paths.labels, 1);
  if (images.shape[0] !== labels.shape[0] || labels.data.some((label) => label >= CLASSES.length)) {
    throw new FailureError(
      `${paths.labels}: expected ${images.shape[0]} labels from 0 to ${CLASSES.length - 1}, one for each image, got others; install the files again: ${REMEDY}`,
    );
  }
  return { images, labels };
}

async function readIdx(path: string, axes: number): Promise<Idx> {
  const bytes = await readBytes(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 4 + 4 * axes;
  if (bytes.length < start || view.getUint32(0) !== 0x800 + axes) {
    throw new FailureError(
      `${path}: expected an IDX file of bytes with ${axes} ${axes === 1 ? "axis" : "axes"}, got another header; install the file again: ${REMEDY}`,
    );
  }
  const shape = Array.from({ length: axes }, (_, axis) => view.getUint32(4 + 4 * axis));
  const data = bytes.subarray(start);
  const expected = shape.reduce((a, b) => a * b, 1);
  if (data.length !== expected) {
    throw new FailureError(
      `${path}: expected ${expected} bytes of data (${shape.join(" × ")}), got ${data.length}; install the file again: ${REMEDY}`,
    );
  }
  return { shape, data };
}

/** `count` of the images, in the classes' proportions, divided by `most`. */
function draw(
  { images, labels }: { images: Idx; labels: Idx },
  count: number,
  most: number,
): { x: Float32Array; y: Float32Array } {
  const rows = drawRows(shuffledRows(labels.data.length), labels.data, CLASSES.length, count, 1).taken;
  const size = images.shape[1] * images.shape[2];
  const x = new Float32Array(rows.length * size);
  for (const [index, row] of rows.entries()) {
    for (let pixel = 0; pixel < size; pixel++)
      x[index * size + pixel] = images.data[row * size + pixel] / most;
  }
  return { x, y: Float32Array.from(rows, (row) => labels.data[row]) };
}
