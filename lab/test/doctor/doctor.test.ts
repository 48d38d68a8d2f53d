import { readFileSync } from "node:fs";
import { find, mendsOf, openModel, written } from "evenkeel/onnx";
import { expect, test } from "vitest";
import { exportsOf } from "../../../test/support/onnx-exports.js";
import { type NewNodeOf, newConstant, onnxBytes } from "../../../test/support/onnx-models.js";
import { type Care, commonName, doctored, fileOf } from "../../src/doctor/doctor.js";
import { familiesOf } from "../../src/doctor/examination.js";
import { type ModelFile, piecesOf, type Runtime, RuntimeError } from "../../src/doctor/runtime.js";

const mean = { axes: { integer: [-1] }, keepdims: { integer: 1 } };
/** Layer normalization, written out, of E[x²] − E[x]² where it cancels. */
const norm = (x: string, y: string, cancels = false): NewNodeOf[] => [
  ["ReduceMean", x, `${y}/mean`, mean],
  ["Sub", `${x} ${y}/mean`, `${y}/d`],
  ...(cancels
    ? ([
        ["Mul", `${x} ${x}`, `${y}/xx`],
        ["ReduceMean", `${y}/xx`, `${y}/square`, mean],
        ["Mul", `${y}/mean ${y}/mean`, `${y}/mm`],
        ["Sub", `${y}/square ${y}/mm`, `${y}/variance`],
      ] satisfies NewNodeOf[])
    : ([
        ["Mul", `${y}/d ${y}/d`, `${y}/dd`],
        ["ReduceMean", `${y}/dd`, `${y}/variance`, mean],
      ] satisfies NewNodeOf[])),
  ["Add", `${y}/variance eps`, `${y}/ve`],
  ["Sqrt", `${y}/ve`, `${y}/root`],
  ["Div", `${y}/d ${y}/root`, y],
];
const network = (opset: number) =>
  onnxBytes({
    opset,
    inputs: [["x", ["rows", 8]]],
    outputs: [["c", ["rows", 8]]],
    constants: [newConstant("eps", 1e-5)],
    nodes: [...norm("x", "a"), ["Relu", "a", "b"], ...norm("b", "c", true)],
  });
const care = (more: Partial<Care> = {}): Care => ({
  evenkeel: "1.2.3",
  runtime: "there is none",
  beside: [],
  ...more,
});

test("without a runtime: what is found, what is ill of it, and what could be done", async () => {
  const { examination, files } = await doctored(await openModel(network(13), { name: "m.onnx" }), care());
  expect(examination).toMatchObject({
    evenkeel: "1.2.3",
    file: "m.onnx",
    format: "onnx",
    opsets: [{ domain: "", version: 13 }],
    nodes: 17,
    runtime: null,
    notRun: "there is none",
    mends: [],
    check: null,
    hints: ["2 are written out, since opset 13 has no operator for them; --fix OUT --opset 17 puts it in"],
  });
  expect(files).toBeUndefined();
  expect(
    examination.norms.map(({ norm, axes, shape, nodes, cancels }) => [norm, axes, shape, nodes, cancels]),
  ).toEqual([
    ["layerNorm", [1], [null, 8], 7, false],
    ["layerNorm", [1], [null, 8], 9, true],
  ]);
  expect(examination.ills.filter(({ sick }) => sick)).toEqual([
    expect.objectContaining({ kind: "E[x²] − E[x]²", norms: [2], mended: null }),
  ]);
});

test("what is mended unchecked is read anew: it is ill no more", async () => {
  const mend = { name: "out.onnx", unchecked: true };
  const { examination, files } = await doctored(await openModel(network(17)), care({ mend }));
  expect(examination.mends.map(({ state, before, after }) => [state, before, after])).toEqual([
    ["mended", null, null],
    ["mended", null, null],
  ]);
  expect(examination.ills.map(({ mended }) => mended)).not.toContain(false);
  expect(files?.map(({ name }) => name)).toEqual(["out.onnx"]);
});

test("a runtime that refuses the network, or ends with it, is told of; its own faults are not hidden", async () => {
  const failing = (error: Error): Runtime => ({
    name: "runtime",
    version: "1",
    open: async () => {
      throw error;
    },
    close: async () => {},
  });
  const notRun = async (error: Error) =>
    (await doctored(await openModel(network(13)), care({ runtime: failing(error) }))).examination.notRun;
  expect(await notRun(new RuntimeError("refused", "no such operator"))).toBe(
    "runtime refuses it (no such operator)",
  );
  expect(await notRun(new RuntimeError("hung", "it gave no answer within 600 s"))).toBe(
    "runtime could not run it: it gave no answer within 600 s",
  );
  await expect(notRun(new TypeError("x is undefined"))).rejects.toThrow("x is undefined");
});

test("a graph model of TensorFlow.js is told how it is mended", async () => {
  const [exported] = (await exportsOf("tfjs-keras3")).filter(({ entry }) => entry.case === "layer-rank-2");
  const { weightsManifest } = JSON.parse(new TextDecoder().decode(exported.model));
  const files = new Map([
    ["model.json", exported.model],
    [weightsManifest[0].paths[0], exported.weights as Uint8Array],
  ]);
  const { examination } = await doctored(await openModel(files), care());
  expect(examination.norms.map(({ norm }) => norm)).toEqual(["layerNorm"]);
  expect(examination.hints).toEqual([
    "fuse(model) of evenkeel/tfjs puts one operation in place of each, when it is loaded",
  ]);
});

test("a normalization of an array of unknown rank is told of", async () => {
  const bytes = (name: string) =>
    readFileSync(new URL(`../../../test/fixtures/checkpoints/tensorflowjs/graph/${name}`, import.meta.url));
  const files = new Map(["model.json", "group1-shard1of1.bin"].map((name) => [name, bytes(name)]));
  const { examination } = await doctored(await openModel(files), care());
  expect(examination.norms).toMatchObject([{ norm: "batchNorm", shape: [], channels: null }]);
  expect(familiesOf(examination)[0].text).toBe("batch normalization, one operator");
});

test("a written file is a source, wherever its parts begin", async () => {
  const model = await openModel(network(17));
  const { files } = await written(model, { mends: await mendsOf(model, await find(model)) });
  const file: ModelFile = fileOf(files[0]);
  const whole = new Uint8Array(await file.slice(0, file.byteLength));
  expect(whole.length).toBe(files[0].byteLength);
  expect((await openModel(whole)).graph.nodes.length).toBeLessThan(model.graph.nodes.length);
  for (let start = 0; start < whole.length; start += 7) {
    const end = Math.min(whole.length, start + 1 + (start % 90));
    expect(new Uint8Array(await file.slice(start, end))).toEqual(whole.slice(start, end));
  }
  const pieces: Uint8Array[] = [];
  for await (const piece of piecesOf(file)) pieces.push(piece);
  expect(pieces).toEqual([whole]);
});

test.each([
  [["/layer.0/norm/Sub", "/layer.0/norm/Pow"], "/layer.0/norm"],
  [["a.b.Sub", "a.b.Add_1", "a.b.Div"], "a.b"],
  [["norm/Sub", "other/Pow"], ""],
  [["only"], "only"],
  [["norm", "norm"], "norm"],
  [[], ""],
])("what the names %o have in common is %s", (names, common) => {
  expect(commonName(names)).toBe(common);
});
