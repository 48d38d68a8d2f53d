/**
 * A network as its file has it: operators between named values. What readers of ONNX and of TensorFlow.js's graph models give, what
 * normalizations are found in, and what is written again.
 */
import type { Values } from "../tensors.js";

/** Whose operators the nodes are. */
export type Dialect = "onnx" | "tensorflow";

/** The nodes of a model, of a branch or a loop's body, or of a function. */
export interface Graph {
  readonly dialect: Dialect;
  /** From the model down, for people: "" of the model's own graph, else such as "loop_1/body". */
  readonly path: string;
  /** In the file's order, each after what it reads. */
  readonly nodes: readonly Node[];
  /** Values that the file holds: initializers, and what Constant nodes give. */
  readonly constants: ReadonlyMap<string, Constant>;
  /** Values that come from without, in order: those too that have a value in the file which a caller may replace. */
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** What the file says of other values. */
  readonly values: ReadonlyMap<string, ValueInfo>;
  /** The graph whose values this one may read, where it is within a node. */
  readonly around?: Graph;
  /** Functions that nodes may call, by `callKey`. */
  readonly functions: ReadonlyMap<string, Callable>;
}

/** A value's type, as far as the file says. */
export interface ValueInfo {
  readonly name: string;
  /** As tensors.ts has it; undefined: not said. */
  readonly dtype?: string;
  /** Undefined: the rank is not said. A length is a number, or a name where it is open; "" is open without a name. */
  readonly shape?: readonly (number | string)[];
}

/** A value that the file holds. `Tensor` of tensors.ts is one. */
export interface Constant {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  /** Row-major. @throws CheckpointError where the file is damaged, or the type is not read */
  read(): Promise<Values>;
}

/** One operator. */
export interface Node {
  readonly name: string;
  /** Without its domain. */
  readonly operator: string;
  /** "" for ONNX's and TensorFlow's own. */
  readonly domain: string;
  /** The version of the domain's operators that the file speaks; 0 in TensorFlow. */
  readonly opset: number;
  /** "" where an optional one is left out. TensorFlow's are `name` or `name:1`; control inputs are not among them. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, Attribute>;
  /** Which overload of a function it calls, mostly "". */
  readonly overload: string;
}

/** A setting of a node. */
export interface Attribute {
  /** A number, a text, or a list of them; types of data are texts such as "float32". */
  readonly value?: number | string | readonly number[] | readonly string[];
  readonly constant?: Constant;
  readonly graphs: readonly Graph[];
  /** In a function: the attribute of the call that it stands for, else "". */
  readonly reference: string;
}

/** A function of the model: what a call of it does. */
export interface Callable {
  readonly graph: Graph;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Attributes that a call may leave out. */
  readonly defaults: ReadonlyMap<string, Attribute>;
}

/** How `Graph.functions` knows what a node calls. */
export function callKey({
  domain,
  operator,
  overload,
}: Pick<Node, "domain" | "operator" | "overload">): string {
  return `${domain}:${operator}:${overload}`;
}

/** A node that is put in. */
export interface NewNode {
  readonly name: string;
  readonly operator: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** `Integer` and `Float` tell what a number is, since files do. */
  readonly attributes: Readonly<Record<string, Integer | Float | string>>;
}

/** An attribute of one integer, or of several. */
export interface Integer {
  readonly integer: number | readonly number[];
}

/** An attribute of one float, or of several. */
export interface Float {
  readonly float: number | readonly number[];
}

/** A constant that is put in. */
export interface NewConstant {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: "float32" | "float16" | "bfloat16" | "float64" | "int64" | "int32";
  /** Row-major, rounded to the type as they are written. */
  readonly values: ArrayLike<number>;
}

/** A change of a graph that leaves all else as it is: nodes and constants that nothing reads afterwards are left out by the writer. */
export interface Mend {
  /** What it does, in one line, such as "LayerNormalization (opset 17) in place of 9 nodes". */
  readonly title: string;
  readonly graph: Graph;
  /** Nodes that the new ones stand for. */
  readonly replaces: readonly Node[];
  /** In order; they give the outputs that others read, under the old names. */
  readonly nodes: readonly NewNode[];
  /** Stands where this node stood, one of `replaces`. */
  readonly at: Node;
  readonly constants: readonly NewConstant[];
  /** The version that the model must import at least, by domain ("" is ONNX's own; "com.microsoft" 1). */
  readonly opsets: Readonly<Record<string, number>>;
  /** Of those that `replaces` gives and others read: what the mend computes anew, and is compared in. */
  readonly outputs: readonly string[];
}
