/** `evenkeel doctor` as its user meets it: with the real ONNX Runtime, in its own process. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeNpz } from "evenkeel/checkpoints";
import { parseHTML } from "linkedom";
import { afterAll, expect, test } from "vitest";
import {
  type NewNodeOf,
  newConstant,
  onnxBytes,
  run as runHere,
} from "../../../../test/support/onnx-models.js";
import { type Examination, headline } from "../../../src/doctor/examination.js";
import type { ModelFile, Runtime, RuntimeError } from "../../../src/doctor/runtime.js";
import { version } from "../../../src/node/version.js";
import { evenkeel } from "../../support/evenkeel.js";

const workplace = mkdtempSync(join(tmpdir(), "evenkeel-doctor-command-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));
const run = (...line: string[]) => evenkeel(workplace, "doctor", ...line);
const at = (name: string) => join(workplace, name);
const examined = async (...line: string[]): Promise<Examination> =>
  JSON.parse((await run(...line, "--json")).stdout);

const FIXTURES = fileURLToPath(new URL("../../../../test/fixtures/checkpoints/onnx/", import.meta.url));
for (const name of ["torchscript-13.onnx", "external.onnx", "external.data"])
  copyFileSync(join(FIXTURES, name), at(name));

/** Layer normalization by E[x²] − E[x]², as in onnxruntime's issue 28463. */
writeFileSync(
  at("cancels.onnx"),
  onnxBytes({
    opset: 13,
    inputs: [["x", ["rows", 4]]],
    outputs: [["y", ["rows", 4]]],
    constants: [newConstant("eps", 1e-5)],
    nodes: [
      ["ReduceMean", "x", "mean", { axes: { integer: [-1] }, keepdims: { integer: 1 } }],
      ["Mul", "x x", "xx"],
      ["ReduceMean", "xx", "square", { axes: { integer: [-1] }, keepdims: { integer: 1 } }],
      ["Mul", "mean mean", "mm"],
      ["Sub", "square mm", "variance"],
      ["Add", "variance eps", "ve"],
      ["Sqrt", "ve", "root"],
      ["Sub", "x mean", "d"],
      ["Div", "d root", "y"],
    ],
  }),
);
const rows = Float32Array.of(40_000, 40_001, 40_002, 40_003, -1, 0, 1, 2);
writeFileSync(at("far.npz"), writeNpz([["x", { shape: [2, 4], data: rows }]]));
mkdirSync(at("model"));
writeFileSync(
  at("model/model.json"),
  JSON.stringify({ format: "graph-model", modelTopology: { node: [] }, weightsManifest: [] }),
);
writeFileSync(at("damaged.onnx"), readFileSync(at("cancels.onnx")).subarray(0, 100));

test("the summary, and no file", async () => {
  const before = readdirSync(workplace);
  const { code, stdout, stderr } = await run("torchscript-13.onnx");
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toContain("Run in onnxruntime-node 1.30.0, with its own optimizations, on x [2, 1, 6, 6]");
  expect(stdout).toContain("\n1 × layer normalization over 6, written out (9 nodes)\n");
  expect(stdout.trimEnd().split("\n").at(-1)).toMatch(/^5 normalizations, /);
  expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(readdirSync(workplace)).toEqual(before);
});

test("what is ill on the given inputs is shown, mended and checked; the mended file is right", async () => {
  const { code, stdout, stderr } = await run(
    ...["cancels.onnx", "--inputs", "far.npz", "--fix", "mended.onnx", "--strict"],
  );
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/✓ mended: its variance is E\[x²\] − E\[x\]²/);
  expect(stdout).toMatch(/! The given inputs .* of at most 1\.00×10⁻⁵; nearer to float64/);
  expect(stdout).toMatch(/The only normalization was ill; 1 mended; outputs nearer to float64;/);
  const feeds = { x: { shape: [2, 4], data: rows } };
  const { y: before } = await runHere(readFileSync(at("cancels.onnx")), feeds);
  const { y: after } = await runHere(readFileSync(at("mended.onnx")), feeds);
  const truth = [-1.5, -0.5, 0.5, 1.5].map((x) => x / Math.sqrt(1.25 + 1e-5));
  expect(Math.abs(before[0] - truth[0])).not.toBeLessThan(0.1);
  for (const [i, value] of after.entries()) expect(value).toBeCloseTo(truth[i % 4], 6);
});

