/**
 * What Hugging Face's libraries write beside a model's weights: an index of the files over which they are spread (`weight_map`, from names of
 * tensors to files; https://huggingface.co/docs/transformers/big_models), and `config.json`, where alone the epsilon of a model's
 * normalizations stands.
 *
 * Refused: an index that names a file outside of its folder, one that is not there, or one without a tensor that it shall have.
 */
import { described } from "../../shape.js";
import type { Checkpoint, Format } from "../checkpoint.js";
import { isObject, type JSONObject, jsonIn } from "../encodings/json.js";
import { CheckpointError } from "../errors.js";
import type { Bytes, Files } from "../source.js";
import { shortened, type Tensor } from "../tensors.js";

const MOST_INDEX = 2 ** 27;
const MOST_CONFIG = 2 ** 20;

/** What a shard holds. */
interface Shard {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, Tensor>;
}

interface Shards {
  readonly name: string;
  /** Of the shards' names, as in the index and its own name. */
  readonly ending: string;
  contentsOf(bytes: Bytes): Promise<Shard>;
  frameworkOf(whole: Shard): Checkpoint["framework"];
}

/** The format of an index: its tensors are those of all shards. */
export function sharded({ name: format, ending, contentsOf, frameworkOf }: Shards): Format {
  return {
    name: format,
    matches(head, files) {
      if (head[0] !== 0x7b) return false;
      const text = new TextDecoder().decode(head);
      return (
        files.name.endsWith(`${ending}.index.json`) ||
        (text.includes('"weight_map"') && text.includes(`${ending}"`))
      );
    },
    async read(files) {
      const fail = (problem: string, remedy?: string) =>
        new CheckpointError(files.name, format, problem, { remedy });
      const index = await jsonIn(format, files.bytes, "an index", { most: MOST_INDEX });
      if (!isObject(index.weight_map)) throw fail('expected "weight_map", from names of tensors to files');
      const shards = new Map<string, Set<string>>();
      for (const [name, shard] of Object.entries(index.weight_map)) {
        if (typeof shard !== "string")
          throw fail(`tensor "${shortened(name)}": expected the name of its file, got ${described(shard)}`);
        shards.set(shard, (shards.get(shard) ?? new Set()).add(name));
      }
      let byteLength = files.bytes.byteLength;
      let metadata: Shard["metadata"] = {};
      const tensors = new Map<string, Tensor>();
      for (const [shard, names] of shards) {
        const bytes = await files.beside(shard);
        if (bytes === undefined) {
          throw fail(
            `expected the file "${shortened(shard)}" beside it, in which ${listed([...names])} lie; there is none`,
            "fetch it into the same folder, or give it in the list of files",
          );
        }
        const contents = await contentsOf(bytes);
        for (const name of names) {
          if (contents.tensors.has(name)) continue;
          throw fail(
            `expected the tensor "${shortened(name)}" in "${shortened(shard)}", which does not have it`,
          );
        }
        for (const [name, tensor] of contents.tensors) if (names.has(name)) tensors.set(name, tensor);
        byteLength += bytes.byteLength;
        metadata = merged(metadata, contents.metadata);
      }
      if (isObject(index.metadata)) metadata = merged(metadata, index.metadata);
      return {
        format,
        framework: frameworkOf({ metadata, tensors }),
        file: files.name,
        byteLength,
        metadata: await withConfig(files, metadata),
        tensors,
        others: new Map(),
        modules: [],
      };
    },
  };
}

/** Metadata with the `config` beside the file, unless the file has one itself. */
export async function withConfig(files: Files, metadata: Shard["metadata"]): Promise<Shard["metadata"]> {
  if (Object.hasOwn(metadata, "config")) return metadata;
  const config = await configBeside(files);
  return config === undefined ? metadata : merged(metadata, { config });
}

/** One that is not JSON says nothing of the tensors, and is left aside. */
async function configBeside(files: Files): Promise<JSONObject | undefined> {
  const bytes = await files.beside("config.json");
  if (bytes === undefined) return undefined;
  try {
    return await jsonIn("config.json", bytes, "a configuration", { most: MOST_CONFIG });
  } catch (error) {
    if (error instanceof CheckpointError) return undefined;
    throw error;
  }
}

/** Without assigning names, of which one may be `__proto__`. */
function merged(...all: readonly Shard["metadata"][]): Shard["metadata"] {
  return Object.fromEntries(all.flatMap((one) => Object.entries(one)));
}

function listed(names: readonly string[]): string {
  const some = names.slice(0, 3).map((name) => `"${shortened(name)}"`);
  return some.join(", ") + (names.length > 3 ? ` and ${names.length - 3} more tensors` : "");
}
