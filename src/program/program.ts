/**
 * Programs: a normalization's formula for given shapes, traced, differentiated and scheduled once, and run on any backend as often as
 * it is called. A call binds the arrays that it brings to the first buffers of a program, and gets those of its results.
 */
import type { Normalization } from "../formula/normalization.js";
import { run } from "../formula/run.js";
import type { Kernels } from "../kernels/contract.js";
import type { AsyncReduce } from "../moments.js";
import { sameShape, sizeOf } from "../shape.js";
import { mergeTerms } from "./merge.js";
import { neededBy, type Schedule, schedule } from "./schedule.js";
import { elementsOf, isWhole, type Source, type Term } from "./term.js";
import { Trace } from "./trace.js";

/** What a program depends on: the shapes of what comes with a call, and what is asked for. */
export interface Signature {
  readonly inputs: readonly (readonly number[])[];
  readonly mask?: readonly number[];
  readonly residual?: readonly number[];
  readonly training: boolean;
  /** Whether gradients may be asked for: what they need is then kept. */
  readonly differentiable: boolean;
  /** Whether a host stores state that the backward pass updates. */
  readonly movesState: boolean;
  /** Whether statistics of the batch are merged with those of other places: a run then brings a reduction. */
  readonly merges?: boolean;
}

function same(a: Signature, b: Signature): boolean {
  if (a.training !== b.training) return false;
  if (a.differentiable !== b.differentiable || a.movesState !== b.movesState) return false;
  if (a.merges !== b.merges) return false;
  const [shapes, others] = [a, b].map(({ inputs, mask, residual }) => [...inputs, mask, residual]);
  if (shapes.length !== others.length) return false;
  return shapes.every((shape, i) => {
    const other = others[i];
    return shape === undefined || other === undefined ? shape === other : sameShape(shape, other);
  });
}

/** What a call brings to a run, or gets from it: a buffer, and its shape. */
export interface Slot {
  readonly buffer: number;
  readonly shape: readonly number[];
}

export interface ForwardProgram extends Runnable {
  readonly inputs: readonly Slot[];
  readonly weights: Readonly<Record<string, Slot>>;
  readonly mask?: Slot;
  readonly residual?: Slot;
  readonly y: Slot;
  readonly sum?: Slot;
  readonly more: readonly Slot[];
  readonly state: Readonly<Record<string, Slot>>;
  /** Whether it calls the reduction that a run brings. */
  readonly merges: boolean;
  /** What the formula has to say at every call. */
  readonly warnings: readonly string[];
  /** Buffers that the backward program reads, besides those that the call brought. */
  readonly saved: readonly Slot[];
  /** The backward program for the gradients that are there: of y, of the sum (without one: of x past the formula), and of `more`. */
  backward(given: Given): BackwardProgram;
}

/** Which gradients a backward call brings. */
export interface Given {
  readonly sum: boolean;
  readonly more: readonly boolean[];
}

export interface BackwardProgram extends Runnable {
  readonly dy: Slot;
  readonly dSum?: Slot;
  readonly dMore: readonly (Slot | undefined)[];
  /** Of the inputs; absent where no gradient reaches one. */
  readonly inputs: readonly (Slot | undefined)[];
  /** Of the residual, where there is one; mostly the very array of x's. */
  readonly residual?: Slot;
  /** Of the weights that are trained. */
  readonly weights: Readonly<Record<string, Slot | undefined>>;
  readonly state: Readonly<Record<string, Slot>>;
}

export interface Runnable {
  readonly instructions: Schedule["instructions"];
  /** Lengths of buffers by number. */
  readonly lengths: readonly number[];
}

/** What a program that merges moments runs with. */
export interface Merging {
  /** Merges moments with those of other places. */
  readonly reduce: AsyncReduce;
  /** Called where the run goes on after it has waited; what it throws ends the run. */
  resumed?(): void;
}

/**
 * Runs a program: `arrays` are those of the buffers that are bound, and get those that are made. `make` gives an array for a buffer that
 * outlives the run, and undefined for one that does not.
 * @returns a promise where a reduction gave one
 */
export function execute<A>(
  kernels: Kernels<A>,
  { instructions, lengths }: Runnable,
  arrays: A[],
  make: (buffer: number, length: number) => A | undefined,
  merging?: Merging,
): Promise<void> | void {
  const own: (A | undefined)[] = [];
  const from = (first: number): Promise<void> | void => {
    for (let i = first; i < instructions.length; i++) {
      const { makes, frees, run } = instructions[i];
      for (const buffer of makes) {
        let array = make(buffer, lengths[buffer]);
        if (array === undefined) {
          array = kernels.allocate(lengths[buffer]);
          own[buffer] = array;
        }
        arrays[buffer] = array;
      }
      const waiting = run(kernels, arrays, merging?.reduce);
      if (waiting !== undefined) {
        return waiting.then(() => {
          merging?.resumed?.();
          // what it frees is freed with the last
          return from(i + 1);
        });
      }
      for (const buffer of frees) {
        const array = own[buffer];
        if (array === undefined) continue;
        own[buffer] = undefined;
        kernels.release(array);
      }
    }
  };
  const release = () => {
    for (const array of own) if (array !== undefined) kernels.release(array);
  };
  let waiting: Promise<void> | undefined;
  try {
    waiting = from(0) ?? undefined;
  } finally {
    if (waiting === undefined) release();
  }
  return waiting?.finally(release);
}

