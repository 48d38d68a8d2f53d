/**
 * Models with mends, and with values as outputs that were none. All else stays byte for byte, in its place: fields that are not known,
 * metadata, quantization, training, and values in files beside the model, which it goes on reading.
 */
import {
  bytesField,
  type Field,
  integerField,
  textField,
  textIn,
} from "../checkpoints/encodings/protobuf.js";
import type { StoredGraph, StoredModel, StoredNode } from "../checkpoints/formats/onnx-graph.js";
import { messageIn } from "../checkpoints/formats/onnx-tensors.js";
import type { Graph, Mend, NewConstant, NewNode } from "../checkpoints/graphs/graph.js";
import { inOrder } from "../checkpoints/graphs/order.js";
import { readWithin } from "../checkpoints/graphs/values.js";
import type { Bytes } from "../checkpoints/source.js";
import { checkOptions } from "../options.js";
import { described, sizeOf } from "../shape.js";
import { type MendedGraph, mended } from "./mended.js";
import {
  constantNodeMessage,
  externalTensorMessage,
  irVersionOf,
  nodeMessage,
  opsetMessage,
  rawValues,
  tensorMessage,
  valueMessage,
} from "./messages.js";
import { type Model, storedModel } from "./model.js";
import { Names, unusedFile } from "./names.js";
import { changedMeaning, raising } from "./opsets.js";
import { type Edit, edited, lengthOf, nested, type Piece, type Written, type WrittenFile } from "./pieces.js";
import { writtenGraphModel } from "./write-graph-model.js";

export { bytesOfParts, type Piece, type Written, type WrittenFile } from "./pieces.js";

/** What a model is written with. */
export interface Changes {
  readonly mends?: readonly Mend[];
  /** Values of the model's own graph that become outputs of it, after its own. */
  readonly observe?: readonly string[];
  /** Of the file. Default: the model's own, without its folder. */
  readonly name?: string;
  /**
   * New constants of so many bytes go into a file of their own, `NAME.data`. Default: none, except in a model that would have more than
   * 2 GiB, which protocol buffers may not.
   */
  readonly externalFrom?: number;
}

/** What protocol buffers may have. */
const MOST_BYTES = 2 ** 31 - 1;
/** In a model that is too large, new constants from so many bytes lie beside it. */
const SMALL = 1024;
/** Values in other files begin at pages, so that they can be mapped into memory. */
const PAGE = 4096;

/**
 * Writes a model with its changes.
 *
 * @returns files by their parts, of which none is read yet: see `bytesOfParts`
 * @throws RangeError for mends that do not fit the model or each other, and where a version of operators that they need would change what
 * other nodes mean; TypeError for what is no model
 */
export async function written(model: Model, changes: Changes = {}): Promise<Written> {
  checkOptions("written", changes, ["mends", "observe", "name", "externalFrom"]);
  const { mends = [], observe = [] } = changes;
  for (const [key, value] of Object.entries({ mends, observe })) {
    if (!Array.isArray(value)) throw new TypeError(`written: ${key} must be a list, got ${described(value)}`);
  }
  const { externalFrom: from, name: own } = changes;
  if (own !== undefined && typeof own !== "string") {
    throw new TypeError(`written: name must be a text, got ${described(own)}`);
  }
  if (from !== undefined && !(typeof from === "number" && from >= 0)) {
    throw new RangeError(`written: externalFrom must be a number of bytes, got ${described(from)}`);
  }
  const stored = storedModel("written", model);
  const name = own ?? model.file.replace(/^.*[/\\]/s, "");
  if ("graphModel" in stored) return writtenGraphModel(stored.files, stored.graphModel, { ...changes, name });
  const { files, onnx } = stored;
  const opsets = needed(onnx, mends);
  const irVersion = Math.max(model.irVersion, irVersionOf(opsets.get(onnx.graph)?.get("") ?? 0));
  const observed = observe.filter((one) => !onnx.graph.outputs.some(({ name }) => name === one));
  const known = new Set(onnx.graph.nodes.flatMap(({ outputs }) => outputs));
  for (const one of observed) {
    if (known.has(one) || onnx.graph.constants.has(one) || onnx.graph.inputs.some(({ name }) => name === one))
      continue;
    throw new RangeError(
      `written: observe must name values of the model's own graph, got "${one}", which is none`,
    );
  }
  const kept = new Map<Graph, readonly string[]>(onnx.graphs.map((graph) => [graph, graph.alsoRead]));
  kept.set(onnx.graph, [...onnx.graph.alsoRead, ...observed]);
  const to = (graph: Graph) => opsets.get(outermost(graph))?.get("") ?? 0;
  const names = new Names(onnx.graphs, mends);
  const graphs = raised(onnx, mends, to, kept, names);
  checkMeaning(onnx, graphs, to);

  const isLarge = files.bytes.byteLength + bytesOfNew(mends) > MOST_BYTES;
  const externalFrom = from ?? (isLarge ? SMALL : Number.POSITIVE_INFINITY);
  const base = name.replace(/\.onnx$/, "").replace(/^.*[/\\]/s, "");
  const nameBeside = unusedFile(onnx.external.keys(), (i) =>
    i === 0 ? `${base}.data` : `${base}.${i}.data`,
  );
  const beside = new Beside(nameBeside, externalFrom);
  const versions = { before: model.irVersion, after: irVersion };
  const writer = new Writer(onnx, graphs, opsets, versions, beside, names);
  const isChanged = mends.length > 0 || observed.length > 0;
  const parts = (isChanged && (await writer.model(files.bytes, observed))) || [files.bytes];
  const dropped = { nodes: 0, constants: 0 };
  for (const graph of graphs.values()) {
    dropped.nodes += graph.removed.size;
    dropped.constants += graph.dropped.size;
  }
  const main = { name, parts, byteLength: lengthOf(parts) };
  return { files: beside.parts.length > 0 ? [main, beside.file()] : [main], dropped };
}

