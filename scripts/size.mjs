/** What Evenkeel costs a page: bundled with its kernels and its worker's source, minified, gzipped; of the rest only what is used. */
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

/** What the simplest page uses: a backend, and one normalization. */
const CORE = ["open", "layerNorm"];

/**
 * Bytes for a page that imports these names from the built entry of the package (dist/index.js).
 * @param {string} entry @param {readonly string[]} [names]
 */
export async function coreBytes(entry, names = CORE) {
  const page = "page";
  const bundle = await rolldown({
    input: page,
    platform: "browser",
    logLevel: "silent",
    plugins: [
      {
        name: page,
        resolveId: (id) => (id === page ? id : null),
        load: (id) => (id === page ? `export { ${names.join(", ")} } from ${JSON.stringify(entry)};` : null),
      },
    ],
  });
  const { output } = await bundle.generate({ format: "esm", minify: true });
  await bundle.close();
  return output.reduce(
    (sum, file) => sum + gzipSync(file.type === "chunk" ? file.code : file.source).length,
    0,
  );
}
