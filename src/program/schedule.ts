/**
 * Schedules terms: decides which have an array of their own, and what is computed in which pass. Elementwise terms between two
 * reductions, or whole-array calls, are one pass; what is cheap is made again wherever it is needed, and kept nowhere.
 */
import type { Kernels } from "../kernels/contract.js";
import { encoders } from "../kernels/encoders.js";
import type { Pass, Result, Step, Strided } from "../kernels/pass.js";
import type { AsyncReduce } from "../moments.js";
import { sizeOf } from "../shape.js";
import { commonAxes, cutsOf, merged, type Seen, through } from "./space.js";
import {
  type Called,
  denseStrides,
  elementsOf,
  isWhole,
  operandsOf,
  type Source,
  type Term,
} from "./term.js";

/** One call of a backend. Buffers are numbered; `reads` and `makes` are what it uses and writes first. */
export interface Instruction {
  readonly reads: readonly number[];
  readonly makes: readonly number[];
  run<A>(kernels: Kernels<A>, arrays: readonly A[], reduce?: AsyncReduce): Promise<void> | void;
  /** Buffers that nothing needs afterwards. */
  readonly frees: readonly number[];
}

/** Instructions, and the buffers that they make. */
export interface Schedule {
  readonly instructions: readonly Instruction[];
  /** Numbers of buffers by terms: those that were there before, and those that are made here. */
  readonly buffers: ReadonlyMap<Source, number>;
}

/** What a value costs to be made again, in elementwise steps; more than it costs to write and read it is stored. */
const COSTS: Partial<Record<string, number>> = {
  copy: 0,
  div: 2,
  max: 2,
  min: 2,
  sqrt: 2,
  exp: 6,
  tanh: 6,
  sigmoid: 6,
  erf: 8,
  power: 8,
};
const WORTH_STORING = 2;

/** What a pass leaves: a term stored in the array of its owner, or reduced to it, or a part of it. */
interface Root {
  readonly owner: Source;
  readonly term: Term;
  readonly seen: Seen;
  readonly reduced?: Result["reduced"];
}

/** Roots that one pass makes: of one size, after the same number of steps that need whole arrays. */
interface Group {
  readonly level: number;
  readonly size: number;
  readonly roots: Root[];
  readonly owners: Set<Source>;
  /** Where the axes end of all roots and of what they read. */
  readonly cuts: Set<number>;
}

/**
 * @param results what is to be there in the end
 * @param before numbers of the buffers that are there already
 * @param stored terms that have arrays of their own, besides those that need one
 * @param first the number of the first buffer that is made here
 * @param late buffers of `before` that are there only once all else is done that does not need them
 */
export function schedule(
  results: readonly Source[],
  before: ReadonlyMap<Source, number>,
  stored: ReadonlySet<Source>,
  first: number,
  late: ReadonlySet<Source> = new Set(),
): Schedule {
  const terms = neededBy(results, before);
  const own = new Set<Source>([...results].filter((source) => !before.has(source)));
  for (const term of terms) {
    if (needsArray(term) || stored.has(term)) own.add(term);
    for (const source of usedAsArrays(term)) if (!before.has(source)) own.add(source);
  }
  for (;;) {
    const scheduling = new Scheduling(terms, own, before, late);
    const more = scheduling.tooMuch();
    if (more.length === 0) return scheduling.instructions(first, new Set(results));
    for (const source of more) own.add(source);
  }
}

/** What results are made of, from what is there, each after what it is made of. */
export function neededBy(results: readonly Source[], before: ReadonlyMap<Source, number>): Source[] {
  const found = new Set<Source>();
  const open = [...results];
  for (let term = open.pop(); term !== undefined; term = open.pop()) {
    if (found.has(term) || before.has(term)) continue;
    found.add(term);
    open.push(...operandsOf(term).map((operand) => elementsOf(operand).source));
    if (term.kind === "output") open.push(...term.call.gives);
  }
  return [...found].sort((a, b) => a.id - b.id);
}

/** Whether a term is no value of a pass. */
function needsArray({ kind }: Source): boolean {
  return kind !== "elementwise" && kind !== "uniform";
}

