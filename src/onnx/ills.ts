/** What is ill of a network's normalizations: by how they are written, by their values, and by what they meet in a run. */
import type { Found, Parameter } from "../checkpoints/graphs/found.js";
import type { Node } from "../checkpoints/graphs/graph.js";
import { type Finding, healthOf } from "../checkpoints/normalizations/health.js";
import { numeral } from "../checkpoints/normalizations/normalization.js";
import type { FoundInModel } from "./find.js";
import { type Measure, MOST_HALF } from "./measure.js";
import type { MendOptions } from "./mends.js";
import { affineIn, isIdentity, isTraining } from "./mends-batch.js";
import { isGroupOperator, isNarrow, isOfInstances, OPERATORS } from "./mends-norms.js";
import { isOfWeight } from "./mends-weights.js";
import type { Model } from "./model.js";
import { Wiring } from "./wiring.js";

/** Something that is wrong of a normalization, or worth a look. */
export interface Ill {
  readonly kind: IllKind;
  /** Whether numbers are wrong, or may well be; whether it only costs time; or whether it is worth a look. */
  readonly severity: "wrong numbers" | "slow" | "odd";
  readonly norm: Found;
  /** One sentence, with the numbers. */
  readonly message: string;
  /** What kind of mend takes it away; undefined where there is none. */
  readonly mendedBy?: "operator" | "float32 statistics" | "constant" | "folding" | "evaluation";
}

export type IllKind =
  | "float16 statistics"
  | "E[x²] − E[x]²"
  | "epsilon lost in float16"
  | "variance below epsilon"
  | "gamma dead"
  | "not finite"
  | "training mode"
  | "statistics never set"
  | "negative variance stored"
  | "variance enormous"
  | "does nothing"
  | "written out although the opset has it"
  | "constant computed in each run";

/** What the health of a checkpoint's normalization is called here; what is left out does not tell of the graph. */
const KINDS: Readonly<Partial<Record<Finding["kind"], IllKind>>> = {
  nonfinite: "not finite",
  "negative-variance": "negative variance stored",
  "never-updated": "statistics never set",
  "variance-enormous": "variance enormous",
  "variance-near-zero": "variance below epsilon",
  "epsilon-matters": "variance below epsilon",
  "dead-channels": "gamma dead",
};

/** The relative spacing of each type's numbers, halved: what rounding loses at most. */
const ROUNDING: Readonly<Record<string, number>> = {
  float16: 2 ** -11,
  bfloat16: 2 ** -8,
  float32: 2 ** -24,
  float64: 2 ** -53,
};
/** A variance that is off by this part is wrong: twice what float16 can tell of y. */
const OFF = 1e-3;
/** The least normal number of float16, and the least of all. */
const LEAST_NORMAL_HALF = 2 ** -14;
const LEAST_HALF = 2 ** -24;

/**
 * What is ill, norm by norm in their order, what makes numbers wrong first.
 * @param measured what norms meet in a run, by `measure`; of those that are missing only what their graph and values tell
 * @param options `target`: the runtime whose own ills count too
 */
export function illsOf(
  model: Pick<Model, "opsets">,
  { norms }: Pick<FoundInModel, "norms">,
  measured: ReadonlyMap<Found, Measure> = new Map(),
  { target }: Pick<MendOptions, "target"> = {},
): readonly Ill[] {
  const order = ["wrong numbers", "slow", "odd"];
  return norms.flatMap((norm) => {
    const ills = illsOfNorm(norm, measured.get(norm), { opset: model.opsets.get("") ?? 0, target });
    return ills.sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity));
  });
}

/** What a model is run by. */
interface Runtime {
  readonly opset: number;
  readonly target?: MendOptions["target"];
}

function illsOfNorm(norm: Found, met: Measure | undefined, { opset, target }: Runtime): Ill[] {
  const isStored = norm.mean !== undefined || norm.variance !== undefined;
  const statistics =
    isStored || isOfWeight(norm) || isTraining(norm)
      ? []
      : [...inHalf(norm, met), ...cancelling(norm, met, target)];
  return [
    ...statistics,
    ...epsilonLost(norm),
    ...spreadBelow(norm, met),
    ...unhealthy(norm),
    ...inGraph(norm, opset),
  ];
}

