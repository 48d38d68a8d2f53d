/** Operators that are a normalization by themselves. */
import type { Found, FoundNorm, Parameter } from "./found.js";
import type { Node } from "./graph.js";
import { inFloat } from "./recognize.js";
import type { Surroundings } from "./surroundings.js";

/** Those that are known, and which of their inputs are what. */
export const OWN: ReadonlyMap<string, { norm: FoundNorm; inputs: readonly string[]; epsilon: number }> =
  new Map(
    (
      [
        ["LayerNormalization", "layerNorm", "x gamma beta", 1e-5],
        ["RMSNormalization", "rmsNorm", "x gamma", 1e-5],
        ["SimplifiedLayerNormalization", "rmsNorm", "x gamma", 1e-5],
        ["SkipLayerNormalization", "layerNorm", "x skip gamma beta", 1e-12],
        ["SkipSimplifiedLayerNormalization", "rmsNorm", "x skip gamma", 1e-12],
        ["GroupNormalization", "groupNorm", "x gamma beta", 1e-5],
        ["GroupNorm", "groupNorm", "x gamma beta", 1e-5],
        ["InstanceNormalization", "instanceNorm", "x gamma beta", 1e-5],
        ["MeanVarianceNormalization", "instanceNorm", "x", 1e-9],
        ["LpNormalization", "unitNorm", "x", 0],
        ["BatchNormalization", "batchNorm", "x gamma beta mean variance", 1e-5],
        ["FusedBatchNorm", "batchNorm", "x gamma beta mean variance", 1e-4],
        ["FusedBatchNormV2", "batchNorm", "x gamma beta mean variance", 1e-4],
        ["FusedBatchNormV3", "batchNorm", "x gamma beta mean variance", 1e-4],
      ] as const
    ).map(([operator, norm, inputs, epsilon]) => [operator, { norm, inputs: inputs.split(" "), epsilon }]),
  );
/** An operator whose input is not known well enough to be followed, or which has statistics given. */
export async function ownNormalization(node: Node, surroundings: Surroundings): Promise<Found> {
  const { graph, settled } = surroundings;
  const { norm, inputs, epsilon } = OWN.get(node.operator) as NonNullable<ReturnType<typeof OWN.get>>;
  const [x, y] = [node.inputs[0], node.outputs[0]];
  const lengths = settled.shape(x);
  const rank = lengths?.length ?? 0;
  const number = (name: string, absent: number) => {
    const value = node.attributes.get(name)?.value;
    return typeof value === "number" ? value : absent;
  };
  const isPerChannel = norm === "batchNorm" || norm === "instanceNorm" || norm === "groupNorm";
  const format = node.attributes.get("data_format")?.value;
  const isLast = format === undefined ? graph.dialect === "tensorflow" : !String(format).startsWith("NC");
  const channels = isPerChannel ? (isLast ? rank - 1 : 1) : undefined;
  const all = Array.from({ length: rank }, (_, axis) => axis);
  const from = number("axis", -1);
  const kept = norm === "batchNorm" ? [channels] : norm === "instanceNorm" ? [0, channels] : [0];
  const axes =
    norm === "unitNorm" || !isPerChannel
      ? all.slice(from).slice(0, norm === "unitNorm" ? 1 : rank)
      : all.filter((axis) => !kept.includes(axis));
  const parameters: Partial<Record<string, Parameter>> = {};
  for (const [i, called] of inputs.entries()) {
    const constant = settled.constant(node.inputs[i] ?? "");
    if (i === 0 || called === "skip" || constant === undefined) continue;
    const values = Float64Array.from((await constant.read()) as ArrayLike<number>);
    const follows = isPerChannel && channels !== undefined ? [channels] : axes;
    parameters[called] = { name: constant.name, axes: follows, shape: constant.shape, values };
  }
  return {
    ...{ norm, graph, x, y, nodes: [node], isOperator: true, axes, channels, cancels: false },
    ...parameters,
    shape: surroundings.open(lengths ?? []),
    dtype: settled.dtype(x),
    groups: norm === "groupNorm" ? number("num_groups", number("groups", 1)) : undefined,
    epsilon: inFloat(number("epsilon", epsilon)),
    epsilonAt: "inside",
    statisticsType: isPerChannel && norm !== "groupNorm" ? settled.dtype(x) : "float32",
  };
}
