/** What depends on what, found while nothing else is to be done. */
import type { Evenkeel } from "evenkeel";
import { useEffect, useState } from "preact/hooks";
import { type Elements, influencing } from "../../../scripts/docs/influence.mjs";
import { type Experiment, outputsOf } from "./experiment.ts";
import { inSlices } from "./slices.ts";

/** For each element of y, and of everything measured, the elements of x that change it. */
export type Found = readonly Elements[];

/** @param wanted false: not yet */
export function useInfluences(
  ek: Evenkeel,
  experiment: Experiment,
  training: boolean,
  wanted: boolean,
): Found | undefined {
  const [found, setFound] = useState<{ of: Experiment; training: boolean; elements: Found }>();
  useEffect(() => {
    if (!wanted) return;
    const { run, values } = outputsOf(ek, experiment, training);
    return inSlices(influencing(run, values), (elements) => setFound({ of: experiment, training, elements }));
  }, [ek, experiment, training, wanted]);
  // what was found for other options says nothing of these
  return found?.of === experiment && found.training === training ? found.elements : undefined;
}
