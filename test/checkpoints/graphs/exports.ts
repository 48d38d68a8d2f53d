/** What the finder finds in models that real exporters made, and what it should. */
import { find } from "../../../src/checkpoints/graphs/find.js";
import type { Found, Parameter } from "../../../src/checkpoints/graphs/found.js";
import { openModel } from "../../../src/onnx/model.js";
import { type ExpectedNorm, type Exported, exportsOf } from "../../support/onnx-exports.js";

const KINDS = {
  layerNorm: "layer",
  rmsNorm: "rms",
  groupNorm: "group",
  instanceNorm: "instance",
  batchNorm: "batch",
  unitNorm: "l2",
  weightNorm: "weight",
  spectralNorm: "spectral",
  weightStandardization: "weightStandardization",
} as const satisfies Record<Found["norm"], ExpectedNorm["kind"]>;

const isAll = (parameter: Parameter | undefined, value: number) =>
  parameter === undefined || parameter.values?.every((one) => one === value) === true;

/**
 * What is missed: group normalization of a sequence whose batch and steps are joined before its groups are, and a bound that is infinite
 * in float16.
 */
const MISSED = /^group-sequence-(opset1[58]|opset13-half|static)|^unit-opset1[37]-half/;

/** Every `step`th model of a pack of which what is found is not what is expected: its name and both. */
export async function differencesIn(pack: string, step = 1): Promise<string[]> {
  const differences: string[] = [];
  for (const [i, exported] of (await exportsOf(pack)).entries()) {
    if (i % step !== 0 || MISSED.test(exported.name)) continue;
    const found = await foundIn(exported);
    const expected = exported.entry.norms;
    const isRight = matched(found, expected, exported.entry.maybe);
    if (!isRight) differences.push(`${exported.name}: ${found.map(told)}, expected ${expected.map(said)}`);
  }
  return differences;
}

async function foundIn({ name, entry, model, weights }: Exported): Promise<Found[]> {
  const opened =
    weights === undefined
      ? await openModel(model, { name: `${name}.onnx` })
      : await openModel(
          new Map([
            [entry.file, model],
            [JSON.parse(new TextDecoder().decode(model)).weightsManifest[0].paths[0] as string, weights],
          ]),
        );
  const found: Found[] = [];
  for (const graph of opened.graphs) found.push(...(await find(graph)).norms);
  return found;
}

/** Each expected one is found, and whatever else is found may be. */
function matched(
  found: readonly Found[],
  expected: readonly ExpectedNorm[],
  maybe: Exported["entry"]["maybe"],
) {
  const left = [...found];
  const take = (fits: (one: Found) => boolean): boolean => {
    const at = left.findIndex(fits);
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  };
  const all = expected.every((norm) => take((one) => isSame(one, norm)));
  for (const norm of maybe) take((one) => KINDS[one.norm] === norm.kind);
  return all && left.length === 0;
}

function isSame(found: Found, expected: ExpectedNorm): boolean {
  const { kind, axes, groups, epsilon, hasGamma, hasBeta, form, variance, epsilonAt = "inside" } = expected;
  return (
    KINDS[found.norm] === kind &&
    // of instances, groups say how many channels there are
    (kind !== "group" || found.groups === groups) &&
    (axes === null || String(axes) === String(found.axes)) &&
    isNear(found.epsilon, epsilon) &&
    (found.epsilon < 1e-6 || found.epsilonAt === epsilonAt) &&
    hasGamma === !isAll(found.gamma, 1) &&
    hasBeta === !isAll(found.beta, 0) &&
    (form === "operator") === found.isOperator &&
    (variance === "E[x²]−E[x]²") === found.cancels
  );
}

/** An epsilon in float16 has three digits, and one below 1e-6 few or none. */
function isNear(found: number, expected: number | null): boolean {
  if (expected === null || (expected <= 1e-6 && found <= 1e-6)) return true;
  return Math.abs(found - expected) <= 0.02 * expected;
}

const told = ({ norm, axes, groups, epsilon, epsilonAt, gamma, beta, isOperator, cancels }: Found) =>
  `${KINDS[norm]} over ${axes} ${groups ?? ""} ${epsilon} ${epsilonAt} ${!isAll(gamma, 1) ? "gamma" : ""} ${
    !isAll(beta, 0) ? "beta" : ""
  } ${isOperator ? "operator" : "written out"} ${cancels ? "cancels" : ""}`;

const said = ({ kind, axes, groups, epsilon, epsilonAt, hasGamma, hasBeta, form, variance }: ExpectedNorm) =>
  `${kind} over ${axes} ${groups ?? ""} ${epsilon} ${epsilonAt ?? "inside"} ${hasGamma ? "gamma" : ""} ${
    hasBeta ? "beta" : ""
  } ${form} ${variance}`;
