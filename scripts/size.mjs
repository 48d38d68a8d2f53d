/** What the core costs a page: bundled with its kernels and its worker, minified, gzipped. */
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

/** Bytes, from the package's built entry (dist/index.js). */
export async function coreBytes(entry) {
  const thread = join(dirname(entry), "kernels/wasm/thread.js");
  const bundle = await rolldown({ input: [entry, thread], platform: "browser", logLevel: "silent" });
  const { output } = await bundle.generate({ format: "esm", minify: true });
  await bundle.close();
  return output.reduce((sum, file) => sum + gzipSync(file.code).length, 0);
}
