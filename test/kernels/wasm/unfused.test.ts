/** Modules with fused multiply-adds, rewritten for engines without: validity, and which values are multiplied and added. */
import { expect, it } from "vitest";
import { hasRelaxedSimd } from "../../../src/kernels/wasm/module.js";
import { unfused } from "../../../src/kernels/wasm/unfused.js";
import { normalizationModule } from "../../../src/kernels/wasm/wasm.js";

const name = (text: string) =>
  [text.length, ...text].map((c) => (typeof c === "string" ? c.charCodeAt(0) : c));
const section = (id: number, ...content: number[]) => [id, content.length, ...content];
const [I32, F32, V128] = [0x7f, 0x7d, 0x7b];
const splat = (local: number) => [0x20, local, 0xfd, 0x13];
const FUSED = [0xfd, 0x85, 0x02];
const FIRST_LANE = [0xfd, 0x1f, 0];
const END = 0x0b;

/** (i32, f32, f32, f32) → f32, with `locals` of its own; what comes before the last instruction is given. */
function moduleOf(locals: number[][], ...code: number[]): Uint8Array {
  const body = [locals.length, ...locals.flat(), ...code, END];
  // a second function, without a step, stays what it is
  const bodies = [body, [0, 0x43, 0, 0, 0x80, 0x3f, END]];
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, 2, 0x60, 4, I32, F32, F32, F32, 1, F32, 0x60, 0, 1, F32),
    ...section(3, 2, 0, 1),
    ...section(7, 2, ...name("f"), 0, 0, ...name("one"), 0, 1),
    ...section(10, 2, ...bodies.flatMap((bytes) => [bytes.length, ...bytes])),
  ]);
}

const step = [...splat(1), ...splat(2), ...splat(3), ...FUSED];

type Exports = { f(i: number, a: number, b: number, c: number): number; one(): number };

const run = (module: Uint8Array) => {
  const made = unfused(module);
  expect([...made].join()).not.toContain(FUSED.join());
  return new WebAssembly.Instance(new WebAssembly.Module(made)).exports as unknown as Exports;
};

it("multiplies the first two values and adds the third", () => {
  const { f, one } = run(moduleOf([], ...step, ...FIRST_LANE));
  expect(f(0, 3, 5, 7)).toBe(22);
  expect(f(0, -2, 4, 100)).toBe(92);
  expect(one()).toBe(1);
});

it("takes a local beyond those that a function has, of any number, and serves steps within steps", () => {
  const nested = [...splat(1), ...splat(2), ...step, ...FUSED, ...FIRST_LANE];
  for (const locals of [
    [[3, I32]],
    [
      [1, I32],
      [2, V128],
    ],
    [[140, 1, F32]],
  ]) {
    expect(run(moduleOf(locals, ...nested)).f(0, 3, 5, 7)).toBe(37);
  }
});

it("rounds the product", () => {
  const { f } = run(moduleOf([], ...step, ...FIRST_LANE));
  const x = 1 + 2 ** -12;
  expect(f(0, x, x, -1)).toBe(Math.fround(Math.fround(x * x) - 1));
});

it("leaves nothing of it in the kernels, where an engine compiles them as they are", async () => {
  expect(await normalizationModule({ relaxed: false })).toBeInstanceOf(WebAssembly.Module);
  if (hasRelaxedSimd) expect(await normalizationModule({ relaxed: true })).toBeInstanceOf(WebAssembly.Module);
});
