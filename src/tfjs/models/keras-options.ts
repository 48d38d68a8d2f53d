/**
 * A Keras layer's class and options as TensorFlow.js's: policies for types, objects for initializers, names that versions changed, and
 * layers that TensorFlow.js has under another name or not with every option.
 */
import type { serialization } from "@tensorflow/tfjs-core";
import { initializers } from "@tensorflow/tfjs-layers";
import { camelCase } from "../../frameworks/names.js";
import { warnOnce } from "../../options.js";
import { described } from "../../shape.js";
import { registered } from "../layers/keras-objects.js";
import type { Config, SavedObject } from "../types.js";
import { fromKeras1 } from "./keras1.js";

/** What a file has: an object of Python's, as JSON. */
export type Saved = Readonly<Record<string, unknown>>;

/** The layer that is read, for messages, and what its file says of Keras. */
export interface Reading {
  /** The layer's name. */
  readonly layer: string;
  /** Of Keras: 1, 2 or 3; 0 for TensorFlow.js. */
  readonly version: number;
  /** The order of axes in layers of Keras 1 that do not say it. */
  readonly ordering?: unknown;
  /** Makes the error for a layer that cannot be read. */
  fail(problem: string, remedy?: string): Error;
}

export function isSaved(value: unknown): value is Saved {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An own property: a file's names are names. */
export function own(saved: Saved, name: string): unknown {
  return Object.hasOwn(saved, name) ? saved[name] : undefined;
}

/**
 * A layer without what is inside it.
 * @param depth of layers in layers
 */
export function layerOptions(className: string, config: Saved, reading: Reading, depth = 0): SavedObject {
  const saved = reading.version === 1 ? fromKeras1(className, config, reading) : { className, config };
  const known = Object.hasOwn(renamed, saved.className) ? renamed[saved.className] : saved.className;
  const adapt = Object.hasOwn(classes, known) ? classes[known] : undefined;
  const adapted = adapt?.(saved.config, reading) ?? {};
  const options = translated({ ...saved.config, ...adapted.config }, reading, depth);
  return { className: adapted.className ?? known, config: options as Config };
}

/** Classes under other names. */
const renamed: Readonly<Record<string, string>> = {
  BatchNormalizationV1: "BatchNormalization",
  BatchNormalizationV2: "BatchNormalization",
  LSTMV2: "LSTM",
  DenseV2: "Dense",
};

/** What a class becomes: options that change, and another class where TensorFlow.js has it there. */
type Adapt = (config: Saved, reading: Reading) => { className?: string; config?: Record<string, unknown> };

const numbers = (value: unknown, length: number): number[] =>
  Array.isArray(value) ? (value as number[]) : Array<number>(length).fill(value as number);

/** Margins of each axis before the channels: a number, one for each axis, or a pair for each. */
function margins(value: unknown, axes: number, sign: 1 | -1): number[][] {
  const pairs = axes === 1 && Array.isArray(value) && !Array.isArray(value[0]) ? [value] : value;
  const each = Array.isArray(pairs) ? pairs : Array(axes).fill(pairs);
  return [...each.map((one) => numbers(one, 2).map((margin) => sign * margin)), [0, 0]];
}

/** For layers of Keras that change nothing in evaluation. */
const onlyInTraining: Adapt = (_, { layer }) => {
  warnOnce(
    `layersModelFrom: ${layer} changes its inputs in training only, and not here: augment the data before fit`,
  );
  return { className: "Activation", config: { activation: "linear" } };
};

const globalPooling =
  (by: "mean" | "max", axes: number): Adapt =>
  ({ keepdims = false }) => {
    // TensorFlow.js's does not leave masked steps out
    const ignoresMasks = axes === 1 && by === "mean";
    if (keepdims !== true && axes < 3 && !ignoresMasks) return {};
    const all = Array.from({ length: axes }, (_, i) => 1 + i);
    return { className: "GlobalPooling", config: { by, axes: all, keep_dims: keepdims } };
  };

const isOne = (value: unknown) => [value ?? 1].flat().every((one) => one === 1);

/** With groups by a class of its own. Convolutions name causal padding in TensorFlow.js, and do not compute it. */
const convolution =
  (axes: 1 | 2 | 3): Adapt =>
  ({ groups = 1, padding }, reading) => {
    const isCausal = padding === "causal";
    if (isOne(groups)) return isCausal ? { className: "CausalConv1D", config: { padding: "valid" } } : {};
    if (isCausal) throw reading.fail("causal padding with groups is not supported");
    return { className: `GroupedConv${axes}D` };
  };

/** TensorFlow.js's ignores dilation, and on some backends computes that of volumes wrongly. */
const transposedConvolution =
  (axes: 1 | 2 | 3): Adapt =>
  ({ dilation_rate, output_padding = null }) =>
    axes === 2 && isOne(dilation_rate) && output_padding === null
      ? {}
      : { className: `TransposedConv${axes}D` };

const rectifier: Adapt = ({ max_value = null, negative_slope = 0, threshold = 0 }) =>
  // null in Keras 2
  (negative_slope ?? 0) === 0 && (threshold ?? 0) === 0
    ? { config: { max_value: max_value ?? undefined } }
    : {
        className: "Rectifier",
        config: { max_value, negative_slope: negative_slope ?? 0, threshold: threshold ?? 0 },
      };

const recurrent: Adapt = ({ time_major = false }, reading) => {
  if (time_major === true)
    throw reading.fail("time_major is not supported by TensorFlow.js", "transpose before it");
  return {};
};

/** TensorFlow.js has no reset after the product. */
const gatedRecurrent: Adapt = (config, reading) => {
  recurrent(config, reading);
  if (own(config, "reset_after") !== true) return {};
  if (config.dropout || config.recurrent_dropout) {
    warnOnce(
      `layersModelFrom: ${reading.layer} trains without its dropout here: add a dropout layer before it`,
    );
  }
  return { className: "ResetAfterGRU" };
};

/** Of preprocessing. */
const beforeModel: Adapt = (_, { fail }) => {
  throw fail(
    "TensorFlow.js does not have this preprocessing",
    "save the model without it, from the layer after it, and do it before predict",
  );
};

/** Layers whose calls TensorFlow.js's models do not have, or that are a function of the program that saved them. */
const inCode =
  (className: string): Adapt =>
  (_, { fail }) => {
    throw fail(`its class ${className} is not one of TensorFlow.js's layers models`);
  };

const classes: Readonly<Record<string, Adapt>> = {
  InputLayer: ({ dtype }) => ({ config: { dtype: dtype ?? "float32" } }),
  Conv1D: convolution(1),
  Conv2D: convolution(2),
  Conv3D: convolution(3),
  Conv1DTranspose: transposedConvolution(1),
  Conv2DTranspose: transposedConvolution(2),
  Conv3DTranspose: transposedConvolution(3),
  // TensorFlow.js's ignores dilation
  DepthwiseConv2D: ({ dilation_rate }) =>
    isOne(dilation_rate) ? {} : { className: "DilatedDepthwiseConv2D" },
  SeparableConv1D: ({ padding }, reading) => {
    if (padding === "causal") throw reading.fail("causal padding of this layer is not supported");
    return {};
  },
  SeparableConv2D: () => {
    // Keras writes them empty, and TensorFlow.js refuses them
    return {
      config: { kernel_initializer: undefined, kernel_regularizer: undefined, kernel_constraint: undefined },
    };
  },
  // in Keras the kernel itself is replaced in training
  SpectralNormalization: (_, { version }) => ({ config: version === 0 ? {} : { in_place: true } }),
  ReLU: rectifier,
  PReLU: ({ shared_axes }, reading) => {
    // TensorFlow.js makes a shape as long as the largest
    const axes = [shared_axes ?? []].flat();
    if (!axes.every((axis) => Number.isInteger(axis) && Math.abs(axis as number) < 8))
      throw reading.fail(`shared_axes ${described(shared_axes)} are none of its input`);
    return {};
  },
  // TensorFlow.js's is of the last axis alone
  Softmax: ({ axis = -1 }) =>
    axis === -1
      ? {}
      : {
          className: "KerasOperation",
          config: { operation: "softmax", operands: [null], options: { axis } },
        },
  LeakyReLU: ({ alpha, negative_slope = alpha }) => ({ config: { alpha: negative_slope } }),
  RMSNormalization: ({ axis }) => {
    const named = [axis ?? []].flat() as number[];
    const last = named.every((one, i) => one === i - named.length);
    return named.length < 2 || last ? {} : { className: "TrailingScaleRMSNormalization" };
  },
  LSTM: recurrent,
  SimpleRNN: recurrent,
  GRU: gatedRecurrent,
  GRUCell: ({ reset_after }) => (reset_after === true ? { className: "ResetAfterGRUCell" } : {}),
  // of ConvNeXt in keras.applications
  LayerScale: ({ init_values }) =>
    init_values === undefined
      ? {}
      : { config: { initial: init_values, init_values: undefined, projection_dim: undefined } },
  StochasticDepth: (_, { layer }) => {
    warnOnce(`layersModelFrom: ${layer} drops nothing in training here`);
    return { className: "Activation", config: { activation: "linear" } };
  },
  Identity: () => ({ className: "Activation", config: { activation: "linear" } }),
  ActivityRegularization: ({ l1 = 0, l2 = 0 }, { layer }) => {
    if (l1 || l2) warnOnce(`layersModelFrom: ${layer} adds no loss here: add it to the model's`);
    return { className: "Activation", config: { activation: "linear" } };
  },
  Reshape: ({ target_shape }) =>
    Array.isArray(target_shape) && target_shape.some((length) => length === null || length < 0)
      ? { className: "KerasReshape" }
      : {},
  Subtract: () => ({
    className: "KerasOperation",
    config: { operation: "subtract", operands: [null, null] },
  }),
  SpatialDropout2D: () => ({ className: "SpatialDropout" }),
  SpatialDropout3D: () => ({ className: "SpatialDropout" }),
  ZeroPadding1D: ({ padding = 1 }) => ({ className: "Margins", config: { margins: margins(padding, 1, 1) } }),
  ZeroPadding3D: ({ padding = 1 }) => ({ className: "Margins", config: { margins: margins(padding, 3, 1) } }),
  Cropping1D: ({ cropping = 1 }) => ({ className: "Margins", config: { margins: margins(cropping, 1, -1) } }),
  Cropping3D: ({ cropping = 1 }) => ({ className: "Margins", config: { margins: margins(cropping, 3, -1) } }),
  UpSampling1D: ({ size = 2 }) => ({ className: "Repeat", config: { factors: [...numbers(size, 1), 1] } }),
  UpSampling2D: (config, reading) => {
    const { size = 2, interpolation = "nearest" } = config;
    if (interpolation === "nearest") return {};
    if (interpolation !== "bilinear")
      throw reading.fail(`interpolation ${described(interpolation)} is not supported`);
    return { className: "Resize", config: { factors: numbers(size, 2) } };
  },
  UpSampling3D: ({ size = 2 }) => ({ className: "Repeat", config: { factors: [...numbers(size, 3), 1] } }),
  // TensorFlow.js's change the shape that their input has
  CenterCrop: ({ height, width }) => ({ className: "KerasCenterCrop", config: { height, width } }),
  CategoryEncoding: ({ num_tokens, output_mode = "multi_hot" }, reading) => {
    if (!["multi_hot", "one_hot"].includes(String(output_mode))) {
      throw reading.fail(`output_mode ${described(output_mode)} is not supported`, "encode before the model");
    }
    return { className: "KerasCategoryEncoding", config: { num_tokens, output_mode } };
  },
  TextVectorization: beforeModel,
  StringLookup: beforeModel,
  IntegerLookup: beforeModel,
  Hashing: beforeModel,
  HashedCrossing: beforeModel,
  Discretization: beforeModel,
  RandomCrop: beforeModel,
  Resizing: (config, reading) => {
    const { interpolation = "bilinear", crop_to_aspect_ratio, pad_to_aspect_ratio, antialias } = config;
    const plain = interpolation === "bilinear" || interpolation === "nearest";
    if (!plain || crop_to_aspect_ratio || pad_to_aspect_ratio || antialias) {
      throw reading.fail(
        "TensorFlow.js resizes bilinear or nearest, to a height and width alone",
        "resize before the model",
      );
    }
    return { className: "Resize" };
  },
  GlobalAveragePooling1D: globalPooling("mean", 1),
  GlobalAveragePooling2D: globalPooling("mean", 2),
  GlobalAveragePooling3D: globalPooling("mean", 3),
  GlobalMaxPooling1D: globalPooling("max", 1),
  GlobalMaxPooling2D: globalPooling("max", 2),
  GlobalMaxPooling3D: globalPooling("max", 3),
  MultiHeadAttention: ({ dropout = 0, attention_axes = null }, reading) => {
    if (attention_axes !== null && String(attention_axes) !== "1") {
      throw reading.fail(`attention_axes ${described(attention_axes)} are not supported, but of sequences`);
    }
    if (dropout) warnOnce(`layersModelFrom: ${reading.layer} trains without its dropout here`);
    return { className: "KerasMultiHeadAttention" };
  },
  GroupQueryAttention: inCode("GroupQueryAttention"),
  Attention: inCode("Attention"),
  AdditiveAttention: inCode("AdditiveAttention"),
  Lambda: inCode("Lambda"),
  LocallyConnected1D: inCode("LocallyConnected1D"),
  LocallyConnected2D: inCode("LocallyConnected2D"),
  ConvLSTM1D: inCode("ConvLSTM1D"),
  ConvLSTM3D: inCode("ConvLSTM3D"),
  RandomFlip: onlyInTraining,
  RandomRotation: onlyInTraining,
  RandomZoom: onlyInTraining,
  RandomTranslation: onlyInTraining,
  RandomContrast: onlyInTraining,
  RandomBrightness: onlyInTraining,
  RandomShear: onlyInTraining,
  RandomHue: onlyInTraining,
  RandomSaturation: onlyInTraining,
  RandomPerspective: onlyInTraining,
  RandomGaussianBlur: onlyInTraining,
  RandomErasing: onlyInTraining,
};

/** Layers are nested in layers (a wrapper in a wrapper), not much deeper. */
const DEEPEST = 16;

/** A value as TensorFlow.js has it: names in camel case, objects of Keras as `{ className, config }`. */
function translated(value: unknown, reading: Reading, depth: number, key = ""): unknown {
  if (depth > DEEPEST)
    throw reading.fail(`its options are nested more than ${DEEPEST} deep`, "save a plainer model");
  if (/(^|_)dtype$/.test(key)) return typeName(value, reading);
  if (/_initializer$/.test(key)) return initializerOf(value, reading, depth);
  if (/_(regularizer|constraint)$/.test(key)) return objectOf(key, value, reading, depth);
  if (/^((recurrent|inner|query|output)_)?activation$/.test(key)) return activationOf(value, reading);
  if (typeof value === "string") return key === "name" ? value : camelCase(value);
  if (Array.isArray(value)) return value.map((one) => translated(one, reading, depth + 1));
  if (!isSaved(value)) return value;
  const { class_name: className, config } = value as { class_name?: unknown; config?: unknown };
  if (typeof className === "string" && isSaved(config)) {
    const inner = { ...reading, layer: typeof config.name === "string" ? config.name : reading.layer };
    return layerOptions(className, config, inner, depth + 1);
  }
  // numbers of NumPy
  if (value.type === "ndarray" && "value" in value) return value.value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name, one]) => !UNUSED.includes(name) && one !== undefined)
      .map(([name, one]) => [optionName(name), translated(one, reading, depth + 1, name)]),
  );
}

