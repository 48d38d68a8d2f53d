/**
 * What other people's frameworks computed (test/fixtures/goldens, made by the scripts beside it), and how a case of theirs is
 * run with Evenkeel: a file per framework says which normalization of ours means the same, with which options.
 */
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import {
  type Applied,
  apply,
  type Evenkeel,
  type Normalization,
  type PlainArray,
} from "../../../src/index.js";
import { expectClose, largest } from "../../support/numerics.js";

export interface GoldenArray {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
export type GoldenArrays = Readonly<Record<string, GoldenArray>>;

/** Of all frameworks together; null is Python's None. */
export interface Arguments {
  readonly eps?: number;
  readonly epsilon?: number;
  readonly momentum?: number | null;
  readonly axis?: number | readonly number[] | null;
  readonly dim?: number | null;
  readonly groups?: number;
  readonly center?: boolean;
  readonly scale?: boolean;
  readonly affine?: boolean;
  readonly order?: number;
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  readonly variance?: readonly number[];
  readonly size?: number;
  readonly alpha?: number;
  readonly beta?: number;
  readonly [other: string]: unknown;
}

export interface Step {
  readonly training: boolean;
  readonly inputs: readonly GoldenArray[];
  readonly outputs: readonly GoldenArray[];
  readonly upstream?: readonly GoldenArray[];
  readonly gradients?: { readonly inputs: readonly GoldenArray[]; readonly weights?: GoldenArrays };
  readonly after?: GoldenArrays;
  readonly mask?: GoldenArray;
}

export interface Case {
  readonly of: string;
  readonly name: string;
  readonly arguments: Arguments;
  readonly weights?: GoldenArrays;
  readonly dtype?: "float32";
  readonly adapt?: GoldenArray;
  readonly steps: readonly Step[];
}

export interface GoldenFile {
  readonly framework: string;
  readonly version: string;
  readonly offered: readonly string[];
  readonly cases: readonly Case[];
}

export type Held = Readonly<Record<string, Float64Array>>;

/** A case of theirs as a call of ours. */
export interface Mapped {
  /** A normalization of Evenkeel's, or one with what stands around it (around.ts). */
  readonly norm: Normalization;
  /** Our names of weights, and theirs. Gradients are compared by them, and what is kept after each step. */
  readonly weights?: Readonly<Record<string, string>>;
  /** What they call training or evaluation, where the layer takes no notice. */
  readonly training?: boolean;
  /** What `after` has beside our weights, from what our call gave and what is kept then. */
  readonly after?: Readonly<Record<string, (ran: Applied<PlainArray>, held: Held) => ArrayLike<number>>>;
  /** Our outputs; y and what comes beside it by default. */
  readonly outputs?: (
    ran: Applied<PlainArray>,
    held: Held,
  ) => readonly { readonly data: ArrayLike<number> }[];
  /** A tolerance of float32 where it loses more than elsewhere: why. */
  readonly single?: readonly [tolerance: number, because: string];
  /** What of it Evenkeel does not do: the case is proven in part. */
  readonly lacks?: string;
  /** Whether the steps in evaluation are left out. */
  readonly trainingOnly?: boolean;
  /** Names among weights, their gradients and what is kept that Evenkeel has nothing like, or needs nothing like: why. */
  readonly without?: Readonly<Record<string, string>>;
  /** A tolerance (of the largest value) where theirs is another number on purpose: why. */
  readonly within?: readonly [tolerance: number, because: string];
  /** More to prove, without an apply. */
  readonly also?: () => void;
}

export type Mapping = (c: Case) => Mapped | (() => void);

export interface Framework {
  readonly file: GoldenFile;
  /** By what a case is of: how Evenkeel does it, as data or, where it is no normalization of arrays, as a check. */
  readonly mappings: Readonly<Record<string, Mapping>>;
  /** What Evenkeel has nothing for: `of`, or `of: name` for one case, and why. */
  readonly missing: Readonly<Record<string, string>>;
}

export function read(name: string): GoldenFile {
  return JSON.parse(readFileSync(new URL(`../../fixtures/goldens/${name}.json`, import.meta.url), "utf8"));
}

/** A framework's defaults (conventions.ts), with what a case says otherwise. */
export function given<A extends object, B extends object>(defaults: A, options: B): Given<A, B> {
  const said = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(said) } as unknown as Given<A, B>;
}

type Given<A, B> = Omit<A, keyof B> & {
  [K in keyof B]: undefined extends B[K]
    ? Exclude<B[K], undefined> | (K extends keyof A ? A[K] : undefined)
    : B[K];
};

export const float64 = ({ shape, data }: GoldenArray) => ({ shape, data: Float64Array.from(data) });

/** Why a case is not proven, where it is not. */
export function missingOf({ missing }: Framework, { of, name }: Case): string | undefined {
  return missing[`${of}: ${name}`] ?? missing[of];
}

/**
 * Goldens are written with 9 digits: half a unit of the last one is 5e-9 of a value. Those of float32 have the roundings of a
 * few operations in them (6e-8 each), as do ours on the wasm backend, backward ones more than forward ones.
 */
