/** What Evenkeel costs a page: with its kernels and its worker's source, minified, gzipped; of the rest only what is loaded. */
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
  const chunks = output.filter((file) => file.type === "chunk");
  const loaded = new Set(chunks.filter(({ isEntry }) => isEntry).map(({ fileName }) => fileName));
  for (const name of loaded) {
    for (const other of chunks.find(({ fileName }) => fileName === name)?.imports ?? []) loaded.add(other);
  }
  return chunks
    .filter(({ fileName }) => loaded.has(fileName))
    .reduce((sum, { code }) => sum + gzipSync(code).length, 0);
}