/** Options that say nothing here. */
const UNUSED = [
  "module",
  "registered_name",
  "build_config",
  "compile_config",
  "seed_generator",
  "activity_regularizer",
];

function optionName(name: string): string {
  return name === "batch_shape" ? "batchInputShape" : camelCase(name);
}

/** TensorFlow.js's types, for Keras's and for its policies. */
function typeName(value: unknown, reading: Reading): string {
  const { name, mode = name } = (isSaved(value) && isSaved(value.config) ? value.config : {}) as Saved;
  if (isSaved(value) && /Quantized|GPTQ/.test(String(value.class_name))) {
    throw reading.fail(`its weights are quantized (${mode})`, "save the model before it is quantized");
  }
  const policy = isSaved(value) ? name : value;
  if (typeof policy === "string" && ["float32", "int32", "bool", "string", "complex64"].includes(policy))
    return policy;
  return /^u?int\d+$/.test(String(policy)) ? "int32" : "float32";
}

/** As TensorFlow.js makes it; zeros where it cannot, since all weights are set by the file. */
function initializerOf(value: unknown, reading: Reading, depth: number): unknown {
  if (value === null || value === undefined) return value;
  if (typeof value === "string")
    return Object.hasOwn(initializers, camelCase(value)) ? camelCase(value) : "zeros";
  const { class_name: className, config } = value as { class_name?: unknown; config?: unknown };
  if (typeof className !== "string") return "zeros";
  const object = {
    className: className.replace(/Initializer$/, ""),
    config: translated(config ?? {}, reading, depth + 1),
  };
  return makes(object) ? object : "zeros";
}