/** Elementwise operands that are read in another order than they are made in, or as a whole. */
function usedAsArrays(term: Source): Source[] {
  return operandsOf(term).flatMap((operand) => {
    const { source } = elementsOf(operand);
    if (term.kind === "output") return [source];
    if (source.kind !== "elementwise") return [];
    return isWhole(operand) && sizeOf(operand.shape) === sizeOf(spaceOf(term, operand)) ? [] : [source];
  });
}

/** The shape of the space in which an operand is read. */
function spaceOf(term: Source, operand: Term): readonly number[] {
  return term.kind === "elementwise" ? term.shape : operand.shape;
}

/** An operand as the space sees it, which it broadcasts to. */
function seenIn(space: readonly number[], operand: Term): Seen {
  const { strides, offset } = elementsOf(operand);
  const missing = space.length - operand.shape.length;
  const steps = space.map((_, axis) =>
    axis < missing || operand.shape[axis - missing] === 1 ? 0 : strides[axis - missing],
  );
  return merged(space, steps, offset);
}

/** One attempt: levels and groups for a choice of terms that have arrays of their own. */
class Scheduling {
  /** How many steps that need whole arrays come before a term is there. */
  private readonly levels = new Map<Source, number>();
  private readonly groups: Group[] = [];
  private readonly byLevel = new Map<number, Group[]>();
  /** The last level before what is late. */
  private last?: number;
  /** Terms whose axes cut across others' in one pass: they must not be made within it. */
  private readonly crossing: Source[] = [];

  constructor(
    private readonly terms: readonly Source[],
    private readonly own: ReadonlySet<Source>,
    private readonly before: ReadonlyMap<Source, number>,
    private readonly late: ReadonlySet<Source>,
  ) {
    for (const term of terms) this.levels.set(term, this.levelOf(term));
    for (const term of terms) if (own.has(term)) for (const root of rootsOf(term)) this.place(root);
  }

  /** Terms that should have arrays after all: such as are expensive and made in several passes, or cannot be made within one. */
  tooMuch(): Source[] {
    const uses = new Map<Source, Set<Group>>();
    for (const group of this.groups) {
      for (const source of group.roots.flatMap((root) => this.madeWithin(root))) {
        uses.set(source, (uses.get(source) ?? new Set()).add(group));
      }
    }
    const costs = new Map<Source, number>();
    const dear = this.terms.filter((term) => {
      if (term.kind !== "elementwise" || this.has(term)) return false;
      let cost = COSTS[term.operation] ?? 1;
      for (const operand of term.of) cost += costs.get(elementsOf(operand).source) ?? 0;
      const stores = cost > WORTH_STORING && (uses.get(term)?.size ?? 0) > 1;
      costs.set(term, stores ? 0 : cost);
      return stores;
    });
    return [...dear, ...this.crossing];
  }

  instructions(first: number, lasting: ReadonlySet<Source>): Schedule {
    const buffers = new Map(this.before);
    for (const term of this.terms) if (this.own.has(term)) buffers.set(term, first++);
    const at = (source: Source) => buffers.get(source) as number;
    const made: {
      level: number;
      reads: readonly Source[];
      makes: readonly Source[];
      run: Instruction["run"];
    }[] = [];
    const called = new Set<Called>();
    for (const term of this.terms) {
      const level = this.levels.get(term) as number;
      if (term.kind === "constant") {
        const run: Instruction["run"] = (kernels, arrays) => {
          kernels.values(arrays[at(term)], term.values.length).set(term.values);
        };
        made.push({ level, reads: [], makes: [term], run });
      } else if (term.kind === "output" && !called.has(term.call)) {
        called.add(term.call);
        made.push({ level, ...this.called(term.call, at) });
      }
    }
    for (const term of this.own) {
      if (sizeOf(term.shape) > 0 && !(term.kind === "reduction" && sizeOf(term.of.shape) === 0)) continue;
      if (term.kind === "output") continue;
      // of no elements: sums are 0
      const run: Instruction["run"] = (kernels, arrays) => {
        kernels.values(arrays[at(term)], sizeOf(term.shape)).fill(0);
      };
      made.push({ level: this.levels.get(term) as number, reads: [], makes: [term], run });
    }
    for (const group of this.groups) made.push({ level: group.level, ...this.passed(group, at) });
    made.sort((a, b) => a.level - b.level);
    const last = new Map<Source, number>();
    made.forEach(({ reads, makes }, i) => {
      for (const source of [...makes, ...reads]) last.set(source, i);
    });
    const there = new Set<Source>();
    const instructions = made.map(({ reads, makes, run }, i) => ({
      reads: reads.map(at),
      makes: makes.filter((source) => !there.has(source) && there.add(source)).map(at),
      run,
      frees: [...new Set([...reads, ...makes])]
        .filter((source) => last.get(source) === i && this.own.has(source) && !lasting.has(source))
        .map(at),
    }));
    return { instructions, buffers };
  }

