/** Random networks (test/support/random-graphs.ts) held to what must be found in them, and mended beside what they were. */
import { evaluated } from "../../src/checkpoints/graphs/evaluate.js";
import { find } from "../../src/checkpoints/graphs/find.js";
import type { Found, Parameter } from "../../src/checkpoints/graphs/found.js";
import type { Values64 } from "../../src/formula/eager.js";
import { type MendOptions, mendsOf } from "../../src/onnx/mends.js";
import { type Model, openModel } from "../../src/onnx/model.js";
import { written } from "../../src/onnx/write.js";
import { sizeOf } from "../../src/shape.js";
import { largest, normal, random } from "../support/numerics.js";
import { run } from "../support/onnx-models.js";
import { type RandomGraph, randomGraph, type Site } from "../support/random-graphs.js";
import { bytesIn } from "./support.js";

type Outputs = Record<string, ArrayLike<number>>;

/** What a number of networks came to. */
export interface Report {
  graphs: number;
  sites: number;
  alike: number;
  found: number;
  mends: number;
  /** Mended files that were run beside the network's own. */
  compared: number;
  /** Normalizations that were not found. */
  missed: number;
  /** Their seeds, by how they are written. */
  readonly ways: Map<string, number[]>;
  /** Networks that onnxruntime does not run as they are, by faults of its own. */
  readonly refused: string[];
  /** What must not be, with the seed. */
  readonly wrong: string[];
  /** Outputs that moved further, of networks in which a rounding of the input moves them as far. */
  sensitive: number;
  /** The largest difference of another float32 output, relative to the largest value. */
  worst: number;
}

export function emptyReport(): Report {
  return {
    ...{ graphs: 0, sites: 0, alike: 0, found: 0, mends: 0, compared: 0, sensitive: 0, worst: 0, missed: 0 },
    ways: new Map(),
    refused: [],
    wrong: [],
  };
}

/** A report in lines. */
export function told({ ways, wrong, refused, ...counts }: Report): string {
  const missed = [...ways].map(([way, seeds]) => `missed ${seeds.length}: ${way} (${seeds.slice(0, 8)})`);
  return [JSON.stringify(counts), ...missed, ...refused.map((one) => `refused: ${one}`), ...wrong].join("\n");
}

export const WAYS: readonly MendOptions[] = [
  {},
  { opset: 23 },
  { target: "onnxruntime" },
  { target: "onnxruntime", opset: 17 },
];

/** Of the largest value: float16 has 11 bits. */
const TOLERANCE = { float32: 1e-5, float16: 4e-3 };
/** Where E[x²] − E[x]² was, and what is exact is not known. */
const CANCELLING = 1e-2;

/** Generates a network, looks for its normalizations, mends it in these ways, and adds to the report. */
export async function check(seed: number, ways: readonly MendOptions[], report: Report): Promise<void> {
  const graph = randomGraph(seed);
  const wrong = (problem: string) =>
    report.wrong.push(`seed ${seed} (opset ${graph.opset}, ${graph.dtype}): ${problem}`);
  report.graphs++;
  let before: Outputs;
  try {
    before = await run(graph.bytes, graph.feeds);
  } catch (error) {
    report.refused.push(`seed ${seed}: ${(error as Error).message.slice(0, 200)}`);
    return;
  }
  const model = await openModel(graph.bytes);
  const norms = await found(model);
  report.found += norms.norms.length;
  for (const one of norms.norms) {
    // an operator of which no more is known
    if (one.shape.length === 0) continue;
    const off = await distance(one, graph);
    if (!(off < 1e-5)) wrong(`${described(one)} is not what the graph gives there, by ${off}`);
  }
  for (const site of graph.sites) compareSite(site, norms.norms, report, seed, wrong);
  if (norms.norms.length === 0 && norms.activations.length === 0) {
    const { files } = await written(model, { mends: await mendsOf(model, norms, {}) });
    const bytes = await bytesIn(files[0]);
    if (Buffer.compare(bytes, graph.bytes) !== 0) wrong("it is written otherwise though nothing is found");
    return;
  }
  const truth = await exact(model, graph);
  for (const way of ways)
    await mend(graph, { model, norms, before, truth }, way, report, (problem) =>
      wrong(`${JSON.stringify(way)}: ${problem}`),
    );
}

