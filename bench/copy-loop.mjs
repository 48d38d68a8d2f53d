/**
 * The limit of this engine: loops of vector loads and stores alone, over as many arrays as a pass reads and writes. (memcpy of the
 * system may write past the caches, which WebAssembly cannot.)
 */
import asc from "assemblyscript/asc";
import { arraysOf } from "./cases.mjs";
import { rotation, serve } from "./serve.mjs";

/** @typedef {{ reads: number, writes: number }} Counts */

const PAGE = 65536;
/** Vectors at one address with constant offsets: fewer are slower, more no faster. */
const UNROLLED = 4;

const list = (/** @type {number} */ count, /** @type {(i: number) => string} */ text) =>
  Array.from({ length: count }, (_, i) => text(i));
const nameOf = (/** @type {Counts} */ { reads, writes }) => `copy${reads}to${writes}`;

/** In AssemblyScript; every result is the sum of the arrays that are read. @param {Counts} counts */
function sourceOf(counts) {
  const { reads, writes } = counts;
  const [from, to] = [list(reads, (i) => `from${i}`), list(writes, (i) => `to${i}`)];
  const sum = (/** @type {number} */ vector) =>
    from
      .map((pointer) => `v128.load(${pointer}, ${16 * vector})`)
      .reduce((total, loaded) => `f32x4.add(${total}, ${loaded})`);
  const store = (/** @type {number} */ vector) =>
    to.map((pointer) => `v128.store(${pointer}, sum${vector}, ${16 * vector});`).join(" ");
  return `export function ${nameOf(counts)}(${[...from, ...to].map((pointer) => `${pointer}: usize`).join(", ")}, end: usize): void {
    while (from0 < end) {
      ${list(UNROLLED, (vector) => `const sum${vector} = ${sum(vector)};`).join(" ")}
      ${list(UNROLLED, store).join(" ")}
      ${[...from, ...to].map((pointer) => `${pointer} += ${16 * UNROLLED};`).join(" ")}
    }
  }`;
}

const kinds = [false, true].flatMap((residual) => Object.values(arraysOf({ residual })));
const { binary, stderr } = await asc.compileString(kinds.map(sourceOf).join("\n"), {
  optimizeLevel: 3,
  runtime: "stub",
  enable: ["simd"],
  importMemory: true,
});
if (!binary) throw new Error(`copy-loop: the compiler says: ${stderr}`);
const memory = new WebAssembly.Memory({ initial: 1, maximum: PAGE });
const { instance } = await WebAssembly.instantiate(/** @type {BufferSource} */ (binary), { env: { memory } });
const loops = /** @type {Record<string, (...pointers: number[]) => void>} */ (instance.exports);

await serve({
  about: `V8 ${process.versions.v8}`,
  prepare(task, inputs, copies) {
    // whole vectors of a turn of the loop
    const bytes = Math.ceil(inputs.x.byteLength / (16 * UNROLLED)) * 16 * UNROLLED;
    const { forward, backward } = arraysOf(task);
    const read = [inputs.x, inputs.residual, inputs.dy, inputs.dSum].filter((values) => values);
    // results first, always in the same place: an allocator returns what was released last
    const starts = read.map((_, i) => (forward.writes + i * copies) * bytes);
    const missing = (forward.writes + read.length * copies) * bytes - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
    for (const [i, values] of read.entries()) {
      for (let copy = 0; copy < copies; copy++)
        new Float32Array(memory.buffer, starts[i] + copy * bytes, values.length).set(values);
    }
    const at = (/** @type {Float32Array | undefined} */ values, /** @type {number} */ copy) =>
      values ? [starts[read.indexOf(values)] + copy * bytes] : [];
    const { x, residual, dy, dSum } = inputs;
    const callsOf = (/** @type {Counts} */ counts, /** @type {(Float32Array | undefined)[]} */ arrays) => {
      const loop = loops[nameOf(counts)];
      const to = Array.from({ length: counts.writes }, (_, i) => i * bytes);
      const pointers = Array.from({ length: copies }, (_, copy) => {
        const from = arrays.flatMap((values) => at(values, copy));
        return [...from, ...to, from[0] + bytes];
      });
      return (/** @type {number} */ i) => loop(...pointers[i]);
    };
    const calls = { forward: callsOf(forward, [x, residual]), backward: callsOf(backward, [x, dy, dSum]) };
    const result = () => new Float32Array(memory.buffer, 0, x.length).slice();
    const next = rotation(copies);
    return {
      passes: {
        forward: () => calls.forward(next()),
        backward: () => calls.backward(next()),
        both() {
          const i = next();
          calls.forward(i);
          calls.backward(i);
        },
      },
      results: {
        forward() {
          calls.forward(0);
          return { y: result() };
        },
        backward() {
          calls.backward(0);
          return { dx: result() };
        },
        both() {
          calls.forward(0);
          const y = result();
          calls.backward(0);
          return { y, dx: result() };
        },
      },
    };
  },
});
