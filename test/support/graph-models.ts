/** TensorFlow.js graph models written down, for tests: a GraphDef and its weights, loaded from memory. */
import { type GraphModel, loadGraphModel } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";

type Attributes = Readonly<Record<string, object>>;

interface NodeDef {
  readonly name: string;
  readonly op: string;
  readonly input: readonly string[];
  readonly attr: Attributes;
}

const TYPES = { float32: "DT_FLOAT", int32: "DT_INT32", bool: "DT_BOOL" } as const;
type Type = keyof typeof TYPES;

/** A graph, of a model or of a function's body. Each method adds a node, and returns its name. */
export class GraphDef {
  readonly nodes: NodeDef[] = [];
  private readonly weights: { name: string; shape: number[]; dtype: Type; values: ArrayLike<number> }[];

  /** @param around the model that a function is of: weights lie there */
  constructor(around?: GraphDef) {
    this.weights = around?.weights ?? [];
  }

  op(op: string, name: string, input: readonly string[], attr: Attributes = {}): string {
    this.nodes.push({ name, op, input, attr: { T: { type: "DT_FLOAT" }, ...attr } });
    return name;
  }

  input(name: string, shape: readonly number[], type: Type = "float32"): string {
    const dim = shape.map((size) => ({ size: String(size) }));
    return this.op("Placeholder", name, [], { dtype: { type: TYPES[type] }, shape: { shape: { dim } } });
  }

  constant(
    name: string,
    values: ArrayLike<number>,
    shape: number[] = [values.length],
    dtype: Type = "float32",
  ) {
    this.weights.push({ name, shape, dtype, values });
    return this.op("Const", name, [], { dtype: { type: TYPES[dtype] } });
  }

  number(name: string, value: number): string {
    return this.constant(name, [value], []);
  }

  integers(name: string, values: readonly number[]): string {
    return this.constant(name, values, [values.length], "int32");
  }

  /** A mean that keeps the axes. */
  mean(name: string, x: string, axes: readonly number[], op = "Mean"): string {
    return this.op(op, name, [x, this.integers(`${name}/axes`, axes)], { keep_dims: { b: true } });
  }

  async load(more: Partial<tf.io.ModelArtifacts> = {}, library: readonly object[] = []): Promise<GraphModel> {
    const tensors = this.weights.map(({ values, dtype }) =>
      dtype === "float32"
        ? Float32Array.from(values)
        : dtype === "int32"
          ? Int32Array.from(values)
          : Uint8Array.from(values),
    );
    const bytes = tensors.map((one) => new Uint8Array(one.buffer));
    const data = new Uint8Array(bytes.reduce((size, one) => size + one.length, 0));
    let at = 0;
    for (const one of bytes) {
      data.set(one, at);
      at += one.length;
    }
    const modelTopology = {
      node: this.nodes,
      library: { function: library },
      versions: { producer: 1087, minConsumer: 12 },
    };
    const weightSpecs = this.weights.map(({ name, shape, dtype }) => ({ name, shape, dtype }));
    return loadGraphModel(
      tf.io.fromMemory({
        modelTopology,
        weightSpecs,
        weightData: data.buffer,
        format: "graph-model",
        ...more,
      }),
    );
  }
}

/** FunctionDef: a body whose inputs and outputs are float32 unless said. */
export function functionDef(
  name: string,
  body: GraphDef,
  inputs: Readonly<Record<string, Type>>,
  outputs: Readonly<Record<string, [value: string, type: Type]>>,
): object {
  const typed = (list: readonly (readonly [string, Type])[]) =>
    list.map(([one, type]) => ({ name: one, type: TYPES[type] }));
  return {
    signature: {
      name,
      inputArg: typed(Object.entries(inputs)),
      outputArg: typed(Object.entries(outputs).map(([one, [, type]]) => [one, type])),
    },
    nodeDef: body.nodes,
    ret: Object.fromEntries(Object.entries(outputs).map(([one, [value]]) => [one, value])),
  };
}
