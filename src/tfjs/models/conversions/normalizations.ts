/** A normalization's weights, as `normalizationsOf` has mapped them, and options that differ. */
import type { MappedNormalization } from "../../../checkpoints/normalizations/normalization.js";
import { type Catalog, catalog } from "../../../norms/catalog.js";
import { sizeOf } from "../../../shape.js";
import { NormalizationLayer } from "../../layers/normalization-layer.js";
import type { LayerWeights } from "../layer-weights.js";
import { type NamedTensors, tensorOf } from "../modules.js";
import { type Conversion, conversion, fitting, type Made } from "./conversion.js";

/** By our names of weights, after the conversions that `normalizationsOf` has made. */
export function ofNormalization(
  { layer, weights, ...others }: LayerWeights,
  module: NamedTensors,
  mapped: MappedNormalization,
  layout: "pytorch" | "keras",
): Conversion | string {
  const config = layer.getConfig() as Readonly<Record<string, unknown>>;
  const kind =
    layer instanceof NormalizationLayer ? layer.normalization.name : kindOfBuiltIn(layer.getClassName());
  const hasStatistics = weights.has("runningMean");
  if (hasStatistics && mapped.statistics.runningMean === undefined)
    return "no running statistics in the file";
  if (!hasStatistics && mapped.statistics.runningMean !== undefined)
    return `running statistics in the file, none in this ${kind}`;
  if (
    mapped.type !== undefined &&
    FAMILIES.some((family) => family.includes(mapped.kind) !== family.includes(kind))
  ) {
    return `${mapped.type} in the file, ${kind} here`;
  }
  const says = [...mapped.conversions];
  const offset = ((mapped.options.offset ?? 0) as number) - ((config.offset ?? 0) as number);
  const made: Made[] = [];
  for (const [role, variable] of weights) {
    const shape = variable.shape as number[];
    const values = mapped.weights[role] ?? mapped.statistics[role];
    if (values === undefined) {
      const initial =
        role === "gamma" ? 1 - ((config.offset ?? 0) as number) : role === "beta" ? 0 : undefined;
      if (initial !== undefined) {
        says.push(`no ${role} in the file: ${initial}`);
        made.push({ variable, tensors: [], make: () => new Float32Array(sizeOf(shape)).fill(initial) });
      } else {
        const own = tensorOf(role, module);
        if (own) made.push({ variable, tensors: [own], make: ([numbers]) => numbers });
        else if (!COUNTED.includes(role)) return `no ${role} in the file`;
      }
      continue;
    }
    const tensor = mapped.tensors[role];
    const shifted = role === "gamma" && offset !== 0 ? values.map((value) => value + offset) : values;
    if (shifted !== values) says.push(`gamma plus ${offset}: it is stored less that in the file`);
    const fitted = fitting(
      { layer, weights, ...others },
      role,
      shape,
      tensor?.shape ?? [values.length],
      layout,
    );
    if (typeof fitted !== "string") {
      says.push(...(fitted.says ? [`${role}: ${fitted.says}`] : []));
      made.push({ variable, tensors: tensor ? [tensor] : [], make: () => fitted.turn(shifted) });
    } else if (values.length < sizeOf(shape) && sizeOf(shape) % values.length === 0) {
      const each = sizeOf(shape) / values.length;
      says.push(`${role}: ${values.length} for groups of ${each} channels`);
      const spread = Float32Array.from({ length: sizeOf(shape) }, (_, i) => shifted[Math.floor(i / each)]);
      made.push({ variable, tensors: tensor ? [tensor] : [], make: () => spread });
    } else return fitted;
  }
  const excess = Object.entries({ gamma: 1 - ((mapped.options.offset ?? 0) as number), beta: 0 }).filter(
    ([role]) => mapped.weights[role] !== undefined && !weights.has(role),
  );
  const problem = () => {
    for (const [role, neutral] of excess) {
      if (mapped.weights[role].every((value) => value === neutral)) continue;
      const option = role === "gamma" ? "scale" : "center";
      const has = `the file has one that is not ${neutral} everywhere`;
      return `${layer.name} has no ${role}, ${has}: make the layer with ${option}: true`;
    }
    return undefined;
  };
  for (const [role, neutral] of excess)
    says.push(`${role} is ${neutral} everywhere in the file, and absent here`);
  // what is not in the formula, such as a gamma that is fixed
  const also = Object.values(module.tensors);
  return conversion(made, says, { warnings: differences(config, kind, mapped), problem, also });
}

/** State that starts anew where the file does not have it: counters, and limits that are options in Keras. */
const COUNTED = ["runningCount", "rMax", "rMin", "dMax"];

/** What must not be taken for one another where the file names its class. */
const FAMILIES: readonly (readonly string[])[] = [
  ["batchNorm", "ghostBatchNorm", "batchRenorm", "batchLayerNorm"],
  ["rmsNorm"],
];

const kindOfBuiltIn = (className: string) => (className === "BatchNormalization" ? "batchNorm" : "layerNorm");

/** Options by which the outputs differ. */
function differences(
  config: Readonly<Record<string, unknown>>,
  kind: string,
  mapped: MappedNormalization,
): string[] {
  const defaultOf = (name: string, option: string) =>
    (catalog[name as keyof Catalog]?.defaults as Readonly<Record<string, unknown>> | undefined)?.[option];
  const lines: string[] = [];
  const epsilon = mapped.options.epsilon ?? defaultOf(mapped.kind, "epsilon");
  const here = config.epsilon ?? defaultOf(kind, "epsilon");
  const both = typeof epsilon === "number" && typeof here === "number";
  if (both && Math.abs(epsilon - here) > 1e-6 * Math.max(epsilon, here)) {
    // by default, or by a configuration that does not name layers
    const assumed = mapped.conversions.find((line) =>
      /^epsilon not in the file: |^epsilon .* of config\.json/.test(line),
    );
    const why = /config\.json/.test(assumed ?? "") ? "config.json" : "default where it was trained";
    lines.push(
      assumed
        ? `epsilon ${short(here)} in the layer, ${short(epsilon)} by ${why}; the file does not say`
        : `epsilon ${short(epsilon)} in the file, ${short(here)} in the layer: make it with epsilon: ${short(epsilon)}`,
    );
  }
  const groups = mapped.options.groups;
  if (kind === "groupNorm" && typeof groups === "number" && groups !== config.groups) {
    lines.push(`groups ${groups} in the file, ${config.groups} in the layer: make it with groups: ${groups}`);
  }
  return lines;
}

function short(value: number): string {
  const rounded = Number(value.toPrecision(7));
  return rounded !== 0 && Math.abs(rounded) < 1e-3 ? rounded.toExponential() : String(rounded);
}
