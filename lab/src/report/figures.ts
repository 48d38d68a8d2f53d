/**
 * The line figures of the report, each an SVG string. Colours are CSS variables (`--n-none`, `--n-layer`, …), so that one
 * drawing serves the light and the dark scheme, and the marks of each normalization carry its class (`s-none`,
 * `s-layer`, …), so that the page can hide them.
 */
import { type Axis, magnitudeAxis, signedAxis } from "@evenkeel/report/axes";
import type { Figure } from "@evenkeel/report/draw";
import { isNumber } from "@evenkeel/report/statistics";
import { type Comparison, metricOf, normsOf, type Probe, trialsOf } from "../results.js";
import { lineFigure, pointsOf, type Series, valuesOf } from "./line-figure.js";

/** One series per normalization from a value that every epoch has. */
function epochSeries(comparison: Comparison, value: "trainLoss" | "metric"): Series[] {
  return normsOf(comparison).map((norm) => {
    const trials = trialsOf(comparison, norm);
    const epochs = [...new Set(trials.flatMap((trial) => trial.epochs.map(({ epoch }) => epoch)))].sort(
      (a, b) => a - b,
    );
    const ends = trials
      .filter(({ outcome }) => outcome === "diverged")
      .flatMap((trial) => {
        const last = trial.epochs.filter((epoch) => isNumber(epoch[value])).at(-1);
        return last && isNumber(last[value]) ? [{ x: last.epoch, y: last[value] }] : [];
      });
    const points = pointsOf(
      epochs.map((x) => ({
        x,
        values: trials.map((trial) => trial.epochs.find(({ epoch }) => epoch === x)?.[value]),
      })),
    );
    return { norm, points, ends };
  });
}

/** Training loss and the held-out metric by epoch. */
export function learningCurves(
  comparison: Comparison,
  document: Document,
): { loss: Figure & { log: boolean }; metric: Figure } {
  const xDomain: [number, number] = [1, Math.max(1, comparison.training.epochs)];
  const losses = epochSeries(comparison, "trainLoss");
  const metrics = epochSeries(comparison, "metric");
  const lossAxis = magnitudeAxis(valuesOf(losses));
  const metricAxis = metricOf(comparison).axis([
    ...valuesOf(metrics),
    ...(comparison.targetMetric === null ? [] : [comparison.targetMetric]),
  ]);
  const common = { xLabel: "epoch", xDomain };
  return {
    loss: {
      ...lineFigure({ ...common, title: "Training loss by epoch", series: losses, y: lossAxis }, document),
      log: lossAxis.type === "log",
    },
    metric: lineFigure(
      {
        ...common,
        title: `Held-out ${comparison.metric} by epoch`,
        series: metrics,
        y: metricAxis,
        target: comparison.targetMetric ?? undefined,
      },
      document,
    ),
  };
}

// ---- profiles over the depth ----

type ProbeValue = "gradientNorm" | "activationMean" | "activationSpread";

/** A pair of figures with one vertical axis: at the first probe of each trial, and at its last one with numbers. */
export interface Profile {
  first: Figure;
  last: Figure;
  /** The step of the first probe, where all trials agree on it. */
  firstStep: number | null;
  scale: Axis["type"];
}

function depthSeries(
  comparison: Comparison,
  value: ProbeValue,
  choose: (probes: Probe[]) => Probe | undefined,
): Series[] {
  return normsOf(comparison).map((norm) => {
    const chosen = trialsOf(comparison, norm).map(({ probes }) =>
      choose(probes.filter((probe) => probe[value].some(isNumber))),
    );
    const depth = Math.max(0, ...chosen.map((probe) => probe?.[value].length ?? 0));
    const points = pointsOf(
      Array.from({ length: depth }, (_, layer) => ({
        x: layer + 1,
        values: chosen.map((probe) => probe?.[value][layer]),
      })),
    );
    return { norm, points, ends: [] };
  });
}

/** Gradient norm, or mean or standard deviation of the activations, by depth, at the start and at the end of training. */
export function depthProfile(comparison: Comparison, value: ProbeValue, document: Document): Profile {
  const first = depthSeries(comparison, value, (probes) => probes[0]);
  const last = depthSeries(comparison, value, (probes) => probes.at(-1));
  const values = valuesOf([...first, ...last]);
  const y = value === "activationMean" ? signedAxis(values) : magnitudeAxis(values, value === "gradientNorm");
  const depth = Math.max(1, ...[...first, ...last].flatMap(({ points }) => points.map(({ x }) => x)));
  const steps = new Set(comparison.trials.flatMap(({ probes }) => (probes[0] ? [probes[0].step] : [])));
  const name = {
    gradientNorm: "Gradient norm by layer",
    activationMean: "Mean activation by layer",
    activationSpread: "Standard deviation of the activations by layer",
  }[value];
  const common = {
    xLabel: "layer (1 = next to the input)",
    xDomain: [1, depth] as [number, number],
    // the way the signal travels: gradients from the last layer to the first, activations the other way
    reverse: value === "gradientNorm",
    y,
  };
  return {
    first: lineFigure({ ...common, title: `${name}, first probe`, series: first }, document),
    last: lineFigure({ ...common, title: `${name}, last probe`, series: last }, document),
    firstStep: steps.size === 1 ? ([...steps][0] ?? null) : null,
    scale: y.type,
  };
}
