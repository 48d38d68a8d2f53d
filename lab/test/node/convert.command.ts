/** `evenkeel convert` as its user meets it. */
import {
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { open, type WrittenTensor, writeNpz, writeSafetensors } from "evenkeel/checkpoints";
import { afterAll, expect, test } from "vitest";
import { evenkeel } from "../support/evenkeel.js";

const workplace = mkdtempSync(join(tmpdir(), "evenkeel-convert-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));
const run = (...line: string[]) => evenkeel(workplace, "convert", ...line);
const at = (name: string) => join(workplace, name);

const floats = Float32Array.of(1, -2.5, 0.1, 3e38);
const all: [string, WrittenTensor][] = [
  ["float64", { shape: [2, 2], data: Float64Array.of(1, 2, 3, Math.PI) }],
  ["float32", { shape: [4], data: floats }],
  ["float16", { shape: [4], dtype: "float16", data: [1, -2.5, 0.125, 65504] }],
  ["bfloat16", { shape: [2, 2], dtype: "bfloat16", data: [1, -2.5, 0.125, 2 ** 100] }],
  ["int64", { shape: [2], data: BigInt64Array.of(2n ** 62n + 1n, -1n) }],
  ["bool", { shape: [3], dtype: "bool", data: Uint8Array.of(0, 1, 1) }],
  ["one", { shape: [], data: Int32Array.of(7) }],
  ["__proto__", { shape: [0], data: new Uint8Array() }],
];
writeFileSync(at("all.safetensors"), writeSafetensors(all, { format: "pt", author: "me" }));

/** Types and values by name. */
async function contentsOf(name: string) {
  const { tensors, metadata } = await open(at(name));
  const read = [...tensors].map(async ([key, tensor]) => [
    key,
    tensor.dtype,
    tensor.shape,
    await tensor.read(),
  ]);
  return { tensors: new Map((await Promise.all(read)).map(([key, ...rest]) => [key, rest])), metadata };
}

/** A safetensors file as its header says, whatever that is. */
function withHeader(name: string, header: Record<string, unknown>, bytes: number) {
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(at(name), Buffer.concat([length, text]));
  // sparse
  truncateSync(at(name), 8 + text.length + bytes);
}

test("safetensors to safetensors keeps every type, value and text", async () => {
  const { code, stdout, stderr } = await run("all.safetensors", "copy.safetensors");
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^copy\.safetensors {2}8 tensors, \S+ \w+\n$/);
  expect(await contentsOf("copy.safetensors")).toEqual(await contentsOf("all.safetensors"));
  expect(readdirSync(workplace).filter((name) => name.endsWith(".part"))).toEqual([]);
});

test("NumPy has no bfloat16: float32, and said", async () => {
  const { code, stdout } = await run("all.safetensors", "all.npz");
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^all\.npz {2}8 tensors, .*\n1 tensor of bfloat16, which NumPy lacks: written as float32\n$/,
  );
  const { tensors } = await contentsOf("all.npz");
  const before = (await contentsOf("all.safetensors")).tensors;
  expect(tensors.get("bfloat16")).toEqual(["float32", [2, 2], Float32Array.of(1, -2.5, 0.125, 2 ** 100)]);
  for (const name of before.keys()) {
    if (name !== "bfloat16") expect(tensors.get(name), String(name)).toEqual(before.get(name));
  }
});

test("safetensors has no complex128: complex64, and said", async () => {
  const values = Float64Array.of(1, -2.5, 0.125, 3);
  writeFileSync(at("complex.npz"), writeNpz([["z", { shape: [2], dtype: "complex128", data: values }]]));
  const { code, stdout } = await run("complex.npz", "complex.safetensors");
  expect(code).toBe(0);
  expect(stdout).toMatch(/\n1 tensor of complex128, which safetensors lacks: written as complex64\n$/);
  const { tensors } = await contentsOf("complex.safetensors");
  expect(tensors.get("z")).toEqual(["complex64", [2], Float32Array.from(values)]);
});

test("what cannot be read is named and left out, the rest is written, and the command fails", async () => {
  withHeader(
    "float8.safetensors",
    {
      good: { dtype: "F32", shape: [1], data_offsets: [0, 4] },
      bad: { dtype: "F8_E4M3", shape: [4], data_offsets: [4, 8] },
    },
    8,
  );
  const { code, stdout, stderr } = await run("float8.safetensors", "out.npz");
  expect(code).toBe(1);
  expect(stdout).toMatch(/^out\.npz {2}1 tensor, /);
  expect(stderr).toMatch(
    /^error: convert: 1 tensor could not be read and is not in out\.npz:\n {2}float8\.safetensors .*"bad": values of type float8_e4m3fn? are not read; convert it/,
  );
  expect([...(await contentsOf("out.npz")).tensors.keys()]).toEqual(["good"]);
});

test("where no tensor can be read, nothing is written", async () => {
  const header = { bad: { dtype: "F8_E4M3", shape: [4], data_offsets: [0, 4] } };
  withHeader("only-float8.safetensors", header, 4);
  const { code, stdout, stderr } = await run("only-float8.safetensors", "nothing.npz");
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(
    /^error: convert: nothing was written, its tensors could not be read:\n {2}only-float8/,
  );
  expect(readdirSync(workplace)).not.toContain("nothing.npz");
});

test("a file that has none, or more than fits, is not converted", async () => {
  writeFileSync(at("none.safetensors"), writeSafetensors([]));
  withHeader(
    "large.safetensors",
    { x: { dtype: "F32", shape: [600_000_000], data_offsets: [0, 2.4e9] } },
    2.4e9,
  );
  const [none, large] = [
    await run("none.safetensors", "out.safetensors"),
    await run("large.safetensors", "out.safetensors"),
  ];
  expect([none.code, none.stderr]).toEqual([
    1,
    "error: convert: none.safetensors holds no tensors; nothing was written\n",
  ]);
  expect(large.code).toBe(1);
  expect(large.stderr.replaceAll(/\s+/g, " ")).toContain(
    "large.safetensors holds 2.40 GB of tensors, and at most 2.00 GB are written at a time; convert it where it was written",
  );
  expect(readdirSync(workplace)).not.toContain("out.safetensors");
});

test("the file that is read is not overwritten, under whatever name", async () => {
  writeFileSync(at("mine.npz"), writeNpz([["x", { shape: [4], data: floats }]]));
  symlinkSync("mine.npz", at("link.npz"));
  linkSync(at("mine.npz"), at("hard.npz"));
  const before = readFileSync(at("mine.npz"));
  for (const out of ["mine.npz", "./mine.npz", "link.npz", "hard.npz"]) {
    const { code, stdout, stderr } = await run("mine.npz", out);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toBe(`error: convert: OUT "${out}" is read from; name another file\n`);
  }
  expect(readFileSync(at("mine.npz"))).toEqual(before);
});

test("a shard beside the opened file is a part of it", async () => {
  const shard = "model-00001-of-00001.safetensors";
  writeFileSync(at(shard), writeSafetensors([["x", { shape: [4], data: floats }]]));
  const index = "model.safetensors.index.json";
  writeFileSync(at(index), JSON.stringify({ metadata: {}, weight_map: { x: shard } }));
  const { code, stderr } = await run(index, shard);
  expect([code, stderr]).toEqual([2, `error: convert: OUT "${shard}" is read from; name another file\n`]);
  expect((await run(index, "whole.safetensors")).code).toBe(0);
  expect((await contentsOf("whole.safetensors")).tensors.get("x")?.[2]).toEqual(floats);
});

test("another ending is a wrong use, a missing file and a folder that is not there are failures", async () => {
  const results = [
    await run("all.safetensors", "out.pt"),
    await run("absent.pt", "out.npz"),
    await run("all.safetensors", "absent/out.npz"),
    await run("all.safetensors"),
  ];
  expect(results.map(({ code }) => code)).toEqual([2, 1, 1, 2]);
  expect(results[0].stderr).toBe(
    'error: convert: the format is told by the ending of OUT, expected .safetensors or .npz, got "out.pt"\n',
  );
  expect(results[2].stderr).toMatch(/^error: convert: cannot write "absent\/out\.npz" \(ENOENT/);
});
