/**
 * safetensors: a header of JSON that says the name, type, shape and place of each tensor, then their bytes without a gap.
 * https://github.com/huggingface/safetensors#format
 *
 * Sharded too (`*.safetensors.index.json`): the headers of all shards are read on opening. Hugging Face's `config.json` beside either is
 * read into `metadata.config`.
 *
 * Refused: a name twice, places that overlap, leave gaps or leave the file, a header over 100 MB; when they are read, values of float8,
 * float6 and float4.
 */
import type { Framework } from "../../frameworks/conventions.js";
import { described, sizeOf } from "../../shape.js";
import type { Format } from "../checkpoint.js";
import { isObject, type JSONObject, jsonIn } from "../encodings/json.js";
import { concatenated, viewOf } from "../encodings/zip.js";
import { CheckpointError } from "../errors.js";
import type { Bytes } from "../source.js";
import { shortened, storedTensor, type Tensor } from "../tensors.js";
import { encodedTensors, type WrittenTensor, type WrittenType } from "../written.js";
import { sharded, withConfig } from "./hugging-face.js";

const FORMAT = "safetensors";
/** As the official library has it. */
const MOST_HEADER = 100_000_000;

/** Types by their names in a header, with ours and their bits. */
const types = new Map<string, readonly [string, number]>([
  ["F64", ["float64", 64]],
  ["F32", ["float32", 32]],
  ["F16", ["float16", 16]],
  ["BF16", ["bfloat16", 16]],
  ["I64", ["int64", 64]],
  ["I32", ["int32", 32]],
  ["I16", ["int16", 16]],
  ["I8", ["int8", 8]],
  ["U64", ["uint64", 64]],
  ["U32", ["uint32", 32]],
  ["U16", ["uint16", 16]],
  ["U8", ["uint8", 8]],
  ["BOOL", ["bool", 8]],
  ["C64", ["complex64", 64]],
  ["F8_E4M3", ["float8_e4m3fn", 8]],
  ["F8_E4M3FNUZ", ["float8_e4m3fnuz", 8]],
  ["F8_E5M2", ["float8_e5m2", 8]],
  ["F8_E5M2FNUZ", ["float8_e5m2fnuz", 8]],
  ["F8_E8M0", ["float8_e8m0fnu", 8]],
  ["F6_E2M3", ["float6_e2m3fn", 6]],
  ["F6_E3M2", ["float6_e3m2fn", 6]],
  ["F4", ["float4_e2m1fn", 4]],
]);

export const safetensors: Format = {
  name: FORMAT,
  // a length of less than 2⁴⁸, and the first brace of the JSON
  matches: (head) => head.length > 8 && head[8] === 0x7b && head[6] === 0 && head[7] === 0,
  async read(files) {
    const { metadata, tensors } = await contentsOf(files.bytes);
    return {
      format: FORMAT,
      framework: frameworkOf(metadata.format, tensors),
      file: files.name,
      byteLength: files.bytes.byteLength,
      metadata: await withConfig(files, metadata),
      tensors,
      others: new Map(),
      modules: [],
    };
  },
};

export const safetensorsIndex = sharded({
  name: "safetensors (sharded)",
  ending: ".safetensors",
  contentsOf,
  frameworkOf: ({ metadata, tensors }) => frameworkOf(metadata.format, tensors),
});

/** By what wrote the file: `save_file` of safetensors.torch, .flax and .tensorflow; or else by PyTorch's names. */
function frameworkOf(format: unknown, tensors: ReadonlyMap<string, Tensor>): Framework | undefined {
  if (format === "pt") return "pytorch";
  if (format === "flax" || format === "jax") return "flax";
  if (format === "tf" || format === "tensorflow") return "keras2";
  if (format !== undefined) return undefined;
  const named = [...tensors.keys()].some((name) =>
    /(^|\.)(weight|bias|running_mean|running_var)$/.test(name),
  );
  return named ? "pytorch" : undefined;
}

