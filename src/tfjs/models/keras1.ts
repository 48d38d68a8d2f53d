/**
 * Layers of Keras 1 as those of Keras 2: names of classes and options (keras/legacy/interfaces.py of Keras 2 has them too), and merges, which
 * were one class. What computes otherwise than in Keras 2 is refused.
 */
import { described } from "../../shape.js";

type Saved = Readonly<Record<string, unknown>>;

/** The layer's: what `dim_ordering` it has where it does not say it, and its error. */
interface Reading {
  readonly ordering?: unknown;
  fail(problem: string, remedy?: string): Error;
}

/** Names of options, by Keras 2's. */
const OPTIONS: Readonly<Record<string, string>> = {
  nb_filter: "filters",
  output_dim: "units",
  border_mode: "padding",
  subsample: "strides",
  subsample_length: "strides",
  filter_length: "kernel_size",
  atrous_rate: "dilation_rate",
  pool_length: "pool_size",
  length: "size",
  stride: "strides",
  p: "rate",
  sigma: "stddev",
  inner_activation: "recurrent_activation",
  dropout_W: "dropout",
  dropout_U: "recurrent_dropout",
  bias: "use_bias",
};

const CLASSES: Readonly<Record<string, string>> = {
  Convolution1D: "Conv1D",
  Convolution2D: "Conv2D",
  Convolution3D: "Conv3D",
  SeparableConvolution2D: "SeparableConv2D",
  AtrousConvolution1D: "Conv1D",
  AtrousConvolution2D: "Conv2D",
};

/** Of training alone, or said otherwise. */
const DROPPED =
  /^(init|inner_init|forget_bias_init|[WbU]_(regularizer|constraint)|input_dtype|mode|nb_row|nb_col|kernel_dim[123]|dim_ordering|(gamma|beta)_(init|regularizer)|input_dim|input_length|learning_rate|consume_less)$/;

/** Layers that merge, by the mode of the one class. */
const MERGES: Readonly<Record<string, string>> = {
  sum: "Add",
  mul: "Multiply",
  ave: "Average",
  max: "Maximum",
  concat: "Concatenate",
};

const REMEDY = "load the file in Keras 2 and save it again";

/** A layer's class and options in Keras 2. */
export function fromKeras1(
  className: string,
  config: Saved,
  { ordering, fail }: Reading,
): { readonly className: string; readonly config: Saved } {
  if (className === "Merge") return merge(config, fail);
  const { nb_row, nb_col, kernel_dim1, kernel_dim2, kernel_dim3, input_dim, output_dim, padding } = config;
  const isSilent = /^(ZeroPadding|Cropping|UpSampling)[23]D$/.test(className);
  const { mode = 0, dim_ordering = isSilent ? ordering : undefined } = config;
  if (isSilent && dim_ordering === undefined) {
    throw fail(
      `the dim_ordering of its ${className} is not in the file, nor all the same in other layers`,
      REMEDY,
    );
  }
  if (className === "BatchNormalization" && mode !== 0) {
    throw fail(`BatchNormalization of mode ${described(mode)}, which only Keras 1 has, is not supported`);
  }
  const isUnlike =
    /^Deconvolution/.test(className) || (className === "SeparableConvolution2D" && dim_ordering === "th");
  if (isUnlike) {
    throw fail(
      `${className} of Keras 1, whose weights are laid out in a way of their own, is not supported`,
      REMEDY,
    );
  }
  const renamed = Object.entries(config)
    .filter(([name]) => !DROPPED.test(name))
    .map(([name, value]) => [Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : name, value]);
  return {
    className: Object.hasOwn(CLASSES, className) ? CLASSES[className] : className,
    config: {
      ...Object.fromEntries(renamed),
      ...(nb_row !== undefined && { kernel_size: [nb_row, nb_col] }),
      ...(kernel_dim1 !== undefined && { kernel_size: [kernel_dim1, kernel_dim2, kernel_dim3] }),
      ...(dim_ordering !== undefined && {
        data_format: dim_ordering === "th" ? "channels_first" : "channels_last",
      }),
      ...(className === "Embedding" && { input_dim, output_dim }),
      ...(className === "GRU" && { reset_after: false }),
      ...(/^ZeroPadding[12]D$/.test(className) && { padding: paddings(className, padding) }),
    },
  };
}

/** Margins of each axis, or of the one: in Keras 1 all in one list, or by their names. */
function paddings(className: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.length === 4 ? [value.slice(0, 2), value.slice(2)] : value;
  const named = (...names: string[]) => names.map((name) => (value as Saved)[name] ?? 0);
  const last = named("left_pad", "right_pad");
  return className === "ZeroPadding1D" ? last : [named("top_pad", "bottom_pad"), last];
}

function merge({ name, mode, mode_type, concat_axis, layers }: Saved, fail: Reading["fail"]) {
  if (Array.isArray(layers)) {
    throw fail("a Merge of models at the head of a Sequential one is not supported", REMEDY);
  }
  if (mode_type !== "raw" || typeof mode !== "string" || !Object.hasOwn(MERGES, mode)) {
    throw fail(`Merge of mode ${described(mode)} is not supported`);
  }
  return {
    className: MERGES[mode],
    config: mode === "concat" ? { name, axis: concat_axis } : { name },
  };
}
