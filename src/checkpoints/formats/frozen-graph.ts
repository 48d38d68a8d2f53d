/**
 * Frozen graphs of TensorFlow (GraphDef in a `.pb`), whose weights are constants among the operations:
 * https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/framework/graph.proto. Its text form (.pbtxt) is not read, and a
 * graph of TensorFlow.js before 1.0 is refused: the values of its constants were taken out, and would all be 0.
 */

import { sizeOf } from "../../shape.js";
import type { Checkpoint, Format } from "../checkpoint.js";
import { CheckpointError } from "../errors.js";
import type { Files } from "../source.js";
import type { Tensor } from "../tensors.js";
import { constantIn, graphsIn, normalizationsIn } from "./tensorflow-graph.js";

const NAME = "TensorFlow frozen graph";

export const frozenGraph: Format = { name: NAME, matches: isGraph, read };

/** An operation first, and in it a name and what it does, such as Const or _Arg. */
function isGraph(head: Uint8Array): boolean {
  let at = 0;
  const field = (number: number): number => {
    if (head[at++] !== number * 8 + 2) return -1;
    let length = 0;
    for (let scale = 1; scale < 2 ** 35; scale *= 128) {
      const byte = head[at++];
      length += (byte & 0x7f) * scale;
      if (byte < 0x80) return length;
    }
    return -1;
  };
  if (field(1) < 0) return false;
  const name = field(1);
  if (name < 1) return false;
  at += name;
  const operation = field(2);
  return operation > 0 && /^_?[A-Z]\w*$/.test(new TextDecoder().decode(head.subarray(at, at + operation)));
}

async function read(files: Files): Promise<Checkpoint> {
  const { bytes, name: file } = files;
  const graphs = await graphsIn(NAME, bytes);
  const tensors = new Map<string, Tensor>();
  for (const operation of graphs.main.operations.values()) {
    if (operation.op !== "Const") continue;
    const tensor = await constantIn(NAME, operation, bytes.byteLength);
    if (tensor) tensors.set(operation.name, tensor);
  }
  if (isEmptied([...tensors.values()])) {
    throw new CheckpointError(file, NAME, "expected constants with values, they were taken out", {
      remedy: "open the weights_manifest.json that TensorFlow.js wrote beside it",
    });
  }
  const modules = await normalizationsIn(NAME, graphs, bytes.byteLength, (name) => tensors.get(name));
  return {
    format: NAME,
    framework: modules.length > 0 ? "keras2" : undefined,
    file,
    byteLength: bytes.byteLength,
    metadata: { operations: graphs.main.operations.size },
    tensors,
    others: new Map(),
    modules,
  };
}

/** Whether none of the large constants has a value. Those of a few values are shapes and axes, which stay. */
function isEmptied(constants: readonly Tensor[]): boolean {
  const large = constants.filter(({ shape }) => sizeOf(shape) >= LARGE);
  return large.length > 0 && large.every(({ at }) => at.byteLength === 0);
}

const LARGE = 32;
