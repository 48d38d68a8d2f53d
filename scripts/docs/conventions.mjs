/** The table of a page's frameworks: the options that each of them has for the normalization. */
import { conventions } from "../../dist/index.js";
import { table } from "./overview.mjs";

const BLOCK = /(<!-- generated:conventions -->\n)(?:.*?)(<!-- \/generated -->)/s;

/** @type {Record<string, string>} */
const TITLES = {
  pytorch: "PyTorch",
  keras2: "TensorFlow, Keras 2",
  keras3: "Keras 3",
  tensorflowjs: "TensorFlow.js",
  gluon: "MXNet Gluon",
  mxnet: "MXNet operators",
  flax: "Flax",
  onnx: "ONNX",
  fastai: "fastai",
};

/** `1e-3`, `∞`, `false`, `biased`; nothing where a framework has no such default. @param {unknown} value */
function shown(value) {
  if (value === undefined) return "";
  if (value === Number.POSITIVE_INFINITY) return "∞";
  if (typeof value === "number" && value > 0 && value < 0.01)
    return Number(value.toPrecision(3)).toExponential();
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The table for a normalization, or nothing. @param {string} name */
export function conventionsTable(name) {
  const rows = Object.entries(conventions).flatMap(([framework, norms]) => {
    const options = /** @type {Record<string, Record<string, unknown>>} */ (norms)[name];
    return options && typeof options === "object" ? [{ framework, options }] : [];
  });
  if (rows.length === 0) return "";
  const names = [...new Set(rows.flatMap(({ options }) => Object.keys(options)))];
  if (names.length === 0) return "";
  return table(
    ["Framework", ...names.map((option) => `\`${option}\``)],
    rows.map(({ framework, options }) => [
      TITLES[framework] ?? framework,
      ...names.map((option) => shown(options[option])),
    ]),
  );
}

/** A page with its block filled. @param {string} page @param {string} name */
export function withConventions(page, name) {
  const text = conventionsTable(name);
  return page.replace(
    BLOCK,
    (_, start, end) => `${start}${text === "" ? "" : `\nDefaults, as options of ours:\n\n${text}\n\n`}${end}`,
  );
}
