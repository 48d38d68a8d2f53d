/**
 * What ONNX's own operators mean in later versions of their set, as far as that differs:
 * https://github.com/onnx/onnx/blob/main/docs/Changelog.md, versions 7 to 23. A node means the same in a later one where only types were
 * added; where its form changed there is a conversion of most.
 */
import type {
  Attribute,
  Float,
  Graph,
  Integer,
  Mend,
  NewConstant,
  NewNode,
  Node,
} from "../checkpoints/graphs/graph.js";
import type { Model } from "./model.js";
import { Names } from "./names.js";

/** Versions between which this table tells of all changes. */
const FIRST = 7;
const LAST = 23;

/** What a node becomes. */
interface Converted {
  readonly nodes: readonly NewNode[];
  readonly constants: readonly NewConstant[];
}

/** A change of an operator. */
interface Change {
  /** The version that brought it. */
  readonly at: number;
  readonly why: string;
  /** Whether it matters to a node. Default: to each. */
  matters?(node: Node): boolean;
  /** The node in a version from there on; undefined where there is no telling. */
  convert?(conversion: Conversion): Converted | undefined;
}

/** A node that is converted, and what for it is made with. */
class Conversion {
  readonly #constants: NewConstant[] = [];
  readonly #before: NewNode[] = [];

  constructor(
    readonly node: Node,
    readonly graph: Graph,
    readonly to: number,
    /** A name that nothing has, like the one given. */
    readonly unused: (name: string) => string,
  ) {}

  /** An attribute's number or list of numbers; undefined where it is absent. */
  numbers(name: string): readonly number[] | undefined {
    const value = this.node.attributes.get(name)?.value;
    if (typeof value === "number") return [value];
    return Array.isArray(value) ? (value as number[]) : undefined;
  }

  text(name: string): string | undefined {
    const value = this.node.attributes.get(name)?.value;
    return typeof value === "string" ? value : undefined;
  }

  /** A constant of the node's own. @returns its name */
  constant(
    name: string,
    dtype: NewConstant["dtype"],
    values: readonly number[],
    shape = [values.length],
  ): string {
    const called = this.unused(name);
    this.#constants.push({ name: called, dtype, shape, values });
    return called;
  }

  integers(name: string, attribute = name): string {
    return this.constant(name, "int64", this.numbers(attribute) ?? []);
  }

  /** A scalar of the type that a value has. @returns its name; undefined where that type is not known, and cannot be taken over */
  scalarLike(value: string, name: string, number: number): string | undefined {
    const dtype = typeOf(this.graph, value);
    const known = (["float32", "float16", "float64", "bfloat16", "int64", "int32"] as const).find(
      (one) => one === dtype,
    );
    if (known) return this.constant(name, known, [number], []);
    if (this.to < 15) return undefined;
    const plain = this.constant(`${name}/float`, "float32", [number], []);
    return this.step("CastLike", name, [plain, value]);
  }

  /** A node before the last. @returns its output */
  step(
    operator: string,
    name: string,
    inputs: readonly string[],
    attributes: NewNode["attributes"] = {},
  ): string {
    const output = this.unused(name);
    this.#before.push({ name: output, operator, domain: "", inputs, outputs: [output], attributes });
    return output;
  }

