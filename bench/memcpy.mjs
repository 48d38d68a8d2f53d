/** The limit: a plain copy, in WebAssembly memory, where the kernels run too. */
import { rotation, serve } from "./serve.mjs";

const PAGE = 65536;
const memory = new WebAssembly.Memory({ initial: 1, maximum: PAGE });

await serve({
  about: `V8 ${process.versions.v8}`,
  prepare({ passes }, { x }, copies) {
    const bytes = x.byteLength;
    // one result, always in the same place: an allocator returns what was released last
    const missing = (copies + 1) * bytes - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
    const all = new Uint8Array(memory.buffer);
    for (let i = 1; i <= copies; i++) new Float32Array(memory.buffer, i * bytes, x.length).set(x);
    const next = rotation(copies);
    const copy = () => {
      const from = (1 + next()) * bytes;
      all.copyWithin(0, from, from + bytes);
    };
    const results = () => {
      copy();
      return { y: new Float32Array(memory.buffer, 0, x.length) };
    };
    return {
      passes: Object.fromEntries(passes.map((pass) => [pass, copy])),
      results: Object.fromEntries(passes.map((pass) => [pass, results])),
    };
  },
});
