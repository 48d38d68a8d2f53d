/** HDF5 by its own library, compiled: what readers of ours are compared with. It lacks float16 and LZF, and has other answers for bool. */
import * as h5wasm from "h5wasm/node";

let files = 0;

/** The file that these bytes are. */
export async function openedByLibrary(bytes: Uint8Array): Promise<h5wasm.File> {
  const { FS } = await h5wasm.ready;
  const name = `/${++files}.h5`;
  FS.writeFile(name, bytes);
  return new h5wasm.File(name, "r");
}

/** Values of a dataset as numbers; undefined where the library does not read them. */
export function valuesByLibrary(file: h5wasm.File, path: string): number[] | undefined {
  const dataset = file.get(path) as h5wasm.Dataset;
  const { type, size } = dataset.metadata;
  // 1 is floating point; of LZF it gives what was in its memory
  if ((type === 1 && size === 2) || dataset.filters.some(({ name }) => name === "lzf")) return undefined;
  const { value } = dataset;
  if (value === null) return [];
  const values = typeof value === "object" ? Array.from(value as ArrayLike<unknown>) : [value];
  return values.map(Number);
}
