/** What depends on what, found while nothing else is to be done. */
import type { Evenkeel } from "evenkeel";
import { useEffect, useState } from "preact/hooks";
import { type Elements, influencing } from "../../../scripts/docs/influence.mjs";
import { type Experiment, outputsOf } from "./experiment.ts";

/** For each element of y, and of everything measured, the elements of x that change it. */
export type Found = readonly Elements[];

/** Milliseconds that a slice takes, if one element does not take longer. */
const SLICE = 8;

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
    const steps = influencing(run, values);
    const slice = () => {
      const end = performance.now() + SLICE;
      do {
        const { done, value } = steps.next();
        if (done) {
          setFound({ of: experiment, training, elements: value });
          return;
        }
      } while (performance.now() < end);
      waiting = setTimeout(slice, 4);
    };
    let waiting = setTimeout(slice, 0);
    return () => clearTimeout(waiting);
  }, [ek, experiment, training, wanted]);
  // what was found for other options says nothing of these
  return found?.of === experiment && found.training === training ? found.elements : undefined;
}
