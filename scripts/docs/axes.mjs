/**
 * A picture of each normalization's axes. Nothing in it is written by hand: the normalization runs in float64 on a small
 * array, each element is changed in turn, and those that change one element of y are what its statistics are measured
 * over.
 */

import { capitalize, listed } from "@evenkeel/report/format";
import { escapeHtml } from "@evenkeel/report/page";
import { apply } from "../../dist/index.js";
import { axisNames, described, influences, ONE, positionsOf } from "./influence.mjs";
import { sizeOf } from "./sample.mjs";

/**
 * @typedef {import("./sample.mjs").Sample} Sample
 * @typedef {import("../../dist/index.js").About} About
 * @typedef {import("./influence.mjs").Shape} Shape
 * @typedef {import("./influence.mjs").Elements} Elements
 * @typedef {ReturnType<typeof axesOf>} Found
 * @typedef {keyof typeof COLOURS} Kind
 */

/**
 * How the elements of a weight are distributed over y.
 * @param {Elements[]} found @param {Shape} shape @param {string[]} names
 */
function sharing(found, shape, names) {
  const all = new Set(found.flatMap((set) => [...set]));
  const positions = positionsOf(shape);
  const keys = found.map(setKey);
  if (new Set(keys).size === 1) return all.size === 1 ? "one value for all" : `${all.size} values for all`;
  const varies = shape.flatMap((length, axis) => {
    const seen = new Set();
    positions.forEach((position, i) => {
      if (position.every((at, other) => other === axis || at === 0)) seen.add(keys[i]);
    });
    if (seen.size === 1) return [];
    return [seen.size === length ? ONE[names[axis]] : `group of ${names[axis]}`];
  });
  const several = Math.max(...found.map(({ size }) => size)) > 1;
  return `${several ? "several" : "one"} for each ${listed(varies)}`;
}

/** What running a normalization tells about it. @param {import("./sample.mjs").Evenkeel} ek @param {About["takes"]} takes @param {Sample} sample */
export function axesOf(ek, takes, { norm, inputs, weights }) {
  const [x] = inputs;
  const names = axisNames(x.shape, takes);
  const run = (/** @type {boolean} */ training) => () =>
    Float64Array.from(apply(ek, norm, inputs, weights, { training }).y.data);
  const { shape } = apply(ek, norm, inputs, weights).y;
  const same = shape.join() === x.shape.join();
  // in the middle, so that a window shows both of its sides
  const middle = shape.map((length) => Math.floor((length - 1) / 2));
  const element = middle.reduce((index, at, axis) => index * shape[axis] + at, 0);
  // of a weight for each example, the axes of one
  const own = shape.slice(-x.shape.length).join() === x.shape.join() ? shape.length - x.shape.length : 0;
  const where = middle.flatMap((at, axis) =>
    shape[axis] === x.shape[axis - own] ? [`${ONE[names[axis - own]]} ${at + 1}`] : [],
  );
  const measured = influences(run(true), x.data)[element];
  const evaluated = influences(run(false), x.data)[element];
  const trained = Object.entries(norm.weights(...inputs.map((input) => input.shape))).filter(
    ([, weight]) => weight.trained,
  );
  const shares = same
    ? trained.map(([name]) => ({ name, how: sharing(influences(run(true), weights[name]), x.shape, names) }))
    : [];
  const conditions = inputs.slice(1).map((input) => {
    const found = influences(run(true), input.data)[element];
    return { shape: input.shape, text: described(found, input.shape, axisNames(input.shape)) };
  });
  const inX = own > 0 ? element % sizeOf(x.shape) : element;
  return { shape: x.shape, names, element: inX, where, same, measured, evaluated, shares, conditions };
}

const CELL = 24;
const GAP = 24;
const LEFT = 82;
const TOP = 30;
const LINE = 22;
const SWATCH = 18;
/** Width of a letter, at most on average. */
const LETTER = 8;
/** Middle greys and colours, which stand out from white and from black alike. */
const INK = "#767c85";
const COLOURS = { element: "#e8590c", measured: "#4285f4", other: "none" };

