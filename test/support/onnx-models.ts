/** ONNX models written down, and run in onnxruntime, for tests. */
import * as ort from "onnxruntime-node";
import { bytesField, integerField, message, textField } from "../../src/checkpoints/encodings/protobuf.js";
import { concatenated } from "../../src/checkpoints/encodings/zip.js";
import type { Mend, NewConstant, NewNode } from "../../src/checkpoints/graphs/graph.js";
import { fromHalf } from "../../src/checkpoints/tensors.js";
import { encodedTensors } from "../../src/checkpoints/written.js";
import { nodeMessage, opsetMessage, tensorMessage, valueMessage } from "../../src/onnx/messages.js";
import type { Model } from "../../src/onnx/model.js";
import { raising } from "../../src/onnx/opsets.js";
import { bytesOfParts, written } from "../../src/onnx/write.js";

/** [operator, inputs, outputs, attributes, domain]; names are split at spaces, "_" is one that is left out. */
export type NewNodeOf = readonly [string, string, string, NewNode["attributes"]?, string?];

export interface ModelOf {
  readonly opset: number;
  readonly nodes: readonly NewNodeOf[];
  readonly constants?: readonly NewConstant[];
  /** [name, shape, dtype]: float32 where the type is missing. */
  readonly inputs: readonly (readonly [string, readonly (number | string)[], string?])[];
  readonly outputs: readonly (readonly [string, (readonly (number | string)[])?, string?])[];
}

/** A model's file. */
export function onnxBytes({ opset, nodes, constants = [], inputs, outputs }: ModelOf): Uint8Array {
  const names = (all: string) => (all === "" ? [] : all.split(" ").map((name) => (name === "_" ? "" : name)));
  const value = ([name, shape, dtype = "float32"]: readonly [
    string,
    (readonly (number | string)[])?,
    string?,
  ]) => valueMessage({ name, shape, dtype });
  const graph = message([
    ...nodes.map(([operator, reads, gives, attributes = {}, domain = ""], i) =>
      bytesField(
        1,
        nodeMessage({
          name: `${operator}_${i}`,
          operator,
          domain,
          inputs: names(reads),
          outputs: names(gives),
          attributes,
        }),
      ),
    ),
    textField(2, "graph"),
    ...constants.map((constant) => bytesField(5, tensorMessage("onnxBytes", constant))),
    ...inputs.map((one) => bytesField(11, value(one))),
    ...outputs.map((one) => bytesField(12, value(one))),
  ]);
  const domains = new Set(nodes.map((node) => node[4] ?? "").filter((domain) => domain !== ""));
  return message([
    integerField(1, 10),
    bytesField(7, graph),
    bytesField(8, opsetMessage("", opset)),
    ...[...domains].map((domain) => bytesField(8, opsetMessage(domain, 1))),
  ]);
}

/** A constant: a number alone is a scalar, a list a vector; float32 where the type is missing. */
export function newConstant(
  name: string,
  values: number | ArrayLike<number>,
  shape?: readonly number[],
  dtype: NewConstant["dtype"] = "float32",
): NewConstant {
  const flat = typeof values === "number" ? [values] : Array.from(values);
  return { name, shape: shape ?? (typeof values === "number" ? [] : [flat.length]), dtype, values: flat };
}

/** Values as a type rounds them. */
export function roundedTo(dtype: "float32" | "float16", values: ArrayLike<number>): Float32Array {
  const data = Float64Array.from(values);
  return dtype === "float32" ? Float32Array.from(data) : fromHalf(halves(data));
}

function halves(data: Float64Array): Uint16Array {
  const [{ bytes }] = encodedTensors("halves", [["", { shape: [data.length], dtype: "float16", data }]]);
  return new Uint16Array(bytes.slice().buffer);
}

/** A tensor of halves by their bits: in Node 24 it would hold a Float16Array, which onnxruntime's binding cannot read. */
export function halfTensor(bits: Uint16Array, shape: readonly number[]): ort.Tensor {
  return Object.assign(new ort.Tensor("float16", bits, shape), { cpuData: bits });
}

type Feeds = Readonly<Record<string, { shape: readonly number[]; data: ArrayLike<number> }>>;

/** What a model gives in onnxruntime on a CPU, float16 widened. */
export async function run(bytes: Uint8Array, feeds: Feeds): Promise<Record<string, Float32Array>> {
  const [given] = await runEach(bytes, [feeds]);
  return given;
}

/** The same for several inputs. */
export async function runEach(
  bytes: Uint8Array,
  all: readonly Feeds[],
): Promise<Record<string, Float32Array>[]> {
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 4, intraOpNumThreads: 1 });
  const results: Record<string, Float32Array>[] = [];
  try {
    for (const feeds of all) {
      const tensors: Record<string, ort.Tensor> = {};
      for (const one of session.inputMetadata) {
        const { shape, data } = feeds[one.name];
        const isHalf = one.isTensor && one.type === "float16";
        tensors[one.name] = isHalf
          ? halfTensor(halves(Float64Array.from(data)), shape)
          : new ort.Tensor("float32", Float32Array.from(data), shape);
      }
      const given = Object.entries(await session.run(tensors));
      results.push(Object.fromEntries(given.map(([name, { data, type }]) => [name, floatsOf(type, data)])));
    }
  } finally {
    await session.release();
  }
  return results;
}

function floatsOf(type: string, data: ort.Tensor["data"]): Float32Array {
  // where the platform has a Float16Array, onnxruntime gives one
  if (type === "float16" && data instanceof Uint16Array) return fromHalf(data);
  return Float32Array.from(data as ArrayLike<number>);
}

/** A model's file with these mends, and what they need of other nodes. */
export async function mendedBytes(model: Model, mends: readonly Mend[]): Promise<Uint8Array> {
  const to = Math.max(0, ...mends.map(({ opsets }) => opsets[""] ?? 0));
  const replaced = new Set(mends.flatMap(({ replaces }) => replaces));
  const converted = to > 0 ? raising(model, to, (node) => !replaced.has(node)) : [];
  const { files } = await written(model, { mends: [...mends, ...converted] });
  const parts: Uint8Array[] = [];
  for await (const part of bytesOfParts(files[0].parts)) parts.push(part);
  return concatenated(parts);
}