function inHalf(norm: Found, met: Measure | undefined): Ill[] {
  const { statisticsType, isOperator } = norm;
  if (!isNarrow(statisticsType)) return [];
  // what an operator's statistics are taken in is the runtime's choice
  const taken = `its statistics ${isOperator ? "may be" : "are"} taken in ${statisticsType}`;
  const ill = (severity: Ill["severity"], message: string): Ill[] => [
    {
      kind: "float16 statistics",
      severity: isOperator ? "odd" : severity,
      norm,
      message: `${taken}: ${message}`,
      mendedBy: "float32 statistics",
    },
  ];
  if (statisticsType === "bfloat16") {
    return ill("odd", `it has 8 bits, and each rounding is off by up to ${percent(ROUNDING.bfloat16)}`);
  }
  if (met === undefined || Number.isNaN(met.largest)) {
    const what = norm.norm === "rmsNorm" || norm.cancels ? "values" : "differences from the mean";
    return ill(
      "wrong numbers",
      `${what} beyond ${rounded(Math.sqrt(MOST_HALF))} overflow when they are squared`,
    );
  }
  const values = `values up to ${rounded(met.largest)}`;
  if (met.largestSquare > MOST_HALF) {
    return ill(
      "wrong numbers",
      `squares of ${values} reach ${rounded(met.largestSquare)}, and it ends at ${MOST_HALF}`,
    );
  }
  const sum = `${met.each} squares of ${values} add up to ${rounded(met.largestSum)}`;
  return met.largestSum > MOST_HALF
    ? ill("wrong numbers", `${sum}, and it ends at ${MOST_HALF}`)
    : ill("odd", `${sum}; it ends at ${MOST_HALF}`);
}

function cancelling(norm: Found, met: Measure | undefined, target: MendOptions["target"]): Ill[] {
  const isRuntimes = target === "onnxruntime" && isGroupOperator(norm);
  if (!norm.cancels && !isRuntimes) return [];
  const type = norm.statisticsType ?? "float32";
  const rounding = ROUNDING[type] ?? ROUNDING.float32;
  const variance = isRuntimes ? "the variance of onnxruntime's GroupNormalization" : "its variance";
  const ill = (severity: Ill["severity"], message: string): Ill[] => [
    {
      kind: "E[x²] − E[x]²",
      severity,
      norm,
      message: `${variance} is E[x²] − E[x]², ${message}`,
      mendedBy: isRuntimes ? "operator" : "float32 statistics",
    },
  ];
  const limit = Math.sqrt(OFF / rounding);
  if (met === undefined || Number.isNaN(met.cancellation)) {
    return ill(
      "wrong numbers",
      `which ${type} loses where a mean is ${rounded(limit)} standard deviations from 0`,
    );
  }
  const text = `and a mean is ${rounded(Math.sqrt(met.cancellation))} standard deviations from 0`;
  const off = met.cancellation * rounding;
  return off > OFF
    ? ill(
        "wrong numbers",
        `${text}: ${type} leaves ${off >= 1 ? "nothing of it" : `an error of ${percent(off)}`}`,
      )
    : ill("odd", `${text}: ${type} bears up to ${rounded(limit)}`);
}

/** With three digits: in float16 an epsilon has no more. */
const shortly = (value: number): string => numeral(Number(value.toPrecision(3)));

/** Of norms that are written out in float16; operators have their epsilon in float32. */
function epsilonLost(norm: Found): Ill[] {
  const { epsilon, isOperator, statisticsType, nodes, graph } = norm;
  if (isOperator || statisticsType !== "float16") return [];
  const ill = (severity: Ill["severity"], message: string): Ill[] => [
    { kind: "epsilon lost in float16", severity, norm, message, mendedBy: "float32 statistics" },
  ];
  if (epsilon > 0 && epsilon <= LEAST_HALF / 2) {
    return ill(
      "wrong numbers",
      `its epsilon of ${shortly(epsilon)} is 0 in float16, so that a constant input gives NaN`,
    );
  }
  if (epsilon > 0 && epsilon < LEAST_NORMAL_HALF) {
    const bits = Math.max(1, Math.floor(Math.log2(epsilon / LEAST_HALF)) + 1);
    return ill(
      "odd",
      `its epsilon of ${shortly(epsilon)} is subnormal in float16: ${bits} of 11 bits are left, and none where subnormals are taken for 0`,
    );
  }
  const wiring = Wiring.of(graph);
  const isZero = (node: Node) =>
    node.operator === "Add" && node.inputs.some((name) => wiring.constant(name)?.shape.length === 0);
  return epsilon === 0 && nodes.some(isZero)
    ? ill(
        "wrong numbers",
        "what is added to its variance is 0 in float16, so that a constant input gives NaN",
      )
    : [];
}

