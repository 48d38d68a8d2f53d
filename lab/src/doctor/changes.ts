/** Mends as changes that can be checked: what each reads and gives, and what it is to give in float64. */
import { evaluated, type Graph, type Mend, type Model, type Node, openModel, partOf } from "evenkeel/onnx";
import type { Change } from "./check.js";
import { errorOf } from "./differences.js";
import type { TensorData } from "./runtime.js";

/** A mend, as it is checked. */
export interface MendChange extends Change {
  readonly mend: Mend;
}

/** Products that one region takes in float64 at most: about a second. */
const MOST_PRODUCTS = 1e8;

/** One for each mend. Those within branches, loops and functions cannot be observed. */
export function changesOf(model: Model, mends: readonly Mend[]): MendChange[] {
  return mends.map((mend): MendChange => {
    const { graph, replaces, outputs, nodes } = mend;
    const own = new Set(mend.constants.map(({ name }) => name));
    const reads = [...new Set([...readBy(replaces), ...readBy(nodes)])].filter(
      (name) => !own.has(name) && !isConstant(graph, name),
    );
    let part: Promise<Regions | undefined> | undefined;
    return {
      mend,
      ...(graph === model.graph && { reads }),
      gives: outputs,
      async truth(values) {
        if (costOf(mend, values) > MOST_PRODUCTS) return undefined;
        return valuesOf(graph, outputs, given(values));
      },
      async narrowly(values) {
        if (costOf(mend, values) > MOST_PRODUCTS) return undefined;
        part ??= regionsOf(model, mend);
        const regions = await part;
        if (regions === undefined) return undefined;
        const of = given(values);
        const right = await valuesOf(regions.before, outputs, of);
        const [before, after] = await Promise.all(
          [regions.before, regions.after].map((region) => valuesOf(region, outputs, of, true)),
        );
        if (right === undefined || before === undefined || after === undefined) return undefined;
        const distance = (from: ReadonlyMap<string, Float64Array>) =>
          Math.max(...outputs.map((name) => errorOf(from.get(name) ?? [], right.get(name) ?? [])));
        return { before: distance(before), after: distance(after) };
      },
    };
  });
}

/** What a mend replaces, and what it puts in its place, as graphs of their own. */
interface Regions {
  readonly before: Graph;
  readonly after: Graph;
}

/** Of a mend whose values are of 16 bits. */
async function regionsOf(model: Model, mend: Mend): Promise<Regions | undefined> {
  const part = await partOf(model, mend);
  if (!part?.inputs.some(({ dtype }) => dtype === "float16" || dtype === "bfloat16")) return undefined;
  const [before, after] = await Promise.all([openModel(part.before), openModel(part.after)]);
  return { before: before.graph, after: after.graph };
}

const given = (values: ReadonlyMap<string, TensorData>) =>
  new Map(
    [...values].map(([name, { shape, values: of }]) => [
      name,
      { shape, data: Float64Array.from(of as ArrayLike<number | bigint>, Number) },
    ]),
  );

/** Values of a graph; undefined where one cannot be computed. */
async function valuesOf(
  graph: Graph,
  names: readonly string[],
  of: ReturnType<typeof given>,
  rounded = false,
): Promise<ReadonlyMap<string, Float64Array> | undefined> {
  const found = await evaluated(graph, names, { given: of, rounded });
  const data = new Map([...found].map(([name, value]) => [name, value.data]));
  return names.every((name) => data.has(name)) ? data : undefined;
}

/** Values that come from without. */
function readBy(nodes: readonly Pick<Node, "inputs" | "outputs">[]): string[] {
  const own = new Set(nodes.flatMap(({ outputs }) => outputs));
  const read = nodes.flatMap(({ inputs }) => inputs).filter((name) => name !== "" && !own.has(name));
  return [...new Set(read)];
}

function isConstant(graph: Graph, name: string): boolean {
  for (let one: Graph | undefined = graph; one; one = one.around) if (one.constants.has(name)) return true;
  return false;
}

/** At least as many products as the region takes: of a convolution, each value with all that is learned for a channel. */
function costOf({ graph, replaces }: Mend, values: ReadonlyMap<string, TensorData>): number {
  const most = Math.max(1, ...[...values.values()].map(({ values: { length } }) => length));
  const learned = replaces
    .filter(({ operator }) => /^(Conv|ConvTranspose|Gemm|MatMul)$/.test(operator))
    .flatMap(({ inputs }) => inputs)
    .map((name) => graph.constants.get(name)?.shape ?? [])
    .map((shape) => (shape.length < 2 ? 1 : shape.slice(1).reduce((product, length) => product * length, 1)));
  return most * Math.max(1, ...learned) * replaces.length;
}
