/**
 * The line figures of the report, each an SVG string. Colours are CSS variables (`--n-none`, `--n-layer`, …), so that one
 * drawing serves the light and the dark scheme, and the marks of each normalization carry its class (`s-none`,
 * `s-layer`, …), so that the page can hide them.
 */
import {
  type Axis,
  chosenAxis,
  linearAxis,
  magnitudeAxis,
  multiples,
  signedAxis,
  tightAxis,
} from "@evenkeel/report/axes";
import type { Figure } from "@evenkeel/report/draw";
import { formatNumber } from "@evenkeel/report/format";
import { isNumber, type Range, rangeOf } from "@evenkeel/report/statistics";
import { summarize } from "../comparison.js";
import type { NormName } from "../norms.js";
import {
  type Comparison,
  type Epoch,
  formatEpochs,
  formatTarget,
  metricOf,
  normsOf,
  type Probe,
  type Sweep,
  type Trial,
  trialsOf,
} from "../results.js";
import { settingName } from "../settings.js";
import {
  countAxis,
  type LineFigure,
  lineFigure,
  pointAt,
  pointsOf,
  type Reference,
  type Series,
  valuesOf,
} from "./line-figure.js";

/** A value that every epoch has. */
type EpochValue = "trainLoss" | "heldOutLoss" | "metric";

const isDiverged = ({ outcome }: Trial): boolean => outcome === "diverged";

/** One series per normalization, over the epochs or over the seconds that they took. */
function epochSeries(comparison: Comparison, value: EpochValue, across: "epoch" | "seconds"): Series[] {
  return normsOf(comparison).map((norm) => {
    const trials = trialsOf(comparison, norm);
    const last = Math.max(0, ...trials.map(({ epochs }) => epochs.length));
    const rows = Array.from({ length: last }, (_, i) => trials.flatMap(({ epochs }) => epochs[i] ?? []));
    const seeds = trials.map(({ epochs }) =>
      epochs.flatMap((epoch) => {
        const y = epoch[value];
        return isNumber(y) ? [{ x: epoch[across], y }] : [];
      }),
    );
    return {
      norm,
      points: pointsOf(
        rows.map((epochs) => ({
          x: medianOf(epochs.map((epoch) => epoch[across])),
          values: epochs.map((epoch) => epoch[value]),
        })),
      ),
      seeds: trials.length > 1 ? seeds : [],
      ends: trials.flatMap((trial, i) => (isDiverged(trial) ? (seeds[i]?.at(-1) ?? []) : [])),
    };
  });
}

const medianOf = (values: number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
};

/** The metric of a trial at some time: on the line between the two epochs about it, and after the last one as that left it. */
function metricAt(epochs: readonly Epoch[], seconds: number): number | null {
  const after = epochs.findIndex((epoch) => epoch.seconds >= seconds);
  if (after < 0) return epochs.at(-1)?.metric ?? null;
  const [from, to] = [epochs[after - 1] ?? epochs[after], epochs[after]];
  if (from.metric === null || to.metric === null) return null;
  const share = (seconds - from.seconds) / (to.seconds - from.seconds || 1);
  return from.metric + share * (to.metric - from.metric);
}

/** The metric at about twenty round times, which the normalizations have in common: from where all trials of one have begun until the last of them ends. */
function atTimes(comparison: Comparison, last: number): Series[] {
  const step = tightAxis(0, last).ticks[1] ?? last;
  const times = step > 0 ? multiples(step / 4, step / 4, last) : [];
  return normsOf(comparison).map((norm) => {
    const trials = trialsOf(comparison, norm).filter(({ epochs }) => epochs.length > 0);
    const start = Math.max(...trials.map(({ epochs }) => epochs[0].seconds));
    const end = Math.max(...trials.map(({ epochs }) => epochs[epochs.length - 1].seconds));
    return {
      norm,
      points: pointsOf(
        times.map((x) => ({
          x,
          values: x < start || x > end ? [] : trials.map(({ epochs }) => metricAt(epochs, x)),
        })),
      ),
      seeds: [],
      ends: [],
    };
  });
}