test("--json has every number; --strict fails where something ill is not mended", async () => {
  const { code, stdout } = await run("cancels.onnx", "--inputs", "far.npz", "--strict", "--json");
  expect(code).toBe(1);
  const found: Examination = JSON.parse(stdout);
  expect(found).toMatchObject({
    evenkeel: version,
    file: "cancels.onnx",
    format: "onnx",
    opsets: [{ domain: "", version: 13 }],
    runtime: { name: "onnxruntime-node" },
    inputs: [{ name: "x", dtype: "float32", shape: [2, 4] }],
    mends: [],
    check: null,
  });
  const [{ norm, shape, axes, cancels, measured }] = found.norms;
  expect([norm, shape, axes, cancels]).toEqual(["layerNorm", [null, 4], [1], true]);
  expect(measured).toMatchObject({ min: -1, max: 40_003, mean: 40_001.5 });
  expect(found.ills[0]).toMatchObject({ kind: "E[x²] − E[x]²", sick: true, norms: [1], mended: null });
});

test("the opset is raised where that is asked, and every sample stays within its tolerance", async () => {
  const found = await examined("torchscript-13.onnx", "--fix", "raised.onnx", "--opset", "17");
  const titles = found.mends.map(({ title }) => title);
  expect(titles).toContain("LayerNormalization (opset 17) in place of 9 nodes");
  expect(found.mends.every(({ state }) => state === "mended")).toBe(true);
  expect(found.check?.samples.map(({ kind }) => kind)).toEqual([
    "ordinary",
    "far",
    "huge",
    "narrow",
    "zeros",
  ]);
  for (const { outputs } of found.check?.samples ?? []) {
    for (const { difference, tolerance } of outputs)
      expect(Number(difference)).toBeLessThanOrEqual(tolerance);
  }
  expect(found.check?.speed?.before).toBeGreaterThan(0);
  expect(found.written).toEqual([
    { name: "raised.onnx", byteLength: readFileSync(at("raised.onnx")).length },
  ]);
  // and is well now
  const again = await examined("raised.onnx");
  expect(again.opsets).toEqual([{ domain: "", version: 17 }]);
  expect(again.norms.find(({ norm }) => norm === "layerNorm")?.isOperator).toBe(true);
});

test("external data are referred to in the same folder, and copied into another", async () => {
  mkdirSync(at("elsewhere"));
  const data = readFileSync(at("external.data"));
  const here = await examined("external.onnx", "--fix", "folded.onnx");
  expect(here.written.map(({ name }) => name)).toEqual(["folded.onnx"]);
  const there = await examined("external.onnx", "--fix", "elsewhere/folded.onnx");
  expect(there.written.map(({ name }) => name)).toEqual(["elsewhere/folded.onnx", "elsewhere/external.data"]);
  expect(readFileSync(at("elsewhere/external.data"))).toEqual(data);
  expect(readdirSync(at("elsewhere")).sort()).toEqual(["external.data", "folded.onnx"]);
  expect((await examined("elsewhere/folded.onnx")).notRun).toBe(null);
});

test("where the network cannot be run, each kind of mend is checked by itself", async () => {
  const norm = (x: string, y: string): NewNodeOf[] => [
    ["ReduceMean", x, `${y}mean`, { axes: { integer: [-1] }, keepdims: { integer: 1 } }],
    ["Sub", `${x} ${y}mean`, `${y}d`],
    ["Mul", `${y}d ${y}d`, `${y}dd`],
    ["ReduceMean", `${y}dd`, `${y}variance`, { axes: { integer: [-1] }, keepdims: { integer: 1 } }],
    ["Add", `${y}variance eps`, `${y}ve`],
    ["Sqrt", `${y}ve`, `${y}root`],
    ["Div", `${y}d ${y}root`, y],
  ];
  writeFileSync(
    at("unknown.onnx"),
    onnxBytes({
      opset: 17,
      inputs: [["x", ["rows", 4]]],
      outputs: [["z", ["rows", 4]]],
      constants: [newConstant("eps", 1e-5)],
      nodes: [...norm("x", "a"), ["Relu", "a", "b"], ...norm("b", "c"), ["Own", "c", "z", {}, "somebody"]],
    }),
  );
  const { mends, check, notRun } = await examined("unknown.onnx", "--fix", "known.onnx");
  expect(notRun).toMatch(/^onnxruntime-node refuses it \(.*somebody/);
  expect(mends.map(({ state }) => state)).toEqual(["mended", "mended"]);
  for (const { before, after } of mends) expect(Math.max(Number(before), Number(after))).toBeLessThan(1e-2);
  // both are of one kind
  expect(check).toMatchObject({ by: "parts", parts: 1, speed: null, why: notRun });
  expect(check?.samples.map(({ kind }) => kind)).toEqual(["ordinary", "far", "huge", "narrow", "zeros"]);
});

test("--html writes one page", async () => {
  const { code, stdout, stderr } = await run("cancels.onnx", "--html", "--json");
  expect([code, stderr]).toEqual([0, "Page  doctor.html\n"]);
  const { document } = parseHTML(readFileSync(at("doctor.html"), "utf8"));
  expect(document.querySelector("h1")?.textContent).toBe(headline(JSON.parse(stdout)));
});

test("without a runtime it is found and said, and written unchecked only", async () => {
  const hook = `export async function resolve(name, context, next) {
    if (name === "onnxruntime-node") throw new Error("not installed");
    return next(name, context);
  }`;
  const register = `import { register } from "node:module"; register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hook)}`)});`;
  const before = process.env.NODE_OPTIONS;
  process.env.NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(register)}`;
  try {
    const found = await examined("cancels.onnx");
    expect(found.notRun).toBe("ONNX Runtime is not installed: npm install onnxruntime-node");
    expect(found.ills[0]).toMatchObject({ kind: "E[x²] − E[x]²", sick: true });
    const refused = await run("cancels.onnx", "--fix", "unchecked.onnx");
    expect(refused.code).toBe(1);
    expect(refused.stderr.replace(/\n/g, " ")).toMatch(
      /^error: --fix: .*npm install onnxruntime-node, or .*--unchecked $/,
    );
    expect(existsSync(at("unchecked.onnx"))).toBe(false);
    const written = await run("cancels.onnx", "--fix", "unchecked.onnx", "--unchecked");
    expect(written.stdout).toMatch(/1 mended; unchecked\n$/);
    expect(existsSync(at("unchecked.onnx"))).toBe(true);
  } finally {
    process.env.NODE_OPTIONS = before;
    if (before === undefined) delete process.env.NODE_OPTIONS;
  }
});