  private has(source: Source): boolean {
    return this.own.has(source) || this.before.has(source);
  }

  /** Terms come in the order in which they were made: what needs nothing that is late has had its turn. */
  private levelOf(term: Source): number {
    let level = 0;
    for (const operand of operandsOf(term)) {
      const { source } = elementsOf(operand);
      if (this.late.has(source)) {
        this.last ??= [...this.levels.values()].reduce((most, one) => Math.max(most, one), -1);
        level = Math.max(level, this.last + 1);
      }
      if (this.before.has(source) || (source.kind === "uniform" && !this.own.has(source))) continue;
      // what is made in the order in which it is read can be made in the same pass
      const within = !needsArray(source) && term.kind !== "output" && !usedAsArrays(term).includes(source);
      level = Math.max(level, (this.levels.get(source) as number) + (within ? 0 : 1));
    }
    return level;
  }

  /** Puts a root into the first group that it fits in, and not before one that it reads from. */
  private place(root: Root): void {
    const level = this.levels.get(root.owner) as number;
    const size = sizeOf(root.term.shape);
    const cuts = cutsOf([root.seen, ...this.seenBy(root)]);
    const fits = (group: Group) => {
      const more = [...cuts].filter((cut) => !group.cuts.has(cut));
      return more.length === 0 || commonAxes(size, new Set([...group.cuts, ...more])) !== undefined;
    };
    const reads = this.readsOf(root);
    const beside = this.byLevel.get(level) ?? [];
    const from = beside.findLastIndex((group) => reads.some((source) => group.owners.has(source)));
    const fitting = beside.find((group, i) => i >= from && group.size === size && fits(group));
    if (fitting) {
      fitting.roots.push(root);
      fitting.owners.add(root.owner);
      for (const cut of cuts) fitting.cuts.add(cut);
      return;
    }
    if (commonAxes(size, cuts) === undefined) this.crossing.push(...this.madeWithin(root));
    const group = { level, size, roots: [root], owners: new Set([root.owner]), cuts };
    this.groups.push(group);
    if (beside.push(group) === 1) this.byLevel.set(level, beside);
  }