type FoundInModel = Awaited<ReturnType<typeof found>>;

async function found(model: Model) {
  const all = await Promise.all(model.graphs.map(find));
  return {
    norms: all.flatMap(({ norms }) => norms),
    activations: all.flatMap(({ activations }) => activations),
  };
}

const described = ({ norm, x, y, axes, epsilon }: Found): string =>
  `${norm} of ${x} over ${axes} with epsilon ${epsilon} as ${y}`;

/** What is found where a normalization is, and where none is. */
function compareSite(
  site: Site,
  norms: readonly Found[],
  report: Report,
  seed: number,
  wrong: (problem: string) => void,
): void {
  const here = norms.filter(({ nodes }) => {
    const within = nodes.filter(({ outputs }) => outputs.some((one) => site.values.has(one)));
    return 2 * within.length > nodes.length;
  });
  const { expected } = site;
  if (expected === undefined) {
    report.alike++;
    // what begins before is of something else, of which a mean may be 0; a distance over its length is that, and stays as it is
    const own = here.filter((one) => one.norm !== "unitNorm" && isWithin(one, site));
    for (const one of own) wrong(`"${site.way}" is taken for ${described(one)}`);
    return;
  }
  report.sites++;
  // a normalization that follows another in constants alone is its gamma and beta
  const isReached = norms.some(({ nodes }) =>
    nodes.some(({ outputs }) => outputs.some((one) => site.values.has(one))),
  );
  if (here.length === 0 && isReached) return;
  if (here.length === 0) {
    report.missed++;
    report.ways.set(site.way, [...(report.ways.get(site.way) ?? []), seed]);
    return;
  }
  if (here.length > 1) wrong(`"${site.way}" is found ${here.length} times: ${here.map(described)}`);
  const [one] = here;
  // x may be a multiple of another value, and then epsilon is too; and it may begin in another normalization
  const isItself = isWithin(one, site);
  if (isItself && !expected.norms.includes(one.norm)) wrong(`"${site.way}" is taken for ${described(one)}`);
  const isEpsilon =
    Math.abs(one.epsilon - expected.epsilon) <= 2e-2 * expected.epsilon &&
    one.epsilonAt === expected.epsilonAt;
  if (isItself && one.norm === expected.norms[0] && one.norm !== "weightNorm" && !isEpsilon)
    wrong(
      `"${site.way}" with epsilon ${expected.epsilon} ${expected.epsilonAt} is ${described(one)} ${one.epsilonAt}`,
    );
}

function isWithin({ nodes }: Found, { values }: Site): boolean {
  return nodes.every(({ outputs }) => outputs.every((name) => values.has(name)));
}

/** How far what is found is from what the graph gives of random x, of the size of its epsilon, in float64. */
async function distance(one: Found, { shapes, seed }: RandomGraph): Promise<number> {
  const constant = one.graph.constants.get(one.x);
  const shape = constant?.shape ?? shapes.get(one.x);
  if (shape === undefined) return Number.POSITIVE_INFINITY;
  let most = 0;
  for (const scale of [1, 3 * Math.sqrt(one.epsilon) || 1e-2, one.epsilon || 1]) {
    const x: Values64 = {
      shape,
      data: Float64Array.from(normal(sizeOf(shape), seed + 77, 0.2 * scale, scale)),
    };
    const given = new Map([[one.x, x]]);
    for (const parameter of [one.gamma, one.beta]) {
      const own = parameter?.values === undefined && parameter?.name ? shapes.get(parameter.name) : undefined;
      if (own && parameter?.name)
        given.set(parameter.name, { shape: own, data: Float64Array.from(normal(sizeOf(own), seed + 78)) });
    }
    const y = (await evaluated(one.graph, [one.y], { given })).get(one.y);
    const expected = normalized(one, x, given);
    // a shape may be that of a value before x
    if (y === undefined) return 0;
    if (y.data.length !== expected.length) return Number.POSITIVE_INFINITY;
    const scaleOf = largest(expected) || 1;
    for (const [i, value] of expected.entries()) {
      const off = Math.abs(y.data[i] - value) / scaleOf;
      most = off <= most ? most : Number.isNaN(off) ? Number.POSITIVE_INFINITY : off;
    }
  }
  return most;
}

