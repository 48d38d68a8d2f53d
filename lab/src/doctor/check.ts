/**
 * Whether a mended network is as good as it was: both are run on the same inputs, and what moves beyond its tolerance must be nearer to
 * float64 than before, or is taken back.
 */
import { quantile } from "@evenkeel/report/statistics";
import { type Difference, differencesOf, errorOf, toleranceOf } from "./differences.js";
import { type Sample, stepOf } from "./inputs.js";
import {
  type ModelFile,
  type Runtime,
  RuntimeError,
  type Session,
  type TensorData,
  type Tensors,
} from "./runtime.js";

/** A change of a network that can be left out. */
export interface Change {
  /** Values from which it is computed, as far as they can be observed in both networks; undefined where they cannot. */
  readonly reads?: readonly string[];
  /** What it computes anew. */
  readonly gives: readonly string[];
  /** Values that it gives, in float64, of those that it reads; undefined where they cannot be computed. */
  truth(reads: ReadonlyMap<string, TensorData>): Promise<ReadonlyMap<string, ArrayLike<number>> | undefined>;
  /**
   * How near both are where every value is rounded to its type, as on a machine that computes in float16; undefined where that is what
   * runtimes do anyway, or cannot be computed.
   */
  narrowly?(reads: ReadonlyMap<string, TensorData>): Promise<Distances | undefined>;
}

/** From float64, relative to the largest value; before a change, and with it. */
export interface Distances {
  readonly before: number;
  readonly after: number;
}

/** How near to float64 a change is on one sample. */
export interface Nearness extends Distances {
  /** The same where every value is rounded to its type. */
  readonly narrowly?: Distances;
  /** What float64 itself is off by where each value that is read is rounded once more: nothing is expected to be nearer. */
  readonly floor: number;
}

/** Outputs of one sample. */
export interface Compared {
  readonly sample: Sample;
  readonly differences: readonly Difference[];
  /** Whether one is beyond its tolerance. */
  readonly moved: boolean;
}

export interface Checked<C> {
  /** Those that stay. */
  readonly kept: readonly C[];
  readonly takenBack: readonly { change: C; why: string }[];
  /** Of the network with those that stay. */
  readonly compared: readonly Compared[];
  /** The worst of all samples that were looked at, by change. */
  readonly nearness: ReadonlyMap<C, Nearness>;
  readonly speed?: Speed;
}

/** ms of the quickest of so many runs on the first sample, of both in turns: what else the machine does slows only some. */
export interface Speed {
  readonly before: number;
  readonly after: number;
  readonly runs: number;
  /** Slower where not one run is as quick as half of those before, faster likewise: else runs tell no difference. */
  readonly verdict: "slower" | "faster" | "same";
}

export interface Checking<C extends Change> {
  readonly runtime: Runtime;
  readonly changes: readonly C[];
  /** The first is of ordinary values. */
  readonly samples: readonly Sample[];
  /** The network with these changes, which gives these values as outputs too. */
  write(changes: readonly C[], observe?: readonly string[]): Promise<readonly ModelFile[]>;
  /** Of float outputs, instead of what their type allows. */
  readonly tolerance?: number;
  /** Bytes of observed values that may be held at a time. */
  readonly memory?: number;
  /** Whether both are timed too. Default true. */
  readonly timed?: boolean;
  /** Told of what is done next. */
  progress?(text: string): void;
}

/** So many times what one rounding makes, of what is read or of what comes of it, a change may be off: it rounds in another order. */
const ROUNDING = 8;
/** By how much a distance is larger that is not by chance. */
const FARTHER = 1.5;
const MEMORY = 2 ** 26;
/** Turns in which both are timed, and ms that a turn is to take. */
const TURNS = 11;
const TURN = 60;
/** Turns of one run each, and ms that they are to take. */
const MOST_TURNS = 33;
const BUDGET = 1500;

/**
 * Checks the changes against the network without them.
 * @throws RuntimeError where that one itself cannot be run
 */