/** Programs of a normalization for the shapes that it was called with last. */
const MOST_PROGRAMS = 16;
const programs = new WeakMap<Normalization, { signature: Signature; program: ForwardProgram }[]>();

/**
 * The program of a normalization for these shapes; its weights have the shapes that the normalization says.
 * @param check called before a program is made
 * @throws what the formula throws for such shapes
 */
export function programOf(
  normalization: Normalization,
  signature: Signature,
  check: () => void = () => {},
): ForwardProgram {
  const own = programs.get(normalization) ?? [];
  const at = own.findIndex((known) => same(known.signature, signature));
  // networks use the same few shapes again and again
  if (at === 0) return own[0].program;
  check();
  const made = () => {
    const { inputs, mask, residual } = signature;
    // a caller may change a list of lengths
    const copy = {
      inputs: inputs.map((shape) => [...shape]),
      mask: mask?.slice(),
      residual: residual?.slice(),
    };
    const kept = { ...signature, ...copy };
    return { signature: kept, program: compiled(normalization, kept) };
  };
  const [known] = at > 0 ? own.splice(at, 1) : [made()];
  own.unshift(known);
  if (own.length > MOST_PROGRAMS) own.pop();
  programs.set(normalization, own);
  return known.program;
}

function compiled(normalization: Normalization, signature: Signature): ForwardProgram {
  const trace = new Trace();
  const bound: Source[] = [];
  const bind = (shape: readonly number[], wanted: boolean): Source => {
    const term = trace.input(shape, wanted && signature.differentiable);
    bound.push(term);
    return term;
  };
  const specified = normalization.weights(...signature.inputs);
  const inputs = signature.inputs.map((shape) => bind(shape, true));
  const weights = mapped(specified, ({ shape, trained }) => bind(shape, trained));
  // a host writes state between the passes: what the backward one needs of it is stored before
  const held = new Map<Source, Source>();
  const given = mapped(weights, (weight, name) => {
    if (specified[name].trained) return weight;
    held.set(weight, trace.copy(weight));
    return held.get(weight) as Source;
  });
  const mask = signature.mask && bind(signature.mask, false);
  const residual = signature.residual && bind(signature.residual, true);
  const warnings: string[] = [];
  let moved: Readonly<Record<string, Term>> = {};
  const moveState = (state: Readonly<Record<string, Term>>) => {
    moved = { ...moved, ...state };
  };
  const result = run(trace, normalization, inputs, given, {
    training: signature.training,
    ...{ mask, residual },
    warn: (message) => warnings.push(message),
    ...(signature.movesState && { moveState }),
    ...(signature.merges && { merge: (local, rules) => mergeTerms(trace, local, rules) }),
  });
  const { y, sum, more = [], state = {} } = result;
  const lasting = new Set([...bound, ...held.values()]);
  // what was merged is merged once: where the backward pass needs it, it is kept, and the caller has a copy
  const isMerged = (source: Source) => source.kind === "output" && source.call.merges === true;
  const gives = new Results(trace, (source) => lasting.has(source) || isMerged(source));
  const results = {
    y: gives.add(y),
    sum: sum && gives.add(sum),
    more: more.map((term) => gives.add(term)),
    state: mapped(state, (term) => gives.add(term)),
  };

  /** The backward graph for some of the upstream gradients, which come with the call. */
  const differentiated = (has: Given) => {
    moved = {};
    const past = sum ?? inputs[0];
    const upstream = (term: Term) => trace.input(term.shape, false);
    const dy = upstream(y);
    const dSum = has.sum ? upstream(past) : undefined;
    const dMore = more.map((term, i) => (has.more[i] ? upstream(term) : undefined));
    const handed = [[y, dy], [past, dSum], ...more.map((term, i) => [term, dMore[i]])];
    const there = handed.filter((pair): pair is [Term, Source] => pair[1] !== undefined);
    const brought = there.map(([, gradient]) => gradient);
    const gradients = trace.gradients(there);
    // what was made before is the forward program's, or came with the call
    const newest = Math.max(...brought.map(({ id }) => id));
    const back = new Results(trace, ({ id }) => id <= newest);
    const gradientOf = (term: Term) => {
      const gradient = gradients.get(term);
      return gradient && back.add(gradient);
    };
    const trained = Object.entries(weights).filter(([name]) => specified[name].trained);
    const byInput = inputs.map(gradientOf);
    const isOfX = residual && gradients.get(residual) === gradients.get(inputs[0]);
    return {
      ...{ dy, dSum, dMore, brought },
      inputs: byInput,
      residual: isOfX ? byInput[0] : residual && gradientOf(residual),
      weights: mapped(Object.fromEntries(trained), gradientOf),
      state: mapped(moved, (term) => back.add(term)),
      results: back.sources,
    };
  };

  /** What a backward call mostly brings. */
  const usual: Given = { sum: sum !== undefined, more: more.map(() => true) };
  const known = new Map<string, ReturnType<typeof differentiated>>();
  const before = numbered(bound);
  let stored: ReadonlySet<Source> = new Set();
  let saved: Source[] = [];
  if (signature.differentiable) {
    const back = differentiated(usual);
    known.set(JSON.stringify(usual), back);
    const { results: gradients, brought } = back;
    // what both passes need is stored by the forward one, where it is not made again for less
    const all = numbered([...bound, ...brought]);
    const replaced = Object.keys(results.state).flatMap((name) => held.get(weights[name]) ?? []);
    const forward = new Set([...neededBy(gives.sources, before), ...replaced]);
    // what a call gives is its caller's, who may dispose of it; the sum is what x was, and stays until then
    const lent = new Set(gives.sources.filter((source) => source !== results.sum?.source));
    const reads = () => {
      const both = [...gives.sources, ...gradients];
      stored = new Set(schedule(both, all, stored, all.size, new Set(brought)).buffers.keys());
      const kept = [...stored].filter((source) => forward.has(source) && !lent.has(source));
      const there = numbered([...all.keys(), ...kept]);
      const scheduled = schedule(gradients, there, stored, there.size);
      const numbers = new Set(scheduled.instructions.flatMap(({ reads }) => reads));
      return [...there].filter(([, buffer]) => numbers.has(buffer)).map(([source]) => source);
    };
    let read = reads();
    const state = read.filter((source) => held.has(source));
    if (state.length > 0) {
      stored = new Set([...stored, ...state.map((source) => held.get(source) as Source)]);
      read = reads();
    }
    saved = read.filter((source) => forward.has(source));
  }
  // what it stores for itself it finds anew
  const forward = schedule([...gives.sources, ...saved], before, new Set(), before.size);
  const slot = slotsOf(forward);
  const backwards = new Map<string, BackwardProgram>();
  return {
    ...runnable(forward),
    inputs: inputs.map((source) => slot({ source, shape: source.shape })),
    weights: mapped(weights, (source) => slot({ source, shape: source.shape })),
    mask: mask && slot({ source: mask, shape: mask.shape }),
    residual: residual && slot({ source: residual, shape: residual.shape }),
    y: slot(results.y),
    sum: results.sum && slot(results.sum),
    more: results.more.map(slot),
    state: mapped(results.state, slot),
    warnings,
    merges: trace.hasMerged,
    saved: saved.map((source) => slot({ source, shape: source.shape })),
    backward(has) {
      const key = JSON.stringify(has);
      const made = backwards.get(key);
      if (made) return made;
      const { dy, dSum, dMore, brought, ...gradients } = known.get(key) ?? differentiated(has);
      const there = new Map(
        [...before.keys(), ...saved].map((source) => [source, forward.buffers.get(source) as number]),
      );
      let next = runnable(forward).lengths.length;
      for (const source of brought) there.set(source, next++);
      const scheduled = schedule(gradients.results, there, stored, next);
      const slot = slotsOf(scheduled);
      const bring = (source: Source | undefined) => source && slot({ source, shape: source.shape });
      const program: BackwardProgram = {
        ...runnable(scheduled),
        dy: slot({ source: dy, shape: dy.shape }),
        dSum: bring(dSum),
        dMore: dMore.map(bring),
        inputs: gradients.inputs.map((gradient) => gradient && slot(gradient)),
        residual: gradients.residual && slot(gradients.residual),
        weights: mapped(gradients.weights, (gradient) => gradient && slot(gradient)),
        state: mapped(gradients.state, slot),
      };
      backwards.set(key, program);
      return program;
    },
  };
}