/** What a find says of x, in float64. */
function normalized(
  one: Found,
  { shape, data }: Values64,
  given: ReadonlyMap<string, Values64>,
): Float64Array {
  const { norm, axes, channels = 1, groups = 1, epsilon, epsilonAt, order = [...shape.keys()] } = one;
  const places = Array.from(data, (_, i) => placeOf(i, shape));
  const keys = places.map((place) =>
    place
      .map((at, axis) => {
        if (!axes.includes(axis)) return at;
        return norm === "groupNorm" && axis === channels ? Math.floor(at / (shape[axis] / groups)) : -1;
      })
      .join(),
  );
  const totals = new Map<string, { count: number; sum: number; squares: number }>();
  const total = (key: string) => totals.get(key) ?? { count: 0, sum: 0, squares: 0 };
  for (const [i, key] of keys.entries()) {
    const { count, sum, squares } = total(key);
    totals.set(key, { count: count + 1, sum: sum + data[i], squares });
  }
  const isLength = norm === "unitNorm" || norm === "weightNorm";
  const isCentred = !isLength && norm !== "rmsNorm";
  const parameter = (which: Parameter | undefined, i: number, absent: number): number => {
    if (which === undefined) return absent;
    if (which.values)
      return (
        which.values[
          indexOf(
            which.axes.map((axis) => places[i][axis]),
            which.shape,
          )
        ] ?? which.values[0]
      );
    const value = given.get(which.name ?? "");
    if (value === undefined) return Number.NaN;
    const first = shape.length - value.shape.length;
    return value.data[
      indexOf(
        value.shape.map((length, axis) => (length === 1 ? 0 : places[i][first + axis])),
        value.shape,
      )
    ];
  };
  const meanOf = (i: number) => {
    const { count, sum } = total(keys[i]);
    return norm === "batchNorm" ? parameter(one.mean, i, 0) : isCentred ? sum / count : 0;
  };
  for (const [i, key] of keys.entries())
    totals.set(key, { ...total(key), squares: total(key).squares + (data[i] - meanOf(i)) ** 2 });
  const y = Array.from(data, (value, i) => {
    const { count, squares } = total(keys[i]);
    const variance =
      norm === "batchNorm" ? parameter(one.variance, i, 1) : isLength ? squares : squares / count;
    const root = Math.sqrt(epsilonAt === "inside" ? variance + epsilon : variance);
    const divisor =
      epsilonAt === "outside" ? root + epsilon : epsilonAt === "bound" ? Math.max(root, epsilon) : root;
    return ((value - meanOf(i)) / divisor) * parameter(one.gamma, i, 1) + parameter(one.beta, i, 0);
  });
  const ordered = new Float64Array(y.length);
  const after = order.map((axis) => shape[axis]);
  for (const [i, place] of places.entries())
    ordered[
      indexOf(
        order.map((axis) => place[axis]),
        after,
      )
    ] = y[i];
  return ordered;
}

function placeOf(index: number, shape: readonly number[]): number[] {
  const place: number[] = [];
  let rest = index;
  for (const length of shape.toReversed()) {
    place.unshift(rest % length);
    rest = Math.floor(rest / length);
  }
  return place;
}

function indexOf(place: readonly number[], shape: readonly number[]): number {
  return place.reduce((index, at, axis) => index * shape[axis] + at, 0);
}