export async function checked<C extends Change>(checking: Checking<C>): Promise<Checked<C>> {
  const { runtime, samples, write, progress } = checking;
  let kept = [...checking.changes];
  const takenBack: { change: C; why: string }[] = [];
  const drop = (changes: readonly C[], why: string) => {
    kept = kept.filter((change) => !changes.includes(change));
    takenBack.push(...changes.map((change) => ({ change, why })));
  };
  const nearness = new Map<C, Nearness>();
  const before = await runtime.open(await write([]));
  try {
    for (;;) {
      progress?.("comparing outputs");
      const attempt = await compareWith(checking, before, kept);
      if (attempt instanceof RuntimeError) {
        if (kept.length === 0) throw attempt;
        const opens = async (some: readonly C[]) =>
          !((await compareWith(checking, before, some, samples.slice(0, 1))) instanceof RuntimeError);
        const refused = kept.length === 1 ? kept : await culpritsAmong(kept, opens);
        // on another sample than the first
        drop(refused.length > 0 ? refused : kept, `${runtime.name} does not run it: ${attempt.message}`);
        continue;
      }
      const moved = attempt.filter((each) => each.moved);
      // what is nearer to float64 is told of the ordinary inputs too
      const looked = attempt.filter(({ moved }, at) => moved || at === 0);
      progress?.("comparing with float64");
      const near = await nearnessOf(
        checking,
        kept,
        looked.map(({ sample }) => sample),
      );
      for (const [change, each] of near) nearness.set(change, each);
      if (moved.length > 0) {
        const worse = kept.filter((change) => isFarther(near.get(change), stepOfOutput(attempt)));
        if (worse.length > 0) {
          drop(worse, "it is farther from float64 than before, and moves an output");
          continue;
        }
        const suspects = await unknownCulprits(
          checking,
          before,
          kept,
          near,
          moved.map(({ sample }) => sample),
        );
        if (suspects.length > 0) {
          drop(suspects, "it moves an output, and cannot be compared with float64");
          continue;
        }
      }
      const isTimed = kept.length > 0 && checking.timed !== false;
      const speed = isTimed ? await speedOf(checking, before, kept) : undefined;
      return { kept, takenBack, compared: attempt, nearness, ...(speed && { speed }) };
    }
  } finally {
    await before.close();
  }
}

/** Of the changes that cannot be compared with float64, those that move an output which the others leave where it is. */
async function unknownCulprits<C extends Change>(
  checking: Checking<C>,
  before: Session,
  kept: readonly C[],
  near: ReadonlyMap<C, Nearness>,
  samples: readonly Sample[],
): Promise<C[]> {
  const unknown = kept.filter((change) => !near.has(change));
  const known = kept.filter((change) => near.has(change));
  const tolerances = async (some: readonly C[]) => {
    const found = await compareWith(checking, before, [...known, ...some], samples);
    return found instanceof RuntimeError ? Number.POSITIVE_INFINITY : movedBy(checking, found);
  };
  if (unknown.length === 0) return [];
  // what the known ones make is explained; later ones may make as much of it again
  const most = Math.max(1, 2 * (await tolerances([])));
  return culpritsAmong(unknown, async (some) => (await tolerances(some)) <= most);
}

/** How far the farthest output is moved, in its tolerance. */
const movedBy = <C extends Change>({ tolerance }: Checking<C>, compared: readonly Compared[]): number =>
  Math.max(
    0,
    ...compared.flatMap(({ differences }) =>
      differences.map(({ dtype, difference }) =>
        difference === 0 ? 0 : difference / Math.max(toleranceOf(dtype, tolerance), Number.MIN_VALUE),
      ),
    ),
  );

const stepOfOutput = (compared: readonly Compared[]): number =>
  Math.max(...compared.flatMap(({ differences }) => differences.map(({ dtype }) => stepOf(dtype))));

/** Whether a change is farther from float64 by more than rounding makes. */
const isFarther = (near: Nearness | undefined, step: number): boolean =>
  near !== undefined && near.after > Math.max(FARTHER * near.before, ROUNDING * near.floor, ROUNDING * step);