/** The model's own graph, or a function's, that a graph is in. */
function outermost(graph: Graph): Graph {
  return graph.around ? outermost(graph.around) : graph;
}

/** Versions of domains that are to be raised, or imported anew: of the model, and of each function. */
function needed(model: StoredModel, mends: readonly Mend[]): ReadonlyMap<Graph, ReadonlyMap<string, number>> {
  const { graph: main, graphs } = model;
  const needs = new Map(
    graphs.filter(({ around }) => !around).map((graph) => [graph as Graph, new Map<string, number>()]),
  );
  const need = (graph: StoredGraph, domain: string, version: number): void => {
    const own = needs.get(graph) as Map<string, number>;
    if (version > (own.get(domain) ?? graph.opsets.get(domain) ?? 0)) own.set(domain, version);
  };
  for (const mend of mends) {
    const graph = graphs.find((one) => one === outermost(mend.graph));
    for (const [domain, version] of graph ? Object.entries(mend.opsets) : []) {
      need(main, domain, version);
      need(graph as StoredGraph, domain, version);
    }
  }
  // the operators of a function are to be those of the model
  for (const graph of graphs) {
    for (const [domain, version] of needs.get(main) ?? []) {
      if (graph.isFunction && graph.opsets.has(domain)) need(graph, domain, version);
    }
  }
  return needs;
}

/** A model after its mends, and with the nodes that stay in the form that they have in the version which mends need. */
function raised(
  model: StoredModel,
  mends: readonly Mend[],
  to: (graph: Graph) => number,
  kept: ReadonlyMap<Graph, readonly string[]>,
  names: Names,
): ReadonlyMap<Graph, MendedGraph> {
  const graphs = mended("written", model.graphs, mends, kept);
  const conversions = raising(model, to, (node, graph) => !graphs.get(graph)?.removed.has(node), names);
  if (conversions.length === 0) return graphs;
  // of nodes that are replaced, those that others go on reading are converted
  const taken = new Set(conversions.flatMap(({ replaces }) => replaces));
  const others = mends.map((mend) => ({
    ...mend,
    replaces: mend.replaces.filter((node) => !taken.has(node)),
  }));
  return mended("written", model.graphs, [...others, ...conversions], kept);
}

/** @throws RangeError where a node that stays would mean something else */
function checkMeaning(
  model: StoredModel,
  graphs: ReadonlyMap<Graph, MendedGraph>,
  to: (graph: Graph) => number,
): void {
  for (const graph of model.graphs) {
    for (const node of graph.nodes) {
      if (graphs.get(graph)?.removed.has(node)) continue;
      const why = changedMeaning(node, to(graph));
      if (why === undefined) continue;
      throw new RangeError(
        `written: in operator set ${to(graph)}, which mends need, ${node.operator} "${node.name || node.outputs[0]}" of ${node.opset} would ` +
          `mean something else (${why}), and there is no other form of it; leave out the mends that need it: see canRaise`,
      );
    }
  }
}

function bytesOfNew(mends: readonly Mend[]): number {
  return mends.reduce(
    (sum, { constants }) => constants.reduce((all, { shape }) => all + 8 * sizeOf(shape), sum),
    0,
  );
}

/** The file for new constants that are too large for the model. */
class Beside {
  readonly parts: Uint8Array[] = [];
  #at = 0;

