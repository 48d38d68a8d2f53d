/** Mends that are checked by themselves, one of each kind: where the network is too large, cannot be run, or takes nothing hard. */
import { type Model, partOf } from "evenkeel/onnx";
import type { MendChange } from "./changes.js";
import { type Checked, type Compared, checked, type Nearness } from "./check.js";
import type { ModelFile, Runtime } from "./runtime.js";
import { samplesFor, whyNot } from "./samples.js";

export interface CheckedParts extends Pick<Checked<MendChange>, "nearness"> {
  /** Those that are worse on some inputs, how, and how near to float64. */
  readonly worse: ReadonlyMap<MendChange, { why: string; near?: Nearness }>;
  /** Of all parts. */
  readonly compared: readonly Compared[];
  /** Those that could not be checked, and why. */
  readonly unknown: ReadonlyMap<MendChange, string>;
  /** How many were run. */
  readonly parts: number;
}

/** Runs the first of each kind: of the same title, on inputs of the same types and shapes. What comes of it is true of its kind. */
export async function checkedParts(
  model: Model,
  changes: readonly MendChange[],
  { runtime, tolerance }: { runtime: Runtime; tolerance?: number },
): Promise<CheckedParts> {
  const kinds = new Map<string, Outcome>();
  const worse = new Map<MendChange, { why: string; near?: Nearness }>();
  const nearness = new Map<MendChange, Nearness>();
  const unknown = new Map<MendChange, string>();
  for (const change of changes) {
    const part = await partOf(model, change.mend);
    if (part === undefined) {
      unknown.set(change, "it cannot be cut out of the network");
      continue;
    }
    const { before, after, inputs } = part;
    const key = JSON.stringify([change.mend.title, inputs.map(({ dtype, shape }) => [dtype, shape])]);
    let outcome = kinds.get(key);
    if (outcome === undefined) {
      const own = { ...change, reads: inputs.map(({ name }) => name) };
      outcome = await outcomeOf(own, [before, after], runtime, tolerance);
      kinds.set(key, outcome);
    }
    if (outcome.why === undefined) {
      if (outcome.near !== undefined) nearness.set(change, outcome.near);
    } else if (outcome.isWorse) {
      worse.set(change, { why: outcome.why, near: outcome.near });
    } else {
      unknown.set(change, outcome.why);
    }
  }
  const compared = [...kinds.values()].flatMap((outcome) => outcome.compared);
  return { worse, nearness, compared, unknown, parts: kinds.size };
}

interface Outcome {
  /** Why it is not kept; undefined where it is as good as it was. */
  why?: string;
  /** Whether that was seen, rather than that nothing could be. */
  isWorse: boolean;
  near?: Nearness;
  compared: readonly Compared[];
}

async function outcomeOf(
  change: MendChange,
  [before, after]: readonly [Uint8Array, Uint8Array],
  runtime: Runtime,
  tolerance: number | undefined,
): Promise<Outcome> {
  const nothing = (why: string): Outcome => ({ why, isWorse: false, compared: [] });
  try {
    const session = await runtime.open([fileIn(before)]);
    const samples = await samplesFor(session, runtime).finally(() => session.close());
    if (typeof samples === "string") return nothing(samples);
    const { takenBack, nearness, compared } = await checked({
      runtime,
      samples,
      changes: [change],
      tolerance,
      timed: false,
      write: async (changes) => [fileIn(changes.length > 0 ? after : before)],
    });
    const [back] = takenBack;
    return {
      why: back?.why,
      isWorse: back !== undefined,
      near: nearness.get(change),
      compared: back ? [] : compared,
    };
  } catch (error) {
    return nothing(whyNot(runtime, error));
  }
}

const fileIn = (bytes: Uint8Array): ModelFile => ({
  name: "part.onnx",
  byteLength: bytes.length,
  slice: (start, end) => bytes.slice(start, end).buffer as ArrayBuffer,
});