  /** The node itself, with other inputs, and with attributes changed; those that are `undefined` go. */
  done(
    inputs: readonly string[],
    attributes: Readonly<Record<string, Integer | Float | string | undefined>> = {},
    operator = this.node.operator,
  ): Converted {
    const own = [...this.node.attributes].map(([name, { value }]) => [name, written(name, value)] as const);
    const all = Object.entries({ ...Object.fromEntries(own), ...attributes });
    // optional inputs at the end are not there
    let count = inputs.length;
    while (count > 0 && inputs[count - 1] === "") count--;
    const last: NewNode = {
      name: this.node.name,
      operator,
      domain: "",
      inputs: inputs.slice(0, count),
      outputs: this.node.outputs,
      attributes: Object.fromEntries(
        all.filter((one): one is [string, NewNode["attributes"][string]] => one[1] !== undefined),
      ),
    };
    return { nodes: [...this.#before, last], constants: this.#constants };
  }
}

/** Attributes of the operators below that are floats; the other numbers are integers. */
const FLOATS = new Set(["min", "max", "value", "ratio", "scales", "spatial_scale", "epsilon", "momentum"]);

function written(name: string, value: Attribute["value"]): Integer | Float | string | undefined {
  if (typeof value === "string") return value;
  if (typeof value !== "number" && !Array.isArray(value)) return undefined;
  const numbers = value as number | readonly number[];
  return FLOATS.has(name) ? { float: numbers } : { integer: numbers };
}

function typeOf(graph: Graph, name: string): string | undefined {
  for (let one: Graph | undefined = graph; one; one = one.around) {
    const { values, constants, inputs, outputs } = one;
    const found =
      constants.get(name) ?? values.get(name) ?? [...inputs, ...outputs].find((value) => value.name === name);
    if (found) return found.dtype;
  }
  return undefined;
}

const has = (name: string) => (node: Node) => node.attributes.has(name);
const isOn = (name: string) => (node: Node) => (node.attributes.get(name)?.value ?? 0) !== 0;
const isOneOf = (name: string, texts: readonly string[]) => (node: Node) =>
  texts.includes(String(node.attributes.get(name)?.value));

const axesAsInput = (at: number): Change => ({
  at,
  why: "its axes are an input",
  matters: has("axes"),
  convert: (made) => made.done([made.node.inputs[0], made.integers("axes")], { axes: undefined }),
});

/** Along an axis; before, over all axes from there on. */
const oneAxis: Change = {
  at: 13,
  why: "it is along one axis, and was over all from there on",
  matters: ({ attributes }) => attributes.get("axis")?.value !== -1,
  convert(made) {
    const [x] = made.node.inputs;
    const [axis = 1] = made.numbers("axis") ?? [];
    const shape = made.step("Shape", "shape", [x]);
    const flat = made.step("Flatten", "flat", [x], { axis: { integer: axis } });
    const y = made.step(made.node.operator, "along", [flat], { axis: { integer: -1 } });
    const empty = made.to < 14 ? undefined : { integer: 1 };
    return made.done([y, shape], { axis: undefined, allowzero: empty }, "Reshape");
  },
};

const ceiled = (at: number): Change => ({
  at,
  why: "windows that begin in the padding after the end are left out",
  matters: isOn("ceil_mode"),
});

/** Upsample, and Resize of version 10, in the terms of Resize. */
function resized(made: Conversion): Converted | undefined {
  const { node, to } = made;
  const [x, given] = node.inputs;
  const scales = given ?? made.constant("scales", "float32", made.numbers("scales") ?? []);
  if (to < 10) return made.done([x, scales], { scales: undefined });
  if (to < 11) return made.done([x, scales], { scales: undefined }, "Resize");
  const roi = to < 13 ? made.constant("roi", "float32", []) : "";
  const exact = { coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" };
  return made.done([x, roi, scales], { scales: undefined, ...exact }, "Resize");
}

/** GroupNormalization with the scale and bias of each group repeated for its channels. */
function perChannel(made: Conversion): Converted | undefined {
  const [x, ...affine] = made.node.inputs;
  const [groups] = made.numbers("num_groups") ?? [];
  if (groups === undefined) return undefined;
  const count = made.constant("groups", "int64", [groups]);
  const channels = made.step("Shape", "channels", [x], { start: { integer: 1 }, end: { integer: 2 } });
  const each = made.step("Div", "channels_each", [channels, count]);
  const shape = made.step("Concat", "repeated", [count, each], { axis: { integer: 0 } });
  const column = made.constant("column", "int64", [groups, 1]);
  const flat = made.constant("flat", "int64", [-1]);
  const repeated = affine.map((name, i) => {
    const of = i === 0 ? "scale" : "bias";
    const standing = made.step("Reshape", `${of}/column`, [name, column]);
    const all = made.step("Expand", `${of}/repeated`, [standing, shape]);
    return made.step("Reshape", of, [all, flat]);
  });
  return made.done([x, ...repeated]);
}

const REDUCTIONS = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare"];

const CHANGES: ReadonlyMap<string, readonly Change[]> = new Map<string, readonly Change[]>([
  ...REDUCTIONS.map((one) => [`Reduce${one}`, [axesAsInput(18)]] as const),
  ["ReduceSum", [axesAsInput(13)]],
  ["Squeeze", [axesAsInput(13)]],
  ["Unsqueeze", [axesAsInput(13)]],
  ["Softmax", [oneAxis]],
  ["LogSoftmax", [oneAxis]],
  // along the flattened axes it is another one that is largest
  ["Hardmax", [oneAxis]],
  [
    "Split",
    [
      {
        at: 13,
        why: "its lengths are an input",
        matters: has("split"),
        convert: (made) => made.done([made.node.inputs[0], made.integers("split")], { split: undefined }),
      },
      {
        at: 18,
        why: "it says how many parts it gives",
        matters: ({ inputs, attributes }) =>
          !inputs[1] && !attributes.has("split") && !attributes.has("num_outputs"),
        convert: (made) =>
          made.done(made.node.inputs, { num_outputs: { integer: made.node.outputs.length } }),
      },
    ],
  ],
  [
    "Clip",
    [
      {
        at: 11,
        why: "its bounds are inputs",
        matters: ({ attributes }) => attributes.has("min") || attributes.has("max"),
        convert(made) {
          const [x] = made.node.inputs;
          const [min, max] = ["min", "max"].map((name) => {
            const [bound] = made.numbers(name) ?? [];
            return bound === undefined ? "" : made.scalarLike(x, name, bound);
          });
          if (min === undefined || max === undefined) return undefined;
          return made.done([x, min, max], { min: undefined, max: undefined });
        },
      },
    ],
  ],
  [
    "Pad",
    [
      {
        at: 11,
        why: "its lengths are an input",
        matters: has("pads"),
        convert(made) {
          const [x] = made.node.inputs;
          const [value = 0] = made.numbers("value") ?? [];
          const filled = value === 0 ? "" : made.scalarLike(x, "value", value);
          if (filled === undefined) return undefined;
          return made.done([x, made.integers("pads"), filled], { pads: undefined, value: undefined });
        },
      },
    ],
  ],
  [
    "Slice",
    [
      {
        at: 10,
        why: "its bounds are inputs",
        matters: has("starts"),
        convert(made) {
          const axes = made.node.attributes.has("axes") ? made.integers("axes") : "";
          const inputs = [made.node.inputs[0], made.integers("starts"), made.integers("ends"), axes];
          return made.done(inputs, { starts: undefined, ends: undefined, axes: undefined });
        },
      },
    ],
  ],
  [
    "TopK",
    [
      {
        at: 10,
        why: "k is an input",
        matters: has("k"),
        convert: (made) => made.done([made.node.inputs[0], made.integers("k")], { k: undefined }),
      },
    ],
  ],
  [
    "Dropout",
    [
      { at: 10, why: "its mask is of another type", matters: ({ outputs }) => Boolean(outputs[1]) },
      {
        at: 12,
        why: "its ratio is an input",
        matters: has("ratio"),
        convert: (made) =>
          made.done(
            [made.node.inputs[0], made.constant("ratio", "float32", made.numbers("ratio") ?? [], [])],
            {
              ratio: undefined,
            },
          ),
      },
    ],
  ],
  [
    "Upsample",
    [
      { at: 9, why: "its scales are an input", matters: has("scales"), convert: resized },
      { at: 10, why: "it is Resize", convert: resized },
    ],
  ],
  [
    "Resize",
    [
      {
        at: 11,
        why: "coordinates are computed in another way",
        // nearest ones were rounded by whether the scale is below 1
        convert: (made) => (made.text("mode") === "linear" ? resized(made) : undefined),
      },
      {
        at: 13,
        why: "it has no tf_half_pixel_for_nn",
        matters: isOneOf("coordinate_transformation_mode", ["tf_half_pixel_for_nn"]),
      },
    ],
  ],
  [
    "Scatter",
    [
      {
        at: 11,
        why: "it is ScatterElements",
        convert: (made) => made.done(made.node.inputs, {}, "ScatterElements"),
      },
    ],
  ],
  [
    "ConvTranspose",
    [
      {
        at: 11,
        why: "odd padding is on the other side",
        matters: ({ attributes }) =>
          attributes.has("output_shape") || /^SAME/.test(String(attributes.get("auto_pad")?.value)),
      },
    ],
  ],
  [
    "BatchNormalization",
    [
      {
        at: 9,
        why: "statistics are of channels alone",
        matters: has("spatial"),
        convert: (made) =>
          made.numbers("spatial")?.[0] === 1
            ? made.done(made.node.inputs, { spatial: undefined })
            : undefined,
      },
      {
        at: 14,
        why: "it says whether it trains, and gives other statistics",
        matters: ({ outputs }) => outputs.slice(1).some((name) => name !== ""),
      },
    ],
  ],
  [
    "RoiAlign",
    [
      {
        at: 16,
        why: "coordinates are half a pixel apart by default",
        convert: (made) =>
          made.done(made.node.inputs, { coordinate_transformation_mode: "output_half_pixel" }),
      },
    ],
  ],
  [
    "DFT",
    [
      {
        at: 20,
        why: "its axis is an input",
        convert(made) {
          const [x, length = ""] = made.node.inputs;
          const axis = made.constant("axis", "int64", made.numbers("axis") ?? [1], []);
          return made.done([x, length, axis], { axis: undefined });
        },
      },
    ],
  ],
  [
    "GridSample",
    [
      {
        at: 20,
        why: "its modes have other names",
        matters: isOneOf("mode", ["bilinear", "bicubic"]),
        convert: (made) => made.done(made.node.inputs, { mode: made.text("mode")?.slice(2) }),
      },
    ],
  ],
  ["GroupNormalization", [{ at: 21, why: "its scale and bias are per channel", convert: perChannel }]],
  ["Scan", [{ at: 9, why: "it has no axis of the batch" }]],
  ["AveragePool", [ceiled(19), ceiled(22)]],
  ["MaxPool", [ceiled(22)]],
  ["LpPool", [ceiled(22)]],
]);

/** What is different of a node in a version. */
function changesOf(node: Node, to: number): readonly Change[] {
  if (node.domain !== "" || node.opset >= to) return [];
  if (node.opset < FIRST) return [{ at: FIRST, why: `versions before ${FIRST} are of another form` }];
  if (to > LAST) return [{ at: to, why: `versions after ${LAST} are not known` }];
  return (CHANGES.get(node.operator) ?? []).filter(
    ({ at, matters }) => node.opset < at && at <= to && (matters?.(node) ?? true),
  );
}

/** Why a node would mean something else in a version of its operators; undefined where it means the same. */
export function changedMeaning(node: Node, to: number): string | undefined {
  return changesOf(node, to)[0]?.why;
}

/** A node's conversion to a version; undefined where there is none. */
function converted(
  node: Node,
  graph: Graph,
  to: number,
  unused: (name: string) => string,
): Converted | undefined {
  const changes = changesOf(node, to);
  // of a call's attributes a function does not know the values
  const isKnown = [...node.attributes.values()].every(
    ({ reference, value }) => reference === "" && value !== undefined,
  );
  const convert = changes.at(-1)?.convert;
  if (!isKnown || convert === undefined || changes.some((change) => change.convert === undefined))
    return undefined;
  return convert(new Conversion(node, graph, to, unused));
}

/** Whether a model can be raised to a version of ONNX's operators, all its nodes meaning what they do; else which would not, and why. */
export function canRaise(model: Pick<Model, "graphs">, to: number): { possible: boolean; why?: string[] } {
  const why = new Set<string>();
  for (const graph of model.graphs) {
    for (const node of graph.nodes) {
      const reason = changedMeaning(node, to);
      if (reason !== undefined && converted(node, graph, to, (name) => name) === undefined) {
        why.add(`${node.operator} of ${node.opset}: ${reason}`);
      }
    }
  }
  return why.size === 0 ? { possible: true } : { possible: false, why: [...why] };
}

/**
 * Mends that give nodes the form that they have in a later version of ONNX's operators. Nodes that have none are left out.
 *
 * @param to of all graphs, or of each
 * @param stays of which nodes: by default all
 * @param names of what is put in
 */
export function raising(
  model: Pick<Model, "graphs">,
  to: number | ((graph: Graph) => number),
  stays: (node: Node, graph: Graph) => boolean = () => true,
  names = new Names(model.graphs),
): readonly Mend[] {
  const mends: Mend[] = [];
  for (const graph of model.graphs) {
    const version = typeof to === "number" ? to : to(graph);
    for (const node of graph.nodes) {
      if (changedMeaning(node, version) === undefined || !stays(node, graph)) continue;
      const [output = ""] = node.outputs;
      const made = converted(node, graph, version, (name) => names.fresh(`${output}/${name}`));
      if (made === undefined) continue;
      mends.push({
        title: `${node.operator} as operator set ${version} has it`,
        graph,
        replaces: [node],
        at: node,
        ...made,
        opsets: { "": version },
        outputs: node.outputs.filter((name) => name !== ""),
      });
    }
  }
  return mends;
}