/** The picture: a sheet of positions × channels for each example of the batch. @param {About & Sample} norm @param {Found} found */
export function axesSvg({ title, options }, found) {
  const { shape, names, element, measured, evaluated } = found;
  const flat = shape.length === 2;
  const sheets = flat ? 1 : shape[0];
  const rows = flat ? shape[0] : sizeOf(shape.slice(1, -1));
  const columns = shape[shape.length - 1];
  const cells = [];
  for (let i = 0; i < sizeOf(shape); i++) {
    const sheet = Math.floor(i / (rows * columns));
    const row = Math.floor(i / columns) % rows;
    const px = LEFT + sheet * (columns * CELL + GAP) + (i % columns) * CELL;
    const kind = found.same && i === element ? "element" : measured.has(i) ? "measured" : "other";
    cells.push(square(px, TOP + row * CELL, kind));
  }
  const rowsName = flat
    ? names[0]
    : shape.length === 3
      ? names[1]
      : `${shape.slice(1, -1).join(" × ")} positions`;
  const over = described(measured, shape, names, element);
  const labels = [
    text(LEFT - 10, TOP + (rows * CELL) / 2 + 4, rowsName, "end"),
    ...Array.from({ length: sheets }, (_, sheet) => {
      const at = LEFT + sheet * (columns * CELL + GAP) + (columns * CELL) / 2;
      return text(at, TOP - 10, flat ? names[1] : `${ONE[names[0]]} ${sheet + 1}: ${names.at(-1)}`, "middle");
    }),
  ];
  /** @type {Map<string, string[]>} */
  const grouped = new Map();
  for (const { name, how } of found.shares) grouped.set(how, [...(grouped.get(how) ?? []), name]);
  const others = Object.entries(options).map(([name, value]) => `${name}: ${value}`);
  const alone = measured.size <= 1;
  /** @type {{ kind?: Kind, words: string }[]} */
  const lines = [
    found.same
      ? { kind: "element", words: "one element of y" }
      : { words: `one element of y, of ${listed(found.where)}` },
    alone
      ? { words: "depends on the same element of x only: no statistics" }
      : { kind: "measured", words: `depends on these elements of x: ${over}` },
    ...(setKey(measured) === setKey(evaluated)
      ? []
      : [
          {
            words: `in evaluation it depends ${evaluated.size <= 1 ? "on the same element only, with running statistics" : `on ${described(evaluated, shape, names, element)}`}`,
          },
        ]),
    ...found.conditions.map((condition) => ({
      words: `also depends on a condition [${condition.shape.join(", ")}]: ${condition.text}`,
    })),
    ...[...grouped].map(([how, those]) => ({ words: `learned ${those.join(", ")}: ${how}` })),
    ...(others.length > 0 ? [{ words: `drawn with ${others.join(", ")}` }] : []),
  ];
  const longest = Math.max(...lines.map(({ words }) => words.length));
  const width = Math.max(LEFT + sheets * (columns * CELL + GAP), LEFT + SWATCH + 8 + LETTER * longest);
  const base = TOP + rows * CELL + 16;
  const legend = lines.flatMap(({ kind, words }, i) => [
    ...(kind ? [square(LEFT, base + i * LINE, kind, SWATCH)] : []),
    text(LEFT + (kind ? SWATCH + 8 : 0), base + i * LINE + 14, words, "start"),
  ]);
  const height = base + lines.length * LINE + 6;
  const [first, ...rest] = lines.slice(1).map(({ words }) => `${words}.`);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title about" font-family="system-ui, sans-serif" font-size="14">
<title id="title">Axes of ${escapeHtml(title)}</title>
<desc id="about">${escapeHtml(`${capitalize(lines[0].words)} ${[first, ...rest.map(capitalize)].join(" ")}`)}</desc>
${[...labels, ...cells, ...legend].join("\n")}
</svg>
`;
}

/** @param {Elements} set */
const setKey = (set) => [...set].sort((a, b) => a - b).join();

/** @param {number} x @param {number} y @param {Kind} kind @param {number} [size] */
function square(x, y, kind, size = CELL) {
  return `<rect x="${x + 1}" y="${y + 1}" width="${size - 2}" height="${size - 2}" rx="2" fill="${COLOURS[kind]}" stroke="${kind === "other" ? INK : COLOURS[kind]}"${kind === "other" ? ' stroke-opacity="0.6"' : ""}/>`;
}

/** @param {number} x @param {number} y @param {string} words @param {"start" | "middle" | "end"} anchor */
function text(x, y, words, anchor) {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${INK}">${escapeHtml(words)}</text>`;
}