/** A regularizer or constraint; none, with a warning, where TensorFlow.js has none: they change training only. */
function objectOf(key: string, value: unknown, reading: Reading, depth: number): unknown {
  if (value === null || value === undefined) return null;
  const shorthand: Readonly<Record<string, string>> = { l1: "L1", l2: "L2", l1_l2: "L1L2" };
  const named =
    typeof value === "string" ? { class_name: shorthand[value] ?? pascalCase(value), config: {} } : value;
  const { class_name: className, config } = named as { class_name?: unknown; config?: unknown };
  const object = { className: String(className), config: translated(config ?? {}, reading, depth + 1) };
  if (makes(object)) return object;
  warnOnce(
    `layersModelFrom: ${reading.layer} trains without its ${key}, ${object.className}, which TensorFlow.js does not have`,
  );
  return null;
}

function pascalCase(name: string): string {
  return camelCase(`_${name}`.replace(/^_([a-z])/, (_, letter: string) => letter.toUpperCase()));
}

function makes({ className, config }: { className: string; config: unknown }): boolean {
  const known = registered(className);
  if (known === undefined) return false;
  try {
    const made: serialization.Serializable = known[1](known[0], structuredClone(config) as Config);
    return "apply" in made;
  } catch {
    return false;
  }
}

function activationOf(value: unknown, reading: Reading): unknown {
  if (value === null || value === undefined) return "linear";
  const { class_name: className, config } = isSaved(value) ? value : { class_name: undefined, config: value };
  // a layer as an activation, by its class: ReLU, Softmax
  if (isSaved(config) && !changesNothing(config)) {
    throw reading.fail(
      `a ${className} with options of its own as an activation is not supported`,
      "make it a layer after this one",
    );
  }
  const name = typeof config === "string" ? config : String(className);
  const own = name.split(">").pop() as string;
  const known = Object.hasOwn(ACTIVATIONS, own) ? ACTIVATIONS[own] : camelCase(own);
  const wanted = known === "hardSigmoid" && reading.version === 3 ? "hardSigmoidOf6" : known;
  const found = [wanted, name].find((one) => registered(one) !== undefined);
  if (found !== undefined) return found;
  throw reading.fail(
    `the activation "${name}" is not known to TensorFlow.js`,
    `register a class of that name with tf.serialization.registerClass`,
  );
}

/** Whether a layer that is an activation has no options but those that all have, and none that differ from a plain function's. */
function changesNothing(config: Saved): boolean {
  const plain: Saved = { max_value: null, negative_slope: 0, threshold: 0, axis: -1, alpha: 1 };
  return Object.entries(config).every(
    ([name, value]) =>
      ["name", "trainable", "dtype"].includes(name) || (Object.hasOwn(plain, name) && plain[name] === value),
  );
}

/** Activations under other names. */
const ACTIVATIONS: Readonly<Record<string, string>> = {
  silu: "swish",
  swish: "swish",
  hard_swish: "hardSilu",
  ReLU: "relu",
  Softmax: "softmax",
  ELU: "elu",
  Identity: "linear",
  relu6: "relu6",
};
