/** Weights that are normalized anew in each run though nothing of it changes: weight and spectral normalization, weight standardization. */
import { evaluated } from "../checkpoints/graphs/evaluate.js";
import type { Found } from "../checkpoints/graphs/found.js";
import type { Mend } from "../checkpoints/graphs/graph.js";
import { settle } from "../checkpoints/graphs/shapes.js";
import { counted, Draft, type FloatType, type Place } from "./draft.js";
import type { Budget } from "./mends-batch.js";

const NORMS: ReadonlySet<string> = new Set(["weightNorm", "spectralNorm", "weightStandardization"]);

export const isOfWeight = ({ norm }: Pick<Found, "norm">): boolean => NORMS.has(norm);

/** The weight as a constant, in float64 and rounded once; undefined where it depends on what the network is given, or is too large. */
export async function weightMend(found: Found, place: Place, budget: Budget): Promise<Mend | undefined> {
  const { graph, y, nodes, norm } = found;
  const dtype = (await settle(graph, 0)).dtype(y);
  if (!isStored(dtype)) return undefined;
  const value = (await evaluated(graph, [y], { most: budget.values })).get(y);
  if (value === undefined || !value.data.every(Number.isFinite)) return undefined;
  const draft = new Draft(place, y);
  draft.gives(draft.constant("constant", { shape: value.shape, dtype, values: value.data }), y);
  const mend = draft.mend((count) => `${SPELLED[norm]} made a constant in place of ${counted(count)}`, nodes);
  if (mend) budget.values -= value.data.length;
  return mend;
}

const SPELLED: Readonly<Record<string, string>> = {
  weightNorm: "weight normalization",
  spectralNorm: "spectral normalization",
  weightStandardization: "weight standardization",
};

function isStored(dtype: string | undefined): dtype is FloatType | "float64" {
  return dtype === "float32" || dtype === "float16" || dtype === "bfloat16" || dtype === "float64";
}
