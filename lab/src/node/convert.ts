/** `evenkeel convert`: every tensor of a checkpoint's model in a file of safetensors or NumPy. */
import { stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { count } from "@evenkeel/report/format";
import {
  type Checkpoint,
  CheckpointError,
  open,
  type Tensor,
  type WrittenTensor,
  writeNpz,
  writeSafetensors,
} from "evenkeel/checkpoints";
import { FailureError, UsageError } from "../errors.js";
import { size } from "../inspection.js";
import { writeWhole } from "./whole-file.js";

interface Target {
  /** What the format's name is in a sentence. */
  name: string;
  /** The type that one becomes which the format lacks. */
  instead: Readonly<Record<string, WrittenTensor["dtype"]>>;
  write(tensors: [string, WrittenTensor][], checkpoint: Checkpoint): Uint8Array;
}

/** By the ending of a file's name. */
const targets: Readonly<Record<string, Target>> = {
  ".safetensors": {
    name: "safetensors",
    instead: { complex128: "complex64" },
    write: (tensors, checkpoint) => writeSafetensors(tensors, textsOf(checkpoint)),
  },
  ".npz": {
    name: "NumPy",
    instead: { bfloat16: "float32" },
    write: (tensors) => writeNpz(tensors),
  },
};

/** All of it is held in memory, and arrays of more than this are beyond some engines. */
const MOST_BYTES = 2e9;
/** Tensors that a message names. */
const MOST_NAMED = 8;

/**
 * Converts the file and returns the exit code: 1 where a tensor had to be left out.
 * @throws UsageError for another ending, and where `out` is the file itself
 */
export async function convert(file: string, out: string): Promise<number> {
  const target = Object.entries(targets).find(([ending]) => out.toLowerCase().endsWith(ending))?.[1];
  if (target === undefined) {
    throw new UsageError(
      `convert: the format is told by the ending of OUT, expected ${Object.keys(targets).join(" or ")}, got "${out}"`,
    );
  }
  const checkpoint = await open(file);
  if (await isPartOf(checkpoint, out)) {
    throw new UsageError(`convert: OUT "${out}" is read from; name another file`);
  }
  const { tensors, others } = checkpoint;
  const total = [...tensors.values()].reduce((sum, tensor) => sum + bytesOf(tensor, target), 0);
  if (total > MOST_BYTES) {
    throw new FailureError(
      `convert: ${file} holds ${size(total)} of tensors, and at most ${size(MOST_BYTES)} are written at a time; convert it where it was ` +
        "written, to several files of safetensors",
    );
  }
  const written: [string, WrittenTensor][] = [];
  const refused: CheckpointError[] = [];
  const changed = new Map<string, number>();
  for (const [name, tensor] of tensors) {
    try {
      const data = await tensor.read();
      const dtype = (target.instead[tensor.dtype] ?? tensor.dtype) as WrittenTensor["dtype"];
      written.push([name, { shape: tensor.shape, dtype, data }]);
      const change = changeOf(tensor, target);
      if (change !== undefined) changed.set(change, (changed.get(change) ?? 0) + 1);
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      refused.push(error);
    }
  }
  if (written.length === 0 && refused.length === 0) {
    throw new FailureError(`convert: ${file} holds no tensors; nothing was written`);
  }
  if (written.length > 0) {
    const bytes = target.write(written, checkpoint);
    await writeWhole(out, bytes, "convert");
    const lines = [
      `${out}  ${count(written.length, "tensor")}, ${size(bytes.length)}`,
      ...[...changed].map(([change, n]) => `${count(n, "tensor")} ${change}`),
      ...(others.size > 0
        ? [`left out: ${count(others.size, "tensor")} beside the model (optimizer, averages, counters)`]
        : []),
    ];
    process.stdout.write(`${lines.join("\n")}\n`);
  }
  if (refused.length === 0) return 0;
  const named = refused.slice(0, MOST_NAMED).map(({ message }) => `\n  ${message}`);
  const more = refused.length - named.length;
  const absent =
    written.length === 0
      ? "nothing was written, its tensors could not be read"
      : `${count(refused.length, "tensor")} could not be read and ${refused.length === 1 ? "is" : "are"} not in ${out}`;
  throw new FailureError(
    `convert: ${absent}:${named.join("")}${more > 0 ? `\n  and ${count(more, "other")}` : ""}`,
  );
}

/** What becomes of such tensors, where their type is not kept. */
function changeOf({ dtype, quantized }: Tensor, { name, instead }: Target): string | undefined {
  if (quantized !== undefined)
    return `quantized to ${quantized}: written as the ${dtype} values they stand for`;
  const other = instead[dtype];
  return other === undefined ? undefined : `of ${dtype}, which ${name} lacks: written as ${other}`;
}

function bytesOf({ dtype, shape }: Tensor, { instead }: Target): number {
  const bits = Number(/\d+/.exec(instead[dtype] ?? dtype)?.[0] ?? 8);
  return shape.reduce((sum, length) => sum * length, bits / 8);
}

/** What the file says of itself in texts; loaders of PyTorch's look for "format". */
function textsOf({ metadata, framework }: Checkpoint): Record<string, string> {
  const texts = Object.entries(metadata).filter(
    (entry): entry is [string, string] => typeof entry[1] === "string",
  );
  const format = framework === "pytorch" || framework === "fastai" ? [["format", "pt"]] : [];
  return Object.fromEntries([...format, ...texts]);
}

/** Whether a path is that of one of the files that a checkpoint is read from. */
async function isPartOf({ file, tensors, others }: Checkpoint, path: string): Promise<boolean> {
  const identity = async (which: string) => {
    const found = await stat(which).catch(() => undefined);
    return found && `${found.dev} ${found.ino}`;
  };
  const own = await identity(path);
  if (own === undefined) return false;
  const names = new Set([file, ...[...tensors.values(), ...others.values()].map(({ at }) => at.file)]);
  // a file beside the opened one is called by its path from there
  const paths = [...names].flatMap((name) => [name, resolve(dirname(file), name)]);
  for (const each of paths) if ((await identity(each)) === own) return true;
  return false;
}
