/** fastai: PyTorch's layers with other starting values, and with the layers around them. */
import {
  batchNorm,
  conventions,
  instanceNorm,
  type Normalization,
  Standardizer,
  weightNorm,
} from "../../../src/index.js";
import { around, convolutionFirst, linear, part, relu, state } from "./around.js";
import { type Framework, float64, given, type Mapping, read, same } from "./golden.js";
import { imagesOf, pixels, standardizerOf } from "./images.js";
import { affine, batch, instance, running, spectral, tracking, uncounted } from "./pytorch.js";

/** Names of the weights of the layer at this place of a sequence. */
const at = (place: number, names: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(names).map(([ours, theirs]) => [ours, `${place}.${theirs}`]));

const batchState = (place: number, channels: number) => ({
  ...state([`${place}.running_mean`], channels),
  ...state([`${place}.running_var`], channels, 1),
});

const counting = (place: number) => ({ [`${place}.num_batches_tracked`]: uncounted.num_batches_tracked });

/** Features last, whatever the axes before them. */
const flat: Mapping = ({ arguments: a }) => ({
  norm: batchNorm(given(conventions.fastai.batchNorm, { axis: -1, epsilon: a.eps, ...tracking(a) })),
  weights: { ...affine, ...running },
  without: uncounted,
});

const linBnDrop: Mapping = (c) => {
  const { n_in, n_out, lin_first = false, bn = true } = c.arguments;
  if (!bn)
    return around(c, (ops, [x], weights) => ({ y: linear(ops, x, weights["0.weight"], weights["0.bias"]) }));
  const place = lin_first ? 1 : 0;
  const normalize = part(
    batchNorm(given(conventions.fastai.batchNorm, { axis: -1 })),
    at(place, { ...affine, ...running }),
  );
  return {
    ...around(
      c,
      (ops, [x], weights, options) => {
        if (!lin_first) {
          const { y, state } = normalize(ops, [x], weights, options);
          return { y: linear(ops, y, weights["1.weight"]), state };
        }
        return normalize(ops, [linear(ops, x, weights["0.weight"])], weights, options);
      },
      batchState(place, (lin_first ? n_out : n_in) as number),
    ),
    without: counting(place),
  };
};

const convLayer: Mapping = (c) => {
  const { norm_type = "NormType.Batch", bn_1st = true, nf } = c.arguments;
  if (norm_type === "NormType.Weight") {
    const normalize = part(weightNorm({ axis: 0, epsilon: 0 }), { g: "0.weight_g" });
    return {
      ...around(c, (ops, [x], weights, options) => {
        const { y: kernel } = normalize(ops, [weights["0.weight_v"]], weights, options);
        return { y: relu(ops, convolutionFirst(ops, x, kernel, weights["0.bias"])), more: [kernel] };
      }),
      outputs: ({ y }) => [y],
      after: { "0.weight": ({ more }) => more[0].data },
    };
  }
  if (norm_type === "NormType.Spectral") {
    const own = {
      weight: "0.weight_orig",
      u: "0.weight_u",
      v: "0.weight_v",
      bias: "0.bias",
      after: "0.weight",
    };
    return spectral(own, () => 0, relu)(c);
  }
  const batched = String(norm_type).startsWith("NormType.Batch");
  const place = bn_1st ? 1 : 2;
  const norm: Normalization = batched
    ? batchNorm(conventions.fastai.batchNorm)
    : instanceNorm(conventions.fastai.instanceNorm);
  const normalize = part(norm, at(place, batched ? { ...affine, ...running } : affine));
  return {
    ...around(
      c,
      (ops, [x], weights, options) => {
        const y = convolutionFirst(ops, x, weights["0.weight"], weights["0.bias"]);
        if (!bn_1st) return normalize(ops, [relu(ops, y)], weights, options);
        const ran = normalize(ops, [y], weights, options);
        return { ...ran, y: relu(ops, ran.y) };
      },
      batched ? batchState(place, nf as number) : {},
    ),
    without: counting(place),
  };
};

/** By given statistics; by those of a batch, whose deviation is unbiased and has 1e-7 added to it; of a table's columns. */
const normalize: Mapping = (c) => () => {
  const [step] = c.steps;
  const [x] = step.inputs;
  const [y] = step.outputs;
  const { mean, std } = c.arguments;
  if (mean && std) {
    const standardizer = standardizerOf(mean, std);
    const images = standardizer.transform(pixels(x));
    same("y", imagesOf(images, x.shape), y);
    const decoded = standardizer.inverse(images);
    if (step.after) same("decoded", imagesOf(decoded, x.shape), step.after.decoded);
  } else if (c.weights) {
    const standardizer = new Standardizer({ variance: "unbiased" }).fit(pixels(c.weights.batch));
    same("mean", standardizer.mean, c.weights.mean, { singly: true });
    same("std", standardizer.variance.map(Math.sqrt), c.weights.std, { singly: true });
    const images = standardizer.transform(pixels(x));
    same("y", imagesOf(images, x.shape), y, { singly: true });
  } else {
    const table = new Standardizer().fitTransform(float64(x));
    same("y", table.data, y, { singly: true });
  }
};

export const fastai: Framework = {
  file: read("fastai"),
  mappings: {
    "layers.BatchNorm": batch,
    "layers.InstanceNorm": (c) => instance({ ...c, arguments: { affine: true, ...c.arguments } }),
    "layers.BatchNorm1dFlat": flat,
    "layers.LinBnDrop": linBnDrop,
    "layers.ConvLayer(norm_type)": convLayer,
    "transforms.Normalize": normalize,
  },
  missing: {},
};