/** A term that a program gives, and the array that holds it. */
interface Placed {
  readonly source: Source;
  readonly shape: readonly number[];
}

/** Results, each in an array of its own that nothing else needs. */
class Results {
  readonly sources: Source[] = [];

  constructor(
    private readonly trace: Trace,
    private readonly isTaken: (source: Source) => boolean,
  ) {}

  add(term: Term): Placed {
    const { source } = elementsOf(term);
    const taken = this.isTaken(source) || this.sources.includes(source);
    const own = isWhole(term) && !taken ? source : this.trace.copy(term);
    this.sources.push(own);
    return { source: own, shape: term.shape };
  }
}

const numbered = (sources: readonly Source[]) => new Map(sources.map((source, i) => [source, i]));

const slotsOf =
  ({ buffers }: Schedule) =>
  ({ source, shape }: Placed): Slot => ({ buffer: buffers.get(source) as number, shape });

function runnable({ instructions, buffers }: Schedule): Runnable {
  const lengths: number[] = [];
  for (const [source, buffer] of buffers) lengths[buffer] = sizeOf(source.shape);
  return { instructions, lengths };
}

/** A record of the same names. */
export function mapped<T, U>(
  record: Readonly<Record<string, T>>,
  change: (value: T, name: string) => U,
): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value, name)]));
}