  constructor(
    readonly name: string,
    readonly from: number,
  ) {}

  /** TensorProto, its values here or in it. */
  tensor(constant: NewConstant): Uint8Array {
    const values = rawValues("written", constant);
    if (values.length < this.from) return tensorMessage("written", constant);
    const gap = (PAGE - (this.#at % PAGE)) % PAGE;
    if (gap > 0) this.parts.push(new Uint8Array(gap));
    const offset = this.#at + gap;
    this.parts.push(values);
    this.#at = offset + values.length;
    return externalTensorMessage(constant, { location: this.name, offset, length: values.length });
  }

  file(): WrittenFile {
    return { name: this.name, parts: this.parts, byteLength: this.#at };
  }
}

/** Messages of a model, with what changes in them. */
class Writer {
  /** Graphs that change, and those around them. */
  readonly #touched = new Set<Graph>();
  /** By where they begin in the file. */
  readonly #at = new Map<number | undefined, StoredGraph>();

  constructor(
    readonly stored: StoredModel,
    readonly graphs: ReadonlyMap<Graph, MendedGraph>,
    readonly opsets: ReadonlyMap<Graph, ReadonlyMap<string, number>>,
    readonly irVersion: { readonly before: number; readonly after: number },
    readonly beside: Beside,
    readonly names: Names,
  ) {
    for (const graph of stored.graphs) {
      this.#at.set(graph.message.offset, graph);
      const { removed, added, constants, dropped } = graphs.get(graph) as MendedGraph;
      const isTouched = removed.size + added.size + constants.length + dropped.size > 0;
      for (let one: StoredGraph | undefined = isTouched ? graph : undefined; one; one = one.around) {
        this.#touched.add(one);
      }
    }
  }

  /** ModelProto. */
  async model(bytes: Bytes, observed: readonly string[]): Promise<readonly Piece[] | undefined> {
    const { before, after } = this.irVersion;
    const imports = this.#imports(this.stored.graph);
    return edited(
      bytes,
      async (field, whole) => {
        if (field.number === 1 && before !== after) return [integerField(1, after)];
        if (field.number === 8) return imports.edit(field, whole);
        const graph = this.#at.get(field.bytes.offset);
        if (field.number === 7 && graph === this.stored.graph) {
          return nested(7, await this.#graph(graph, observed));
        }
        if (field.number === 25 && graph?.isFunction) return nested(25, await this.#function(graph));
        return undefined;
      },
      [
        ...imports.after.map((one) => bytesField(8, one)),
        ...(before === 0 && after > 0 ? [integerField(1, after)] : []),
      ],
    );
  }

  /** Imports of operator sets: those that are too low are raised, and those that are missing come after. */
  #imports(graph: StoredGraph): { edit: Edit; after: Uint8Array[] } {
    const versions = this.opsets.get(graph) ?? new Map<string, number>();
    const missing = [...versions].filter(([domain]) => !graph.opsets.has(domain));
    return {
      async edit(field) {
        const set = await messageIn(field.bytes);
        const name = await set.text(1);
        const version = versions.get(name === "ai.onnx" ? "" : name);
        if (version === undefined) return undefined;
        const without: Edit = ({ number }) => (number === 2 ? [] : undefined);
        return nested(field.number, await edited(field.bytes, without, [integerField(2, version)]));
      },
      after: missing.map(([domain, version]) => opsetMessage(domain, version)),
    };
  }

  /** GraphProto. */
  async #graph(graph: StoredGraph, observed: readonly string[] = []): Promise<readonly Piece[] | undefined> {
    const { constants, dropped, gone } = this.graphs.get(graph) as MendedGraph;
    const hasNodes = this.irVersion.after < 4;
    // until version 4 an initializer was an input too, and yet none that a caller could replace
    const isConstant = this.irVersion.before < 4 && !hasNodes;
    const initializers = new Set(graph.initializers.map(({ name }) => name));
    const added = hasNodes ? [] : constants.map((one) => bytesField(5, this.beside.tensor(one)));
    const outputs = observed.map((name) => {
      const { dtype } =
        graph.values.get(name) ??
        graph.inputs.find((one) => one.name === name) ??
        graph.constants.get(name) ??
        {};
      return bytesField(12, valueMessage({ name, dtype }));
    });
    const nodes = await this.#nodes(graph, 1, hasNodes ? constants : []);
    // sparse ones come after the others
    let dense = 0;
    let sparse = graph.initializers.filter(({ dtype }) => !dtype.startsWith("sparse ")).length;
    return edited(
      graph.message,
      async (field, whole) => {
        if (field.number === 1) return nodes(field, whole);
        if (field.number === 5) return dropped.has(graph.initializers[dense++].name) ? [] : undefined;
        if (field.number === 15) return dropped.has(graph.initializers[sparse++].name) ? [] : undefined;
        if (field.number !== 11 && field.number !== 13) return undefined;
        const name = await nameIn(field);
        if (field.number === 13) return gone.has(name) ? [] : undefined;
        return dropped.has(name) || (isConstant && initializers.has(name)) ? [] : undefined;
      },
      [...added, ...outputs],
    );
  }

  /** FunctionProto, which has no initializers. */
  async #function(graph: StoredGraph): Promise<readonly Piece[] | undefined> {
    const { constants, gone } = this.graphs.get(graph) as MendedGraph;
    const imports = this.#imports(graph);
    const nodes = await this.#nodes(graph, 7, constants);
    return edited(
      graph.message,
      async (field, whole) => {
        if (field.number === 7) return nodes(field, whole);
        if (field.number === 9) return imports.edit(field, whole);
        if (field.number === 12) return gone.has(await nameIn(field)) ? [] : undefined;
        return undefined;
      },
      imports.after.map((one) => bytesField(9, one)),
    );
  }

  /**
   * NodeProto, each in turn; where a mend stands before what it reads, or after what reads it, all of them where the first was.
   * @param constants that come as nodes, before all others
   */
  async #nodes(graph: StoredGraph, number: number, constants: readonly NewConstant[]): Promise<Edit> {
    const { removed, added } = this.graphs.get(graph) as MendedGraph;
    const inFile = [...graph.nodes].sort((a, b) => a.place - b.place);
    let slots: (readonly (StoredNode | NewNode)[])[] = inFile.map((node) => [
      ...(removed.has(node) ? [] : [node]),
      ...(added.get(node) ?? []),
    ]);
    const since = slots.flat();
    if (isInOrder(inFile) && !isInOrder(since)) {
      const ordered = inOrder(since, readBy);
      slots = slots.map((_, place) => (place === 0 ? ordered : []));
    }
    const fields = await wholeFields(graph.message, number);
    const first = constants.map((one) => bytesField(number, constantNodeMessage("written", one)));
    let place = 0;
    return async () => {
      const pieces: Piece[] = place === 0 ? [...first] : [];
      for (const node of slots[place++]) {
        if (isStored(node)) {
          const [{ bytes }, whole] = fields[node.place];
          pieces.push(...(nested(number, await this.#node(bytes, node, graph)) ?? [whole]));
        } else pieces.push(bytesField(number, nodeMessage(node)));
      }
      return pieces;
    };
  }

  /** A node that stays: with graphs in it that change, and other names of outputs that other nodes give now. */
  async #node(bytes: Bytes, node: StoredNode, graph: StoredGraph): Promise<readonly Piece[] | undefined> {
    const { regiven } = this.graphs.get(graph) as MendedGraph;
    const isRegiven = node.outputs.some((name) => regiven.has(name));
    const within = [...node.attributes.values()].flatMap(({ graphs }) => graphs);
    if (!isRegiven && !within.some((one) => this.#touched.has(one))) return undefined;
    return edited(bytes, async (field) => {
      if (field.number === 2) {
        const name = await textIn(field);
        return regiven.has(name) ? [textField(2, this.names.fresh(`${name}/before`))] : undefined;
      }
      if (field.number !== 5) return undefined;
      const attribute = await edited(field.bytes, async ({ number, bytes: inner }) => {
        const found = number === 6 || number === 11 ? this.#at.get(inner.offset) : undefined;
        return found && nested(number, await this.#graph(found));
      });
      return nested(5, attribute);
    });
  }
}

/** What a node reads, and graphs in it. */
const readBy = (node: StoredNode | NewNode): string[] => (isStored(node) ? readWithin(node) : []);

const isStored = (node: StoredNode | NewNode): node is StoredNode => node.attributes instanceof Map;

function isInOrder(nodes: readonly (StoredNode | NewNode)[]): boolean {
  return inOrder(nodes, readBy).every((node, i) => node === nodes[i]);
}

/** A message's fields of a number, each with what it is in whole. */
async function wholeFields(message: Bytes, number: number): Promise<[Field, Bytes][]> {
  const found: [Field, Bytes][] = [];
  await edited(message, (field, whole) => {
    if (field.number === number) found.push([field, whole]);
    return undefined;
  });
  return found;
}

/** Of ValueInfoProto. */
async function nameIn(field: Parameters<Edit>[0]): Promise<string> {
  return (await messageIn(field.bytes)).text(1);
}