/** Mends a network in one way, and holds what comes of it to what it was. */
async function mend(
  graph: RandomGraph,
  { model, norms, before, truth }: { model: Model; norms: FoundInModel; before: Outputs; truth: Outputs },
  way: MendOptions,
  report: Report,
  wrong: (problem: string) => void,
): Promise<void> {
  const mends = await mendsOf(model, norms, way);
  report.mends += mends.length;
  if (mends.length === 0) return;
  const { files } = await written(model, { mends });
  const bytes = await bytesIn(files[0]);
  let after: Outputs;
  try {
    after = await run(bytes, graph.feeds);
  } catch (error) {
    return wrong(
      `onnxruntime does not run the mended file (${mends.map(({ title }) => title)}): ${(error as Error).message}`,
    );
  }
  report.compared++;
  let shaken: Outputs | undefined;
  for (const [name, was] of Object.entries(before)) {
    // 0/0, of which runtimes make what they like
    if (Array.from(was).some(Number.isNaN)) continue;
    const exactly = truth[name];
    const off = differenceOf(after[name], was);
    const isLoose = exactly === undefined && norms.norms.some(({ cancels }) => cancels);
    if (off <= (isLoose ? CANCELLING : TOLERANCE[graph.dtype] * (exactly ? 1 : 2))) {
      if (graph.dtype === "float32" && !isLoose) report.worst = Math.max(report.worst, off);
      continue;
    }
    const [now, then] = exactly ? [differenceOf(after[name], exactly), differenceOf(was, exactly)] : [off, 0];
    if (now <= then) continue;
    // what the network makes of a rounding of its input
    shaken ??= await run(graph.bytes, roundedOnce(graph));
    const made = differenceOf(shaken[name], was);
    if (off <= 4 * made) {
      report.sensitive++;
      continue;
    }
    wrong(
      `${name} moves by ${off}, by a rounding of the input ${made}; from float64 by ${now}, before by ${then} (${mends.map(({ title }) => title)})`,
    );
  }
  const again = await openModel(bytes);
  const remaining = await found(again);
  const more = await mendsOf(again, remaining, way);
  // what was computed of a weight is a constant now, into which others are folded
  const isFolded = (title: string) => title.startsWith("batch normalization folded");
  const left = more.filter(({ title }) => !isFolded(title));
  if (left.length > 0)
    wrong(
      `mended once, there is more to mend: ${left.map(({ title }) => title)} after ${mends.map(({ title }) => title)}`,
    );
  const folded = (one: Found) => /^(batchNorm|weightNorm)$/.test(one.norm);
  const [those, these] = [norms.norms, remaining.norms].map(
    (all) => all.filter((one) => !folded(one)).length,
  );
  const isWeight = norms.norms.some(({ graph: own, x }) => own.constants.has(x));
  if (these !== those && !isWeight)
    wrong(`of ${those} normalizations ${these} are found after mending (${mends.map(({ title }) => title)})`);
}

/** The inputs, up or down by the last bit of their type. */
function roundedOnce({ feeds, dtype, seed }: RandomGraph): RandomGraph["feeds"] {
  const next = random(seed);
  const unit = dtype === "float16" ? 2 ** -10 : 2 ** -23;
  const moved = Object.entries(feeds).map(([name, { shape, data }]) => {
    return [name, { shape, data: data.map((value) => value * (1 + (next() < 0.5 ? -unit : unit))) }] as const;
  });
  return Object.fromEntries(moved);
}

/** In units of the largest value, or of 1: a sum of distances from the mean is what rounding leaves; NaN in both is the same. */
function differenceOf(actual: ArrayLike<number> | undefined, expected: ArrayLike<number>): number {
  if (actual?.length !== expected.length) return Number.POSITIVE_INFINITY;
  const most = Math.max(largest(expected), 1);
  let difference = 0;
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i])) continue;
    const one = Math.abs(actual[i] - expected[i]) / most;
    difference = one <= difference ? difference : Number.isNaN(one) ? Number.POSITIVE_INFINITY : one;
  }
  return difference;
}

async function exact({ graph }: Model, { feeds }: RandomGraph): Promise<Outputs> {
  const given = new Map(
    Object.entries(feeds).map(([name, { shape, data }]) => [name, { shape, data: Float64Array.from(data) }]),
  );
  const names = graph.outputs.map(({ name }) => name);
  return Object.fromEntries(
    [...(await evaluated(graph, names, { given }))].map(([name, { data }]) => [name, data]),
  );
}