const digits = 5.1e-9;
const exact = 1e-10;
const single = { forward: 3e-6, backward: 1e-5 };

/** An array that must be theirs. `singly`: one of the two was computed in float32. */
export function same(
  name: string,
  actual: ArrayLike<number>,
  expected: GoldenArray,
  { pass = "forward", singly = false, within = 0, ignore }: SameOptions = {},
): void {
  const { data } = expected;
  const scale = Math.max(largest(data), 1e-3);
  const spread = Math.max(within, singly ? single[pass] : exact) * scale;
  const shown = Float64Array.from(actual, (value, i) => (ignore?.(i) ? data[i] : value));
  expectClose(name, shown, data, (i) => digits * Math.abs(data[i]) + spread);
}

/** For `single`. */
export const ofTwo = [5e-4, "of two values little is left but a sign: gradients are what cancels"] as const;

export interface SameOptions {
  pass?: "forward" | "backward";
  singly?: boolean;
  within?: number;
  ignore?: (index: number) => boolean;
}

/** Runs all steps of a case on a backend, and compares everything that the framework gave. */
export function prove(ek: Evenkeel, c: Case, mapped: Mapped): void {
  const { norm, weights: names = {}, after = {}, without = {}, within } = mapped;
  const theirs = Object.entries(names);
  const held: Record<string, Float64Array> = {};
  for (const [ours, name] of theirs) if (c.weights?.[name]) held[ours] = float64(c.weights[name]).data;
  const unknown = Object.keys(c.weights ?? {}).filter(
    (name) => !Object.values(names).includes(name) && !(name in without) && !(name in after),
  );
  expect(unknown, "weights without a mapping").toEqual([]);
  c.steps.forEach((step, at) => {
    if (mapped.trainingOnly && !step.training) return;
    const where = `${ek.backend}, step ${at + 1} (${step.training ? "training" : "evaluation"})`;
    const singly = c.dtype === "float32" || ek.backend !== "reference";
    // a mean that is rounded to float32 is off by so much
    const rounded = singly ? 3e-7 * largest(step.inputs[0].data) : 0;
    const options = {
      singly,
      within: Math.max(within?.[0] ?? 0, rounded, (singly && mapped.single?.[0]) || 0),
    };
    const inputs = step.inputs.map(float64) as unknown as [PlainArray];
    const mask = step.mask && float64(step.mask);
    const ran = apply(ek, norm, inputs, held, { training: mapped.training ?? step.training, mask });
    for (const [name, array] of Object.entries(ran.state)) {
      held[name] = Float64Array.from(array.data);
    }
    const outputs = mapped.outputs?.(ran, held) ?? [ran.y, ...ran.more];
    // where masked ours is 0, and theirs may be anything
    const masked = mask && maskedOut(mask, step.inputs[0].shape);
    step.outputs.forEach((output, i) => {
      same(`${where}: output ${i}`, outputs[i].data, output, {
        ...options,
        ignore: i === 0 && masked ? (index) => masked[index] : undefined,
      });
    });
    const ofTheirs = Object.fromEntries(theirs.map(([ours, name]) => [name, ours]));
    for (const [name, array] of Object.entries(step.after ?? {})) {
      if (name in without && !(name in after)) continue;
      const actual = after[name]?.(ran, held) ?? held[ofTheirs[name]];
      expect(actual, `${where}: ${name} after it`).toBeDefined();
      same(`${where}: ${name} after it`, actual, array, options);
    }
    if (step.gradients) {
      const upstream = (step.upstream ?? []).map(float64);
      const { inputs: slopes, weights: ofWeights } = ran.backward(upstream[0], { dMore: upstream.slice(1) });
      const backward = { ...options, pass: "backward" as const };
      step.gradients.inputs.forEach((gradient, i) => {
        const slope = slopes[i];
        if (!slope) expect.fail(`${where}: no gradient of input ${i}`);
        same(`${where}: gradient of input ${i}`, slope.data, gradient, backward);
      });
      for (const [name, gradient] of Object.entries(step.gradients.weights ?? {})) {
        if (name in without) continue;
        const slope = ofWeights[ofTheirs[name]];
        if (!slope) expect.fail(`${where}: no gradient of ${name}`);
        same(`${where}: gradient of ${name}`, slope.data, gradient, backward);
      }
    }
    // what a step overwrote is what the next one begins with
    for (const [ours, name] of theirs) {
      const array = name in after && step.after?.[name];
      if (array && ours in held && !(ours in ran.state)) {
        held[ours] = Float64Array.from(after[name](ran, held));
      }
    }
  });
}

/** Where a mask (x's shape, but for lengths of 1 and trailing axes left out) is 0, element by element of x. */
function maskedOut(mask: PlainArray, shape: readonly number[]): boolean[] {
  const lengths = shape.map((_, axis) => mask.shape[axis] ?? 1);
  return Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => {
    let at = 0;
    let rest = i;
    let stride = 1;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (lengths[axis] !== 1) at += (rest % shape[axis]) * stride;
      stride *= lengths[axis];
      rest = Math.floor(rest / shape[axis]);
    }
    return mask.data[at] === 0;
  });
}