/** Both networks on each sample; the error with which the second could not be run. */
async function compareWith<C extends Change>(
  { runtime, samples, write, tolerance }: Checking<C>,
  before: Session,
  changes: readonly C[],
  some: readonly Sample[] = samples,
): Promise<Compared[] | RuntimeError> {
  const compared: Compared[] = [];
  let after: Session | undefined;
  try {
    after = await runtime.open(await write(changes));
  } catch (error) {
    if (error instanceof RuntimeError) return error;
    throw error;
  }
  try {
    for (const sample of some) {
      const was = await before.run(sample.feeds);
      let is: Tensors;
      try {
        is = await after.run(sample.feeds);
      } catch (error) {
        if (error instanceof RuntimeError) return error;
        throw error;
      }
      const differences = differencesOf(was, is);
      const moved = differences.some(({ dtype, difference }) => difference > toleranceOf(dtype, tolerance));
      compared.push({ sample, differences, moved });
    }
  } finally {
    await after.close();
  }
  return compared;
}

/** Those without which `isGood` holds, found by halves; none depends on another. */
export async function culpritsAmong<C>(
  all: readonly C[],
  isGood: (some: readonly C[]) => Promise<boolean>,
): Promise<C[]> {
  const good: C[] = [];
  const bad: C[] = [];
  const sift = async (group: readonly C[]): Promise<void> => {
    if (group.length === 0) return;
    if (await isGood([...good, ...group])) {
      good.push(...group);
    } else if (group.length === 1) {
      bad.push(group[0]);
    } else {
      const half = group.length >> 1;
      await sift(group.slice(0, half));
      await sift(group.slice(half));
    }
  };
  await sift(all);
  return bad;
}

/** How near each change is to float64, before and after: where it can be observed and computed. */
async function nearnessOf<C extends Change>(
  { runtime, write, memory = MEMORY }: Checking<C>,
  changes: readonly C[],
  samples: readonly Sample[],
): Promise<Map<C, Nearness>> {
  const found = new Map<C, Nearness>();
  const seen = changes.filter(
    (change): change is C & { reads: readonly string[] } => change.reads !== undefined,
  );
  const names = [...new Set(seen.flatMap(({ reads, gives }) => [...reads, ...gives]))];
  if (names.length === 0) return found;
  for (const side of ["before", "after"] as const) {
    let session: Session;
    try {
      session = await runtime.open(await write(side === "before" ? [] : changes, names));
    } catch (error) {
      if (error instanceof RuntimeError) return new Map();
      throw error;
    }
    try {
      for (const sample of samples) {
        for (const batch of batchesOf(seen, session, sample, memory)) {
          const wanted = new Set(batch.flatMap(({ reads, gives }) => [...reads, ...gives]));
          const values = await session.run(
            sample.feeds,
            [...wanted].filter((name) => !Object.hasOwn(sample.feeds, name)),
          );
          for (const change of batch) {
            const all = { ...sample.feeds, ...values };
            const off = await errorFrom(change, all);
            if (off === undefined) continue;
            const now = found.get(change) ?? { before: 0, after: 0, floor: 0 };
            const reads = new Map(change.reads.map((name) => [name, all[name]]));
            const narrowly = side === "before" ? await change.narrowly?.(reads) : undefined;
            found.set(change, {
              ...now,
              [side]: Math.max(now[side], off.error),
              floor: Math.max(now.floor, off.floor),
              ...(narrowly && { narrowly: farther(now.narrowly, narrowly) }),
            });
          }
        }
      }
    } catch (error) {
      if (error instanceof RuntimeError) return new Map();
      throw error;
    } finally {
      await session.close();
    }
  }
  return found;
}

const farther = (a: Distances = { before: 0, after: 0 }, b: Distances): Distances => ({
  before: Math.max(a.before, b.before),
  after: Math.max(a.after, b.after),
});

async function errorFrom(
  change: Change & { reads: readonly string[] },
  values: Tensors,
): Promise<{ error: number; floor: number } | undefined> {
  const reads = new Map(change.reads.map((name) => [name, values[name]]));
  const truth = await change.truth(reads);
  const other = await change.truth(new Map([...reads].map(([name, read]) => [name, roundedOnce(read)])));
  if (truth === undefined || other === undefined) return undefined;
  let [error, floor] = [0, 0];
  for (const name of change.gives) {
    const [right, nearby, given] = [truth.get(name), other.get(name), values[name]];
    if (right === undefined || nearby === undefined || given === undefined) return undefined;
    error = Math.max(error, errorOf(given.values, right));
    floor = Math.max(floor, errorOf(nearby, right));
  }
  return { error, floor };
}