  /** Calls `read` for each operand that is read from an array, with the shape that it is read in, and `within` for what is made. */
  private visit(
    { term, owner }: Root,
    read: (operand: Term, space: readonly number[]) => void,
    within: (source: Source) => void = () => {},
  ): void {
    const done = new Set<Source>();
    const open: [Term, readonly number[]][] = [[term, term.shape]];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const [operand, space] = next;
      const { source } = elementsOf(operand);
      const top = source === owner;
      if (source.kind === "uniform" && (top || !this.has(source))) continue;
      if (source.kind === "elementwise" && (top || !this.has(source))) {
        if (done.has(source)) continue;
        done.add(source);
        if (!top) within(source);
        for (const one of source.of) open.push([one, source.shape]);
      } else read(operand, space);
    }
  }

  private madeWithin(root: Root): Source[] {
    const sources: Source[] = [];
    this.visit(
      root,
      () => {},
      (source) => sources.push(source),
    );
    return sources;
  }

  private seenBy(root: Root): Seen[] {
    const all: Seen[] = [];
    this.visit(root, (operand, space) => all.push(seenIn(space, operand)));
    return all;
  }

  private readsOf(root: Root): Source[] {
    const all: Source[] = [];
    this.visit(root, (operand) => all.push(elementsOf(operand).source));
    return all;
  }

  private called(call: Called, at: (source: Source) => number) {
    const reads = call.of.map((operand) => elementsOf(operand).source);
    const [from, to] = [reads.map(at), call.gives.map(at)];
    const run: Instruction["run"] = (kernels, arrays, reduce) =>
      call.run(
        kernels,
        from.map((buffer) => arrays[buffer]),
        to.map((buffer) => arrays[buffer]),
        reduce,
      );
    return { reads, makes: call.gives, run };
  }

  /** The pass of a group. */
  private passed(group: Group, at: (source: Source) => number) {
    const axes = commonAxes(group.size, group.cuts) as number[];
    const reads: { source: Source; strided: Strided }[] = [];
    const constants: number[] = [];
    const steps: { operation: Step["operation"]; of: Value[]; parameter?: number }[] = [];
    const known = new Map<string, Value>();
    const once = (key: string, make: () => Value): Value => {
      const value = known.get(key) ?? make();
      known.set(key, value);
      return value;
    };
    const emit = (term: Term, space: readonly number[]): Value => {
      const { source } = elementsOf(term);
      const within = !this.has(source) || group.owners.has(source);
      if (source.kind === "uniform" && within) {
        return once(`constant ${source.id}`, () => ({
          of: "constants",
          index: constants.push(source.value) - 1,
        }));
      }
      if (source.kind === "elementwise" && within) {
        return once(`step ${source.id}`, () => {
          const of = source.of.map((operand) => emit(operand, source.shape));
          if (source.operation === "copy") return of[0];
          const { operation, parameter } = source;
          return { of: "steps", index: steps.push({ operation, of, parameter }) - 1 };
        });
      }
      const strided = through(axes, seenIn(space, term));
      return once(`read ${source.id} ${strided.strides.join()} ${strided.offset}`, () => ({
        of: "reads",
        index: reads.push({ source, strided }) - 1,
      }));
    };
    const values = group.roots.map(({ term }) => emit(term, term.shape));
    const starts = { reads: 0, constants: reads.length, steps: reads.length + constants.length };
    const numberOf = ({ of, index }: Value) => starts[of] + index;
    const pass: Pass = {
      lengths: axes,
      reads: reads.map(({ strided }) => strided),
      constants,
      steps: steps.map(({ operation, of, parameter }) => ({
        operation,
        of: of.map(numberOf),
        ...(parameter !== undefined && { parameter }),
      })),
      results: group.roots.map(({ seen, reduced }, i) => ({
        ...through(axes, seen),
        value: numberOf(values[i]),
        ...(reduced && { reduced }),
      })),
    };
    const sources = reads.map(({ source }) => source);
    const owners = group.roots.map(({ owner }) => owner);
    const [from, to] = [sources.map(at), owners.map(at)];
    const run: Instruction["run"] = (kernels, arrays) =>
      kernels.pass(
        pass,
        from.map((buffer) => arrays[buffer]),
        to.map((buffer) => arrays[buffer]),
        encoders,
      );
    return { reads: sources, makes: owners, run };
  }
}

/** A value of a pass, before its number is known. */
interface Value {
  readonly of: "reads" | "constants" | "steps";
  readonly index: number;
}

/** What makes the array of a term in passes. */
function rootsOf(owner: Source): Root[] {
  if (owner.kind === "elementwise" || owner.kind === "uniform") {
    const seen = merged(owner.shape, denseStrides(owner.shape), 0);
    return sizeOf(owner.shape) === 0 ? [] : [{ owner, term: owner, seen }];
  }
  if (owner.kind === "reduction" && sizeOf(owner.of.shape) > 0) {
    const { of, reduced } = owner;
    const dense = denseStrides(owner.shape);
    const strides = of.shape.map((_, axis) => (owner.shape[axis] === 1 ? 0 : dense[axis]));
    return [{ owner, term: of, seen: merged(of.shape, strides, 0), reduced }];
  }
  if (owner.kind !== "joined") return [];
  const strides = denseStrides(owner.shape);
  let from = 0;
  return owner.of.flatMap((term) => {
    const seen = merged(term.shape, strides, from * strides[owner.axis]);
    from += term.shape[owner.axis];
    return sizeOf(term.shape) === 0 ? [] : [{ owner, term, seen }];
  });
}