/** What guessing scores, as far as it is known. */
const guessing = ({ guess, metric }: Comparison): Reference[] => {
  const y = guess[metric];
  return isNumber(y) ? [{ y, line: "dashed", note: "Dashed: guessing." }] : [];
};

const target = (comparison: Comparison): Reference[] =>
  comparison.targetMetric === null
    ? []
    : [
        {
          y: comparison.targetMetric,
          line: "dotted",
          note: `Dotted: the target, ${formatTarget(comparison)}.`,
        },
      ];

/** The metric's axis: of all values, and of what is marked beside them. */
const metricAxis = (comparison: Comparison, series: Pick<Series, "points">[], marked: Reference[]): Axis =>
  metricOf(comparison).axis([...valuesOf(series), ...marked.map(({ y }) => y)]);

/** Losses and the held-out metric by epoch, and the metric by time. */
export function learningCurves(
  comparison: Comparison,
  document: Document,
): {
  trainLoss: Figure;
  heldOutLoss: Figure;
  log: boolean;
  metric: Figure;
  byTime: Figure;
} {
  const train = epochSeries(comparison, "trainLoss", "epoch");
  const heldOut = epochSeries(comparison, "heldOutLoss", "epoch");
  const metrics = epochSeries(comparison, "metric", "epoch");
  const timed = epochSeries(comparison, "metric", "seconds");
  const y = magnitudeAxis(valuesOf([...train, ...heldOut]));
  const { format } = metricOf(comparison);
  const marked = [...guessing(comparison), ...target(comparison)];
  const last = Math.max(
    0,
    ...comparison.trials.flatMap(({ epochs }) => epochs.at(-1)?.seconds ?? 0).filter(isNumber),
  );
  const epochs = { xLabel: "epoch", x: countAxis(1, Math.max(1, comparison.training.epochs)) };
  const metric = { y: metricAxis(comparison, metrics, marked), references: marked, format };
  return {
    trainLoss: lineFigure({ ...epochs, title: "Training loss by epoch", series: train, y }, document),
    heldOutLoss: lineFigure({ ...epochs, title: "Held-out loss by epoch", series: heldOut, y }, document),
    log: y.type === "log",
    metric: lineFigure(
      { ...epochs, ...metric, title: `Held-out ${comparison.metric} by epoch`, series: metrics },
      document,
    ),
    byTime: lineFigure(
      {
        ...metric,
        title: `Held-out ${comparison.metric} by time`,
        xLabel: "seconds of training",
        x: tightAxis(0, last > 0 ? last : 1),
        // seeds of one epoch are at several times: a band about the median of both would be of neither
        series: timed.map((each) => ({
          ...each,
          points: each.points.map(({ x, median }) => ({ x, low: median, median, high: median })),
        })),
        sampled: atTimes(comparison, last),
      },
      document,
    ),
  };
}

// ---- settings ----

/** Validation loss of the learning rates that the trials tried. */
export function triedRates(
  comparison: Comparison,
  document: Document,
): { figure: Figure; scale: Axis["type"] } {
  const rates = comparison.training.learningRates.toSorted((a, b) => a - b);
  const tried = ({ tried }: Trial, rate: number) => tried.find(({ learningRate }) => learningRate === rate);
  const series = normsOf(comparison).map((norm) => {
    const trials = trialsOf(comparison, norm);
    return {
      norm,
      points: pointsOf(rates.map((x) => ({ x, values: trials.map((trial) => tried(trial, x)?.loss) }))),
      lost: rates.filter((x) => trials.some((trial) => tried(trial, x)?.loss === null)),
    };
  });
  const y = magnitudeAxis(valuesOf(series));
  const title = "Validation loss by learning rate";
  return {
    figure: againstSetting({ title, xLabel: "learning rate", values: rates, series, y }, document),
    scale: y.type,
  };
}

