/** Libraries for graphs, images and flows, and papers' authors: what no framework has. */
import {
  actNorm,
  actNormInverse,
  evoNormB0,
  evoNormS0,
  graphNorm,
  iterNorm,
  meanOnlyBatchNorm,
  pairNorm,
} from "../../../src/index.js";
import { type Case, type Framework, type Held, type Mapping, read } from "./golden.js";
import { affine } from "./pytorch.js";

const graph: Mapping = ({ arguments: { eps } }) => ({
  norm: graphNorm({ epsilon: eps }),
  weights: { ...affine, alpha: "mean_scale" },
});

const pair: Mapping = ({ arguments: { eps, scale, scale_individually } }) => ({
  norm: pairNorm({
    epsilon: eps,
    length: scale as number | undefined,
    ...(scale_individually === true && { individually: true, guard: "length" }),
  }),
});

/** Momentum here is the weight of the old value. */
const ours = (momentum: number | null | undefined) => 1 - (momentum ?? 0.1);

const bent = { ...affine, v: "v" };

const b0: Mapping = ({ arguments: { eps = 1e-3, momentum, apply_act } }) => ({
  norm: evoNormB0({
    axis: 1,
    epsilon: eps,
    momentum: ours(momentum),
    runningVariance: "unbiased",
    nonlinear: apply_act !== false,
  }),
  weights: { ...bent, runningVariance: "running_var" },
  ...(apply_act === false && { without: { running_var: "nothing is divided by it" } }),
});

const s0: Mapping = ({ arguments: { eps, groups = 32, group_size, apply_act }, steps }) => ({
  norm: evoNormS0({
    axis: 1,
    epsilon: eps,
    groups: group_size === undefined ? groups : steps[0].inputs[0].shape[1] / (group_size as number),
    nonlinear: apply_act !== false,
  }),
  weights: bent,
});

const flow = { axis: 1, logDeterminant: true };
const isGiven = (c: Case) => c.weights?.initialized.data[0] === 1;
const given = { logScale: "log_scale", beta: "shift", initialized: "initialized" };
const instead = "the first batch is written into it there, and beside it here";

/** What they keep of the first batch, from what is kept here. */
const kept = ({ initialMean, initialDeviation }: Held) => ({
  log_scale: initialDeviation.map((deviation) => -Math.log(deviation)),
  shift: initialMean.map((mean, c) => -mean / initialDeviation[c]),
});

const act: Mapping = (c) => {
  const norm = actNorm({ ...flow, epsilon: 0, variance: "unbiased" });
  if (isGiven(c)) return { norm, weights: given };
  return {
    norm,
    weights: { initialized: "initialized" },
    without: { log_scale: instead, shift: instead },
    after: {
      log_scale: (_, held) => kept(held).log_scale,
      shift: (_, held) => kept(held).shift,
    },
  };
};

const center: Mapping = ({ arguments: { momentum, affine } }) => ({
  norm: meanOnlyBatchNorm({ axis: 1, momentum: ours(momentum), center: affine !== false }),
  weights: { beta: "bias", runningMean: "running_mean" },
});

const iterative: Mapping = ({ arguments: a, steps }) => ({
  norm: iterNorm({
    axis: 1,
    epsilon: a.eps,
    iterations: a.T as number | undefined,
    momentum: ours(a.momentum),
    groups:
      a.num_channels === undefined
        ? ((a.num_groups as number | undefined) ?? 1)
        : steps[0].inputs[0].shape[1] / (a.num_channels as number),
    scale: a.affine !== false,
    center: a.affine !== false,
  }),
  weights: { ...affine, runningMean: "running_mean", runningWhitening: "running_wm" },
});

export const libraries: Framework = {
  file: read("libraries"),
  mappings: {
    "torch_geometric.nn.GraphNorm": graph,
    "torch_geometric.nn.PairNorm": pair,
    "timm.layers.EvoNorm2dB0": b0,
    "timm.layers.EvoNorm2dS0": s0,
    "nflows.transforms.ActNorm": act,
    "nflows.transforms.ActNorm.inverse": () => ({ norm: actNormInverse(flow), weights: given }),
    "IterNorm-pytorch.CenterNorm": center,
    "IterNorm-pytorch.IterNorm": iterative,
  },
  missing: {},
};