/** Values up or down by half a step of their type, as a rounding leaves them. */
function roundedOnce({ dtype, shape, values }: TensorData): TensorData {
  const half = stepOf(dtype) / 2;
  if (half === 0) return { dtype, shape, values };
  // which way, by the bits of a multiple of the golden ratio
  const turned = Float64Array.from(values as ArrayLike<number>, (value, i) =>
    Math.imul(i, 0x9e3779b9) & 0x10000 ? value * (1 + half) : value * (1 - half),
  );
  return { dtype, shape, values: turned };
}

/** Bytes of a value whose shape the runtime does not know. */
const UNKNOWN = 2 ** 22;

/** Values of a network that are held together within so many bytes; names in the order in which they are asked for. */
export function inBatches<T>(
  all: readonly T[],
  namesOf: (one: T) => readonly string[],
  session: Session,
  lengthOf: (name: string) => number | undefined,
  memory: number,
): T[][] {
  const sizes = new Map(
    session.outputs.map(({ name, dtype, shape }) => {
      const lengths = shape.map((length) => (typeof length === "number" ? length : lengthOf(length)));
      const known = lengths.every((length) => length !== undefined);
      const size = lengths.reduce<number>((product, length) => product * (length ?? 1), 1);
      return [name, known ? size * (/64/.test(dtype) ? 8 : 4) : UNKNOWN];
    }),
  );
  const batches: T[][] = [];
  let room = 0;
  for (const one of all) {
    const bytes = namesOf(one).reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
    if (bytes > room || batches.length === 0) {
      batches.push([]);
      room = memory;
    }
    batches[batches.length - 1].push(one);
    room -= bytes;
  }
  return batches;
}

/** The length that an open one has in a sample. */
export function lengthsIn(session: Session, { feeds }: Sample): (name: string) => number | undefined {
  const known = new Map(
    session.inputs.flatMap(({ name, shape }) =>
      shape.flatMap((length, axis): [string, number][] =>
        typeof length === "string" && length !== "" && feeds[name] ? [[length, feeds[name].shape[axis]]] : [],
      ),
    ),
  );
  return (name) => known.get(name);
}

const batchesOf = <C extends Change & { reads: readonly string[] }>(
  changes: readonly C[],
  session: Session,
  sample: Sample,
  memory: number,
): C[][] =>
  inBatches(changes, ({ reads, gives }) => [...reads, ...gives], session, lengthsIn(session, sample), memory);

/** Both in turns, so that what else the machine does meets both. */
async function speedOf<C extends Change>(
  { runtime, write, samples, progress }: Checking<C>,
  original: Session,
  kept: readonly C[],
): Promise<Checked<C>["speed"]> {
  progress?.("timing");
  const mended = await runtime.open(await write(kept));
  try {
    const { feeds } = samples[0];
    const [first] = await original.time(feeds, 1);
    await mended.time(feeds, 1);
    const runs = Math.max(1, Math.min(1000, Math.round(TURN / Math.max(first, 1e-3))));
    // one run says little of a busy machine
    const turns = runs > 1 ? TURNS : Math.max(3, Math.min(MOST_TURNS, Math.round(BUDGET / first)));
    const [was, is]: number[][] = [[], []];
    for (let turn = 0; turn < turns; turn++) {
      was.push(...(await original.time(feeds, runs)));
      is.push(...(await mended.time(feeds, runs)));
    }
    const [before, middleBefore] = quickestAndMiddle(was);
    const [after, middleAfter] = quickestAndMiddle(is);
    const verdict = after > middleBefore ? "slower" : before > middleAfter ? "faster" : "same";
    return { before, after, runs: was.length, verdict };
  } finally {
    await mended.close();
  }
}

function quickestAndMiddle(times: readonly number[]): [quickest: number, middle: number] {
  const sorted = times.toSorted((a, b) => a - b);
  return [sorted[0], quantile(sorted, 0.5)];
}
