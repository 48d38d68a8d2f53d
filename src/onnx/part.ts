/** A mend by itself, as two models: what it replaces, and what it puts in its place; to be compared where the whole cannot be run. */
import { bytesField, fieldsOf, integerField, message, textField } from "../checkpoints/encodings/protobuf.js";
import type { StoredGraph } from "../checkpoints/formats/onnx-graph.js";
import { FORMAT } from "../checkpoints/formats/onnx-tensors.js";
import type { Mend, NewConstant, ValueInfo } from "../checkpoints/graphs/graph.js";
import { settle } from "../checkpoints/graphs/shapes.js";
import { constantOf } from "../checkpoints/graphs/values.js";
import { sizeOf } from "../shape.js";
import { irVersionOf, nodeMessage, opsetMessage, tensorMessage, valueMessage } from "./messages.js";
import { type Model, storedModel } from "./model.js";

/** A mend as two models of the same inputs and outputs. */
export interface Part {
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  /** Types are known; lengths that are open have names, those that are the same one name. */
  readonly inputs: readonly ValueInfo[];
}

/** Types that constants are written in. */
const WRITTEN: readonly string[] = [
  "float32",
  "float16",
  "bfloat16",
  "float64",
  "int64",
  "int32",
] satisfies NewConstant["dtype"][];
/** Values of all constants of a part: it is held in memory. */
const MOST_VALUES = 2 ** 25;
/** The largest integer of 64 bits that float64 has. */
const MOST_INTEGER = 2 ** 63 - 1024;

/**
 * @param mend of this model, as it was given
 * @returns undefined where nodes have graphs within them or call functions, and where a type is not known or not written
 */
export async function partOf(model: Model, mend: Mend): Promise<Part | undefined> {
  const stored = storedModel("partOf", model);
  if (!("onnx" in stored)) return undefined;
  const graph = stored.onnx.graphs.find((one) => one === mend.graph);
  if (graph === undefined) return undefined;
  const isWhole = mend.replaces.every(
    (node) =>
      [...node.attributes.values()].every(
        ({ graphs, reference }) => graphs.length === 0 && reference === "",
      ) && ![...graph.functions.keys()].some((key) => key.startsWith(`${node.domain}:${node.operator}:`)),
  );
  if (!isWhole) return undefined;
  const settled = await settle(graph, 0);
  const describe = (name: string): ValueInfo => ({
    name,
    dtype: settled.dtype(name),
    shape: settled.shape(name)?.map((length) => (settled.isOpen(length) ? `n${length}` : length)),
  });
  const before = readsOf(mend.replaces);
  const after = readsOf(mend.nodes);
  const own = new Set(mend.constants.map(({ name }) => name));
  const names = [...new Set([...before, ...after])].filter((name) => !own.has(name));
  const inputs = names.filter((name) => constantOf(graph, name) === undefined).map(describe);
  if (inputs.some(({ dtype, shape }) => dtype === undefined || shape === undefined)) return undefined;
  const constants = new Map<string, NewConstant>(mend.constants.map((constant) => [constant.name, constant]));
  let values = 0;
  for (const name of names) {
    const constant = constantOf(graph, name);
    if (constant === undefined) continue;
    values += sizeOf(constant.shape);
    if (!WRITTEN.includes(constant.dtype) || values > MOST_VALUES) return undefined;
    constants.set(name, {
      name,
      shape: constant.shape,
      dtype: constant.dtype as NewConstant["dtype"],
      // the end of what is sliced is often the largest integer, which float64 rounds up
      values: Float64Array.from((await constant.read()) as ArrayLike<number | bigint>, (value) =>
        constant.dtype === "int64" ? Math.min(Number(value), MOST_INTEGER) : Number(value),
      ),
    });
  }
  const outputs = mend.outputs.map((name) => ({ name, dtype: settled.dtype(name) }));
  const opsets = new Map(model.opsets);
  const raised = new Map(opsets);
  for (const [domain, version] of Object.entries(mend.opsets)) {
    raised.set(domain, Math.max(version, raised.get(domain) ?? 0));
  }
  const written = (
    nodes: readonly Uint8Array[],
    reads: readonly string[],
    imports: ReadonlyMap<string, number>,
  ) =>
    message([
      integerField(1, Math.max(model.irVersion, irVersionOf(imports.get("") ?? 0), IR_VERSION)),
      bytesField(
        7,
        message([
          ...nodes.map((node) => bytesField(1, node)),
          textField(2, "part"),
          ...reads.flatMap((name) => {
            const constant = constants.get(name);
            return constant ? [bytesField(5, tensorMessage("partOf", constant))] : [];
          }),
          ...inputs.map((input) => bytesField(11, valueMessage(input))),
          ...outputs.map((output) => bytesField(12, valueMessage(output))),
        ]),
      ),
      ...[...imports].map(([domain, version]) => bytesField(8, opsetMessage(domain, version))),
    ]);
  return {
    before: written(await storedNodes(graph, mend), before, opsets),
    after: written(mend.nodes.map(nodeMessage), after, raised),
    inputs,
  };
}

/** From which on constants need not be inputs too. */
const IR_VERSION = 4;

/** Values that come from without. */
function readsOf(nodes: readonly { inputs: readonly string[]; outputs: readonly string[] }[]): string[] {
  const own = new Set(nodes.flatMap(({ outputs }) => outputs));
  return [...new Set(nodes.flatMap(({ inputs }) => inputs))].filter((name) => name !== "" && !own.has(name));
}

/** NodeProto of those that it replaces, as they lie in the file. */
async function storedNodes(graph: StoredGraph, { replaces }: Mend): Promise<Uint8Array[]> {
  const replaced = new Set(replaces);
  const number = graph.isFunction ? 7 : 1;
  const fields = (await fieldsOf(FORMAT, graph.message)).filter((field) => field.number === number);
  return Promise.all(
    graph.nodes.flatMap((node) => (replaced.has(node) ? [fields[node.place].bytes.read()] : [])),
  );
}
