/**
 * The tables of what is read: each number is of files that the frameworks wrote, and that a test opens (test/checkpoints/formats), maps
 * (normalizations/fixtures.test.ts), or runs (networks.test.ts).
 *
 * EVENKEEL_WRITE=1 writes them, as `npm run docs` does.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { relative } from "node:path";
import { expect, it } from "vitest";
import { cells } from "../checkpoints/networks/cells.js";
import { fixtures, networks, untold } from "../checkpoints/support/networks.js";
import { root } from "../support/examples.js";

/** By the folder of the fixtures. */
const FRAMEWORKS: Readonly<Record<string, string>> = {
  pytorch: "PyTorch 2.8",
  safetensors: "PyTorch 2.8",
  fastai: "fastai 1 and 2",
  tensorflow: "TensorFlow 2.15, 2.20",
  keras1: "Keras 1.2",
  keras2: "Keras 2.15",
  keras3: "Keras 3.12",
  mxnet: "MXNet 1.9",
  onnx: "ONNX",
  tensorflowjs: "TensorFlow.js 4.22",
};

/** What the fixtures' formats are called to a reader; the first that fits. */
const FORMATS: readonly (readonly [RegExp, string])[] = [
  [/^state dict, legacy/, "state dict before 1.6"],
  [/^state dict/, "state dict"],
  [/^module/, "whole module"],
  [/^TorchScript/, "TorchScript"],
  [/^checkpoint$/, "with its optimizer"],
  [/^safetensors \(sharded/, "safetensors in shards"],
  [/^learn\.save/, "`learn.save`"],
  [/^learn\.export/, "`learn.export`"],
  [/SavedModel/, "SavedModel"],
  [/TensorFlow checkpoint/, "checkpoint"],
  [/frozen/, "frozen graph"],
  [/weights\.h5$/, "`.weights.h5`"],
  [/keras$/, "`.keras`"],
  [/^h5$/, "`.h5`"],
  [/Gluon/, "Gluon's parameters"],
  [/export/, "Gluon's export"],
  [/^MXNet/, "symbol and parameters"],
  [/^ONNX \((.*), opset/, "exported by $1"],
  [/^ONNX/, "`.onnx`"],
  [/^(u?int|float)\d+$/, "quantized"],
  [/^(layers-model|download)$/, "layers model"],
];

function formatOf(format: string): string {
  const [pattern, title] = FORMATS.find(([one]) => one.test(format)) ?? [/^/, ""];
  return title.replace("$1", pattern.exec(format)?.[1] ?? "") || format;
}

interface Counts {
  mapped: number;
  equal: number;
  files: Set<string>;
}

const frameworks = new Map<string, Map<string, Counts>>();
function countsOf(folder: string, format: string): Counts {
  const title = FRAMEWORKS[folder];
  const formats = frameworks.get(title) ?? new Map<string, Counts>();
  frameworks.set(title, formats);
  const counts = formats.get(formatOf(format)) ?? { mapped: 0, equal: 0, files: new Set<string>() };
  formats.set(formatOf(format), counts);
  return counts;
}
for (const folder of Object.keys(FRAMEWORKS)) {
  for (const { file: name, network } of networks.filter((one) => one.folder === folder)) {
    for (const [format, file] of Object.entries(network.files)) {
      const counts = countsOf(folder, format);
      if (untold[`${folder}/${name} ${format}`] === undefined) counts.mapped++;
      counts.files.add(`${folder}/${file}`);
    }
  }
  for (const { path, format } of cells) {
    const file = relative(fixtures, path).replaceAll("\\", "/");
    if (!file.startsWith(`${folder}/`)) continue;
    const counts = countsOf(folder, format);
    counts.equal++;
    counts.files.add(file);
  }
}

const rows = [...frameworks].map(([title, formats]) => {
  const cell = (of: (counts: Counts, format: string) => string | number) =>
    [...formats].map(([format, counts]) => of(counts, format)).join("<br>");
  return `| ${title} | ${cell((_, format) => format)} | ${cell(({ files }) => files.size)} | ${cell(({ mapped }) => mapped)} | ${cell(({ equal }) => equal)} |`;
});
const table = `| written by | format | opened | mapped | output equal |
|---|---|--:|--:|--:|
${rows.join("\n")}`;

const pages = ["README.md", "docs/checkpoints.md"];

it.each(pages)("%s has the table of what the tests show", (page) => {
  const text = readFileSync(root + page, "utf8");
  const written = text.replace(
    /(<!-- generated:formats -->\n)[\s\S]*?(<!-- \/generated -->)/,
    (_, start, end) => `${start}${table}\n${end}`,
  );
  expect(written, "has a place for it").toContain(table);
  if (process.env.EVENKEEL_WRITE === "1") writeFileSync(root + page, written);
  else expect(text, "is out of date: npm run docs").toBe(written);
});
