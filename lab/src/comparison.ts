/** What the trials of several normalizations amount to. */
import { rangeOf } from "@evenkeel/report/statistics";
import type { NormName } from "./norms.js";
import type { Probe, Summary, Trial } from "./results.js";

/**
 * The default target: nine tenths of the way from guessing to the best metric of any epoch; null where no epoch was
 * above `level`, up to which a metric is guessing.
 */
export function targetOf(trials: readonly Trial[], baseline: number, level: number): number | null {
  let best = baseline;
  for (const { epochs } of trials) {
    for (const { metric } of epochs) best = Math.max(best, metric ?? baseline);
  }
  return best <= level ? null : baseline + 0.9 * (best - baseline);
}

/** The trials, each with the first epoch at which it reached the target. */
export function withTarget(trials: readonly Trial[], target: number | null): Trial[] {
  return trials.map((trial) => {
    const reached = trial.epochs.find(({ metric }) => metric !== null && target !== null && metric >= target);
    return { ...trial, epochsToTarget: reached?.epoch ?? null };
  });
}

/** One row per normalization, in the order given. The metric of a diverged trial does not count: it has none. */
export function summarize(norms: readonly NormName[], trials: readonly Trial[]): Summary[] {
  return norms.map((norm) => {
    const own = trials.filter((trial) => trial.norm === norm);
    const finished = own.filter(({ outcome }) => outcome === "finished");
    const reached = own.flatMap(({ epochsToTarget }) => epochsToTarget ?? []);
    return {
      norm,
      trials: own.length,
      diverged: own.length - finished.length,
      metric: rangeOf(finished.map(({ epochs }) => epochs.at(-1)?.metric ?? null)),
      epochsToTarget: { ...rangeOf(reached), reached: reached.length },
      stepMs: rangeOf(own.map(({ stepMs }) => stepMs)),
      gradientRatio: rangeOf(own.map(({ probes }) => gradientRatio(probes))),
    };
  });
}

/** Median over the probes of the first layer's gradient norm divided by the last one's. */
function gradientRatio(probes: readonly Probe[]): number | null {
  const ratios = probes.map(({ gradientNorm }) => {
    const [first, last] = [gradientNorm[0], gradientNorm.at(-1)];
    return typeof first === "number" && typeof last === "number" && last > 0 ? first / last : null;
  });
  return rangeOf(ratios).median;
}