interface Contents {
  readonly metadata: JSONObject;
  /** In the order of their places. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** What the header of a file says. */
async function contentsOf(bytes: Bytes): Promise<Contents> {
  const fail = (problem: string, offset?: number, remedy?: string) =>
    new CheckpointError(bytes.file, FORMAT, problem, { offset, remedy });
  const { byteLength } = bytes;
  if (byteLength < 8)
    throw fail(`expected 8 bytes of a header's length, the file ends after ${byteLength}`, 0);
  const length = Number(viewOf(await bytes.read(0, 8)).getBigUint64(0, true));
  const start = 8 + length;
  if (start > byteLength) {
    throw fail(`expected a header of ${length} bytes, the file ends after ${byteLength - 8}`, 8);
  }
  const header = await jsonIn(FORMAT, bytes.part(8, start), "a header", { most: MOST_HEADER, unique: true });
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  const placed = entries.map(([name, entry]) => {
    const at = isObject(entry) ? entry.data_offsets : undefined;
    const places = Array.isArray(at) && at.length === 2 && at.every((one) => Number.isSafeInteger(one));
    if (!isObject(entry) || !places || !(at[0] >= 0 && at[0] <= at[1]) || !Array.isArray(entry.shape)) {
      throw fail(
        `tensor "${shortened(name)}": expected dtype, shape and data_offsets [begin, end], got ${JSON.stringify(entry).slice(0, 80)}`,
        8,
      );
    }
    const [begin, end] = at as [number, number];
    return { name, begin, end, shape: entry.shape as number[], dtype: entry.dtype };
  });
  placed.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const tensors = new Map<string, Tensor>();
  let reached = 0;
  for (const { name, begin, end, shape, dtype } of placed) {
    const called = `tensor "${shortened(name)}"`;
    if (typeof dtype !== "string" || !/^[A-Z]\w*$/.test(dtype)) {
      throw fail(`${called}: expected a dtype such as F32, got ${described(dtype)}`, 8);
    }
    if (begin !== reached) {
      const fault = begin < reached ? "overlaps the one before it" : "leaves a gap after the one before it";
      throw fail(`${called} ${fault}: expected to begin at ${reached}, got ${begin}`, start + begin);
    }
    if (start + end > byteLength) {
      throw fail(
        `${called}: expected ${end - begin} bytes, there are ${byteLength - start - begin}`,
        start + begin,
      );
    }
    reached = end;
    const [ours, bits] = types.get(dtype) ?? [dtype];
    const lying = bytes.part(start + begin, start + end);
    const tensor = storedTensor(FORMAT, { name, shape, dtype: ours, bytes: lying });
    if (bits !== undefined && sizeOf(shape) * bits !== (end - begin) * 8) {
      throw fail(
        `${called}: expected ${(sizeOf(shape) * bits) / 8} bytes for [${shape.join(", ")}] of ${ours}, data_offsets give ${end - begin}`,
        start + begin,
      );
    }
    tensors.set(name, tensor);
  }
  if (start + reached !== byteLength) {
    throw fail(
      `expected the file to end after its last tensor, ${byteLength - start - reached} bytes follow`,
      start + reached,
    );
  }
  // own properties only: a header does not say what `Object.prototype` does
  const metadata = Object.hasOwn(header, "__metadata__") ? header.__metadata__ : {};
  if (!isObject(metadata) || !Object.values(metadata).every((value) => typeof value === "string")) {
    throw fail('expected texts by name in "__metadata__"', 8);
  }
  return { metadata, tensors };
}

/** Types by our names. */
const written = new Map([...types].map(([theirs, [ours]]) => [ours, theirs]));

/**
 * A safetensors file of tensors, those of longer elements first, so that each lies aligned; among equals in the order given.
 *
 *     writeSafetensors([["norm.weight", { shape: [4], data: Float32Array.of(1, 1, 1, 1) }]], { format: "pt" });
 *
 * @param tensors a Map, or pairs of a name and a tensor
 * @param metadata texts that the file keeps beside them
 * @throws TypeError and RangeError for what is no tensor, a name twice, `__metadata__` as a name, complex128
 */
export function writeSafetensors(
  tensors: Iterable<readonly [string, WrittenTensor]>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const caller = "writeSafetensors";
  const texts = metadata ?? {};
  const wrong = isObject(texts)
    ? Object.entries(texts).find(([, text]) => typeof text !== "string")
    : ["metadata", texts];
  if (wrong) {
    throw new TypeError(
      `${caller}: metadata must be texts by name, got ${described(wrong[1])} for "${wrong[0]}"`,
    );
  }
  const all = encodedTensors(caller, tensors);
  all.sort((a, b) => bitsOf(b.dtype) - bitsOf(a.dtype));
  let at = 0;
  const members = all.map(({ name, shape, dtype, bytes }) => {
    if (name === "__metadata__") throw new RangeError(`${caller}: a tensor cannot be called "__metadata__"`);
    const type = written.get(dtype);
    if (type === undefined) {
      throw new RangeError(
        `${caller}: tensor "${shortened(name)}": safetensors has no ${dtype}; write complex64`,
      );
    }
    const entry = { dtype: type, shape, data_offsets: [at, at + bytes.length] };
    at += bytes.length;
    return `${JSON.stringify(name)}:${JSON.stringify(entry)}`;
  });
  if (metadata !== undefined) members.unshift(`"__metadata__":${JSON.stringify(metadata)}`);
  const text = new TextEncoder().encode(`{${members.join(",")}}`);
  const header = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20);
  viewOf(header).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(text, 8);
  return concatenated([header, ...all.map(({ bytes }) => bytes)]);
}

function bitsOf(dtype: WrittenType): number {
  return types.get(written.get(dtype) ?? "")?.[1] ?? 0;
}