function spreadBelow(norm: Found, met: Measure | undefined): Ill[] {
  if (met === undefined || met.belowEpsilon === 0 || norm.norm === "batchNorm" || norm.epsilon === 0)
    return [];
  const what = norm.norm === "rmsNorm" ? "mean square" : "variance";
  const share = `${met.belowEpsilon} of ${met.statistics}`;
  return [
    {
      kind: "variance below epsilon",
      severity: "odd",
      norm,
      message: `its ${what} is at most epsilon, ${shortly(norm.epsilon)}, in ${share} statistics: epsilon decides what it gives there`,
    },
  ];
}

/** What its values tell, as of a checkpoint. */
function unhealthy(norm: Found): Ill[] {
  const { gamma, beta, variance, epsilon } = norm;
  // a mean of 0 is none
  const zero = variance?.values && { ...variance, values: new Float64Array(variance.values.length) };
  const mean = norm.mean ?? (norm.norm === "batchNorm" ? zero : undefined);
  const stored = (parameters: Readonly<Record<string, Parameter | undefined>>) =>
    Object.fromEntries(
      Object.entries(parameters).flatMap(([name, one]) => (one?.values ? [[name, one.values] as const] : [])),
    );
  const { findings } = healthOf({
    name: norm.y,
    kind: norm.norm,
    options: { epsilon },
    weights: stored({ gamma, beta }),
    statistics: stored({ runningMean: mean, runningVariance: variance }),
    conversions: [],
    tensors: {},
  });
  return findings.flatMap(({ kind, sick, text }) => {
    const named = KINDS[kind];
    return named === undefined
      ? []
      : [
          {
            kind: named,
            severity: sick ? ("wrong numbers" as const) : ("odd" as const),
            norm,
            message: text,
          },
        ];
  });
}

/** What stands in the graph that need not. */
function inGraph(norm: Found, opset: number): Ill[] {
  const ills: Ill[] = [];
  const add = (ill: Omit<Ill, "norm">) => ills.push({ ...ill, norm });
  if (isTraining(norm)) {
    add({
      kind: "training mode",
      severity: "wrong numbers",
      message:
        "it normalizes by the batch that it runs on: what is given for one input depends on the others",
      mendedBy: "evaluation",
    });
  }
  const affine = affineIn(norm);
  if (affine && isIdentity(affine)) {
    add({
      kind: "does nothing",
      severity: "slow",
      message: "its factors are 1 and its offsets 0: it gives what it gets",
      mendedBy: "folding",
    });
  }
  if (isOfWeight(norm)) {
    add({
      kind: "constant computed in each run",
      severity: "slow",
      message: `a weight of [${norm.shape.join(", ")}] is normalized in each run by ${norm.nodes.length} nodes, and is always the same`,
      mendedBy: "constant",
    });
  }
  const [operator, since] = norm.norm in OPERATORS ? OPERATORS[norm.norm as keyof typeof OPERATORS] : [];
  const version = norm.nodes.find(({ domain }) => domain === "")?.opset ?? opset;
  const isWritten =
    norm.graph.dialect === "onnx" &&
    !norm.isOperator &&
    norm.nodes.length > 1 &&
    norm.epsilonAt === "inside" &&
    !isOfInstances(norm);
  if (isWritten && operator !== undefined && since !== undefined && version >= since) {
    add({
      kind: "written out although the opset has it",
      severity: "slow",
      message: `it is written out in ${norm.nodes.length} nodes, and opset ${version} has ${operator}`,
      mendedBy: "operator",
    });
  }
  return ills;
}

/** Three digits. */
function rounded(value: number): string {
  if (!Number.isFinite(value)) return value === Number.POSITIVE_INFINITY ? "infinitely many" : String(value);
  return String(Number(value.toPrecision(3)));
}

const percent = (value: number): string => `${rounded(100 * value)} %`;