/** The metric, the epochs to the target and the evenness of the gradient against the setting that was swept. */
export function sweepFigures(
  comparison: Comparison,
  { setting, points }: Sweep,
  document: Document,
): { metric: Figure; epochsToTarget?: Figure; gradientRatio?: Figure } {
  const name = settingName(setting);
  const values = points.map(({ value }) => value);
  const seriesOf = (rangeOfTrials: (own: Trial[], norm: NormName) => Range): Series[] =>
    normsOf(comparison).map((norm) => ({
      norm,
      points: points.map(({ value, trials }) =>
        pointAt(
          value,
          rangeOfTrials(
            trials.filter((trial) => trial.norm === norm),
            norm,
          ),
        ),
      ),
      seeds: [],
      ends: [],
    }));
  const summarized = (measure: "metric" | "gradientRatio") =>
    seriesOf((own, norm) => summarize([norm], own, comparison.metric)[0][measure]);
  const lost = (norm: NormName) =>
    points.flatMap(({ value, trials }) =>
      trials.some((trial) => trial.norm === norm && isDiverged(trial)) ? [value] : [],
    );
  const metrics = summarized("metric").map(({ norm, points }) => ({ norm, points, lost: lost(norm) }));
  const guess = guessing(comparison);
  // the median of those that reached it alone would praise who hardly does
  const late = comparison.training.epochs + 1;
  const epochs = seriesOf((own) => rangeOf(own.map(({ epochsToTarget }) => epochsToTarget ?? late)));
  const common = { xLabel: name, x: chosenAxis(values), dots: true };
  const ratios = summarized("gradientRatio");
  return {
    metric: againstSetting(
      {
        title: `Held-out ${comparison.metric} by ${name}`,
        xLabel: name,
        values,
        series: metrics,
        y: metricAxis(comparison, metrics, guess),
        references: guess,
        format: metricOf(comparison).format,
      },
      document,
    ),
    epochsToTarget: valuesOf(epochs).some((value) => value < late)
      ? lineFigure(
          {
            ...common,
            title: `Epochs to the target by ${name}`,
            y: linearAxis(0, late),
            series: epochs,
            references: [{ y: late, line: "dotted", note: `Dotted: ${late}, which stands for not reached.` }],
            format: formatEpochs,
          },
          document,
        )
      : undefined,
    gradientRatio:
      valuesOf(ratios).length > 0
        ? lineFigure(
            {
              ...common,
              title: `Gradient, first layer over last, by ${name}`,
              y: magnitudeAxis([1, ...valuesOf(ratios)], true),
              series: ratios,
              references: [{ y: 1, line: "dashed", note: "Dashed: 1, an even gradient." }],
            },
            document,
          )
        : undefined,
  };
}

/** A measure against values of a setting. */
function againstSetting(
  {
    values,
    series,
    ...rest
  }: Omit<LineFigure, "series" | "x"> & {
    values: number[];
    /** `lost`: the values at which trials diverged. */
    series: (Pick<Series, "norm" | "points"> & { lost: number[] })[];
  },
  document: Document,
): Figure {
  return lineFigure(
    {
      ...rest,
      x: chosenAxis(values),
      dots: true,
      series: series.map(({ norm, points, lost }) => ({
        norm,
        points,
        seeds: [],
        ends: lost.map((x) => ({ x, y: rest.y.domain[0] })),
      })),
    },
    document,
  );
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
    return { norm, points, seeds: [], ends: [] };
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
    x: countAxis(1, depth),
    // the way the signal travels: gradients from the last layer to the first, activations the other way
    reverse: value === "gradientNorm",
    y,
    format: formatNumber,
  };
  return {
    first: lineFigure({ ...common, title: `${name}, first probe`, series: first }, document),
    last: lineFigure({ ...common, title: `${name}, last probe`, series: last }, document),
    firstStep: steps.size === 1 ? ([...steps][0] ?? null) : null,
    scale: y.type,
  };
}
