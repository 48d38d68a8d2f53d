/** Graphs written down, for tests. */
import type {
  Attribute,
  Constant,
  Dialect,
  Graph,
  Node,
  ValueInfo,
} from "../../src/checkpoints/graphs/graph.js";
import type { Values } from "../../src/checkpoints/tensors.js";
import { sizeOf } from "../../src/shape.js";

/** A setting as one writes it: bare, a list, a constant, or graphs. */
export type AttributeOf = number | string | readonly number[] | readonly string[] | Constant | Graph;

/** [operator, inputs, outputs, attributes, domain]; names are split at spaces, "_" is one that is left out. */
export type NodeOf = readonly [string, string, string, Readonly<Record<string, AttributeOf>>?, string?];

export interface GraphOf {
  readonly dialect?: Dialect;
  readonly path?: string;
  readonly opset?: number;
  /** Versions of other domains; 1 where missing. */
  readonly domains?: Readonly<Record<string, number>>;
  readonly nodes: readonly NodeOf[];
  readonly constants?: readonly Constant[];
  /** [name, shape, dtype]: float32 where the type is missing. */
  readonly inputs?: readonly ValueOf[];
  readonly outputs?: readonly (ValueOf | string)[];
  readonly values?: readonly ValueOf[];
  readonly around?: Graph;
  readonly functions?: Graph["functions"];
}

export type ValueOf = readonly [string, (readonly (number | string)[])?, string?];

/** A graph of nodes in order; what they do not give and no constant is, and no input names, is not there. */
export function graphOf(all: GraphOf): Graph {
  const { dialect = "onnx", path = "", opset = 17, domains = {} } = all;
  const info = ([name, shape, dtype = "float32"]: ValueOf): ValueInfo => ({ name, shape, dtype });
  return {
    dialect,
    path,
    nodes: all.nodes.map(
      ([operator, inputs, outputs, attributes = {}, domain = ""], i): Node => ({
        name: `${operator}_${i}`,
        operator,
        domain,
        opset: dialect === "tensorflow" ? 0 : domain === "" ? opset : (domains[domain] ?? 1),
        inputs: names(inputs),
        outputs: names(outputs),
        attributes: new Map(Object.entries(attributes).map(([name, value]) => [name, attributeOf(value)])),
        overload: "",
      }),
    ),
    constants: new Map((all.constants ?? []).map((one) => [one.name, one])),
    inputs: (all.inputs ?? []).map(info),
    outputs: (all.outputs ?? []).map((one) => (typeof one === "string" ? { name: one } : info(one))),
    values: new Map((all.values ?? []).map((one) => [one[0], info(one)])),
    around: all.around,
    functions: all.functions ?? new Map(),
  };
}

const names = (all: string) => (all === "" ? [] : all.split(" ").map((name) => (name === "_" ? "" : name)));

function attributeOf(value: AttributeOf): Attribute {
  const none = { graphs: [], reference: "" };
  if (typeof value !== "object" || Array.isArray(value))
    return { ...none, value: value as Attribute["value"] };
  return "nodes" in value ? { ...none, graphs: [value] } : { ...none, constant: value as Constant };
}

/** A constant: a number alone is a scalar, a list a vector; float32 where the type is missing. */
export function constantOf(
  name: string,
  values: number | ArrayLike<number>,
  shape?: readonly number[],
  dtype = "float32",
): Constant {
  const flat = typeof values === "number" ? [values] : Array.from(values);
  const own = shape ?? (typeof values === "number" ? [] : [flat.length]);
  if (sizeOf(own) !== flat.length) throw new RangeError(`${name}: ${flat.length} values of shape [${own}]`);
  return { name, shape: own, dtype, read: async () => stored(flat, dtype) };
}

/** Integers, such as axes and shapes. */
export function integersOf(name: string, values: number | readonly number[], dtype = "int64"): Constant {
  return constantOf(name, values, undefined, dtype);
}

function stored(values: readonly number[], dtype: string): Values {
  if (dtype === "int64") return BigInt64Array.from(values, BigInt);
  if (dtype === "int32") return Int32Array.from(values);
  if (dtype === "bool" || dtype === "uint8") return Uint8Array.from(values);
  return dtype === "float64" ? Float64Array.from(values) : Float32Array.from(values);
}