test.each<[string, object, RuntimeError["how"]]>([
  ["hangs", { patience: 1 }, "hung"],
  ["needs too much memory", { memory: 2 ** 28 }, "memory"],
])("a network with which the runtime %s is told of, and the next one runs", async (_, limits, how) => {
  // built, since its process is a file of its own
  const built = new URL("../../../dist/node/doctor/onnx-runtime.js", import.meta.url).href;
  const { openOnnxRuntime } = await import(built);
  const file = (bytes: Uint8Array): ModelFile => ({
    name: "m.onnx",
    byteLength: bytes.length,
    slice: (start, end) => Uint8Array.from(bytes.subarray(start, end)).buffer,
  });
  // 2·10¹¹ products of 144 MB, in one operator
  const large = onnxBytes({
    opset: 13,
    inputs: [["x", [1]]],
    outputs: [["y", []]],
    constants: [newConstant("shape", [6000, 6000], [2], "int64")],
    nodes: [
      ["Expand", "x shape", "a"],
      ["MatMul", "a a", "b"],
      ["ReduceSum", "b", "y", { keepdims: { integer: 0 } }],
    ],
  });
  const runtime: Runtime = await openOnnxRuntime({ patience: 60, memory: 2 ** 40, ...limits });
  try {
    const session = await runtime.open([file(large)]);
    const feeds = { x: { dtype: "float32", shape: [1], values: Float32Array.of(1) } };
    await expect(session.run(feeds)).rejects.toMatchObject({ name: "RuntimeError", how });
    const next = await runtime.open([file(readFileSync(at("cancels.onnx")))]);
    const x = { dtype: "float32", shape: [1, 4], values: Float32Array.of(1, 2, 3, 4) };
    expect((await next.run({ x })).y.shape).toEqual([1, 4]);
  } finally {
    await runtime.close();
  }
});

const REFUSED: [string, number, string[], RegExp][] = [
  ["a damaged file", 1, ["damaged.onnx"], /^error: damaged\.onnx \(onnx/i],
  ["what is no network", 1, ["far.npz"], /^error: far\.npz \(unknown\): expected an ONNX model/],
  [
    "--opset without --fix",
    2,
    ["cancels.onnx", "--opset", "17"],
    /^error: --opset: is about what --fix writes/,
  ],
  [
    "a folder that is not there",
    2,
    ["cancels.onnx", "--fix", "no/out.onnx"],
    /^error: --fix: there is no folder "no"; make it first/,
  ],
  [
    "a graph model to be mended",
    2,
    ["model/model.json", "--fix", "out.onnx"],
    /^error: --fix: a graph model of TensorFlow\.js is mended when it is loaded/,
  ],
  [
    "inputs that are no arrays",
    2,
    ["cancels.onnx", "--inputs", "cancels.onnx"],
    /^error: --inputs: expected a file of NumPy's savez/,
  ],
  ["another runtime", 2, ["cancels.onnx", "--for", "tensorrt"], /Expected onnxruntime\./],
];

test.each(REFUSED)("refuses %s", async (_, exit, line, message) => {
  const { code, stdout, stderr } = await run(...line);
  expect([code, stdout]).toEqual([exit, ""]);
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/^ +at /m);
});
