/** A network of the user's own: a function that puts it together, with a normalization wherever it asks for one. */
import * as tfl from "@tensorflow/tfjs-layers";
import { isCausal, sizeOf } from "../data/form.js";
import { UsageError } from "../errors.js";
import { activationOf, isActivation, partsOf } from "./layer-kinds.js";
import type { Builder, Graph, Layer, Model, Tensor } from "./model.js";
import * as tensorflow from "./tensorflow.js";

/** Gives a new layer, or what that makes of `x`. */
export interface Norm {
  (): Layer;
  (x: Tensor): Tensor;
  /** A layer with a kernel, its weights normalized where a normalization of weights is compared. */
  weights(layer: Layer): Layer;
}

/** What the function is given. */
export interface OwnArgs {
  norm: Norm;
  /** Of one example, without the batch. */
  inputShape: number[];
  /** Units of the last layer: classes, numbers to predict, items; for the next token, as many as there are tokens. */
  outputs: number;
  /** Of texts and baskets: numbers are from 1 to this, and 0 is padding. */
  vocabulary?: number;
  seed: number;
  /** Core and layers of TensorFlow.js, and Evenkeel's layers. */
  tf: typeof tensorflow;
}

export type OwnNetwork = (args: OwnArgs) => unknown;

/** What is found out by building it. */
export interface OwnFacts {
  /** Layers that `norm` gave. */
  norms: number;
  /** Layers that `norm.weights` gave. */
  wrapped: number;
  /** The activation that was taken off the end, as the losses take numbers of any size; undefined where there was none. */
  takenOff?: string;
}

/** `file`: how messages name it. `found` is told of each network that is built. */
export function ownModel(
  name: string,
  file: string,
  make: OwnNetwork,
  found: (facts: OwnFacts) => void = () => {},
): Model {
  return {
    name,
    title: name,
    unit: "",
    usualFor: [],
    usual: { depth: 1, width: 1, epochs: 15, optimizer: "sgd", learningRate: { sgd: 0.05, adam: 0.002 } },
    places: ["features", "positions", "weight", "forecast"],
    refusal: () => undefined,
    build: (builder, x) => built(file, make, builder, x, found),
  };
}

function built(
  file: string,
  make: OwnNetwork,
  builder: Builder,
  x: Tensor,
  found: (facts: OwnFacts) => void,
): Graph {
  const { keras, form } = builder;
  const refuse = (problem: string): never => {
    throw new UsageError(`${file}: ${problem}`);
  };
  const placed = new Set<Layer>();
  const wrapped = new Set<Layer>();
  /** Layers of the normalization, whose initial values are its own. */
  const normalizing = new Set<Layer>();
  const next = () => {
    const layer = builder.normLayer() ?? keras.activation({ activation: "linear" });
    placed.add(layer);
    normalizing.add(layer);
    return layer;
  };
  const norm = ((given?: unknown) => {
    if (given === undefined) return next();
    if (given instanceof tfl.SymbolicTensor) return next().apply(given);
    if (given instanceof keras.Layer) {
      return refuse(
        "norm(layer): expected norm() for a layer of its own, or norm.weights(layer) to normalize its weights",
      );
    }
    return refuse(
      `norm(…): expected nothing, or what is to be normalized, got ${kindOf(given)}; call norm()`,
    );
  }) as Norm;
  norm.weights = (layer) => {
    if (!(layer instanceof keras.Layer)) {
      return refuse(
        `norm.weights(…): expected a layer, such as tf.layers.dense({ units: 64 }), got ${kindOf(layer)}`,
      );
    }
    const whole = builder.wrapped(layer);
    wrapped.add(whole);
    if (whole !== layer) normalizing.add(whole);
    return whole;
  };
  const given = builder.embedded(x);
  const inputShape = given.shape.slice(1) as number[];
  const outputs = (isCausal(form) ? form.outputs.at(-1) : sizeOf(form.outputs)) ?? 1;
  const { vocabulary } = form.input;
  const weights = new Set<unknown>();
  const model = seeded(
    builder,
    (layer) => !normalizing.has(layer),
    weights,
    () =>
      make({
        norm,
        inputShape,
        outputs,
        ...(vocabulary !== undefined && { vocabulary }),
        seed: builder.seed(),
        tf: tensorflow,
      }),
  );
  if (!(model instanceof tfl.LayersModel)) return refuse(notAModel(model));
  check(model, { inputShape, outputs, outputShape: form.outputs }, refuse);
  const old = model.weights.find((weight) => !weights.has(weight));
  if (old !== undefined) {
    refuse(
      `expected a new network from each call, got one with ${old.originalName}, which another has too; make all layers within the function`,
    );
  }
  const all = leaves(model);
  const norms = all.filter((layer) => placed.has(layer));
  const ofWeights = all.filter((layer) => wrapped.has(layer));
  const { inputs, outputs: logits, takenOff } = withoutActivation(model, refuse);
  found({ norms: norms.length, wrapped: ofWeights.length, ...(takenOff && { takenOff }) });
  if (norms.length + ofWeights.length === 0) {
    refuse(
      placed.size + wrapped.size > 0
        ? "expected a network with the layers that norm() gave, got one without any of them; put them between its other layers"
        : "expected a network that asks for its normalizations, got one that never calls norm(); put norm() wherever a normalization is to stand",
    );
  }
  return {
    inputs: given === x ? inputs : x,
    outputs: given === x ? logits : (tfl.model({ inputs, outputs: logits }).apply(given) as Tensor),
    kernels: all
      .filter((layer) => !placed.has(layer))
      .flatMap(({ trainableWeights }) => trainableWeights.filter(({ shape }) => shape.length > 1))
      .map(({ name }) => name),
    blocks: (norms.length > 0 ? norms : ofWeights).map(blockOf),
  };
}

/** The layers that compute, in their order: those within models and wrappers too, but a layer around weights is one. */
function leaves(model: tfl.LayersModel): Layer[] {
  const found = new Set<Layer>();
  const visit = (layer: Layer) => {
    const { layer: inner } = layer as { layer?: Layer };
    const parts = partsOf(layer);
    const isOverTime = layer.getClassName() === "TimeDistributed" && inner !== undefined;
    for (const part of isOverTime ? [inner] : parts) visit(part);
    if (parts.length === 0 && !isOverTime) found.add(layer);
  };
  for (const layer of model.layers) visit(layer);
  return [...found];
}

/** What a normalization's outputs become: its activation, where one alone follows it, and nothing else. */
function blockOf(layer: Layer): Layer {
  const [node, ...more] = layer.outboundNodes;
  const after = node?.outboundLayer;
  const isOwn = more.length === 0 && after !== undefined && after.inboundNodes.length === 1;
  return isOwn && isActivation(after) ? after : layer;
}

/**
 * Calls `make` with initial values that follow from the seed where it gives them none: one seed for each weight of its layers,
 * in their order, whatever the normalization. The weights are put into `made`.
 */
function seeded<T>(
  { seed, keras }: Builder,
  counts: (layer: Layer) => boolean,
  made: Set<unknown>,
  make: () => T,
): T {
  const prototype = keras.Layer.prototype as unknown as { addWeight: AddWeight };
  const { addWeight } = prototype;
  prototype.addWeight = function (name, shape, dtype, initializer, ...rest) {
    const random = initializer as { seed?: number | null } | undefined;
    const isSeeded =
      random !== undefined && "seed" in random && (random.seed ?? undefined) === undefined && counts(this);
    const before = random?.seed;
    if (isSeeded) random.seed = seed();
    try {
      const weight = addWeight.call(this, name, shape, dtype, initializer, ...rest);
      made.add(weight);
      return weight;
    } finally {
      if (isSeeded) random.seed = before;
    }
  };
  try {
    return make();
  } finally {
    prototype.addWeight = addWeight;
  }
}

type AddWeight = (
  this: Layer,
  name: string,
  shape: unknown,
  dtype?: unknown,
  initializer?: unknown,
  ...rest: unknown[]
) => tfl.LayerVariable;

function notAModel(given: unknown): string {
  if (given instanceof Promise) {
    return "expected the model itself, got a promise of it; make the function one without async, and await what it needs at the top of the module";
  }
  const isOfAnother = typeof (given as { predict?: unknown } | null)?.predict === "function";
  return isOfAnother
    ? "expected a model of the lab's TensorFlow.js, got one of another copy; make it with the tf that the function is given"
    : `expected a model, such as tf.sequential({ layers }) or tf.model({ inputs, outputs }), got ${kindOf(given)}; return the model`;
}

interface Expected {
  inputShape: readonly number[];
  outputs: number;
  outputShape: readonly number[];
}

function check(
  model: tfl.LayersModel,
  { inputShape, outputs, outputShape }: Expected,
  refuse: (problem: string) => never,
): void {
  if (model.inputs.length !== 1)
    refuse(`expected a network with one input, got ${model.inputs.length}; join them`);
  if (model.outputs.length !== 1)
    refuse(`expected a network with one output, got ${model.outputs.length}; return the one that is learnt`);
  const [, ...takes] = model.inputs[0].shape;
  if (
    takes.length !== inputShape.length ||
    takes.some((length, i) => length !== null && length !== inputShape[i])
  ) {
    refuse(
      `expected a network that takes ${shown(inputShape)}, as an example of the data has it, got one that takes ${shown(takes)}; use the inputShape that the function is given`,
    );
  }
  const [, ...gives] = model.outputs[0].shape;
  const isRow = gives.length === 1 && gives[0] === sizeOf(outputShape);
  const isWhole =
    gives.length === outputShape.length && gives.every((length, i) => length === outputShape[i]);
  if (!isRow && !isWhole) {
    const remedy =
      gives.length > outputShape.length
        ? "let it give one for each example: put tf.layers.flatten() before its last layer, or leave out returnSequences"
        : `let its last layer have as many units as the outputs that the function is given (${outputs})`;
    refuse(
      `expected a network that gives ${shown(outputShape)}, as the task needs it, got one that gives ${shown(gives)}; ${remedy}`,
    );
  }
}

const shown = (shape: readonly (number | null)[]): string =>
  `[batch, ${shape.map((length) => length ?? "any").join(", ")}]`;

const kindOf = (value: unknown): string =>
  value === null
    ? "null"
    : value === undefined
      ? "nothing"
      : Array.isArray(value)
        ? "a list"
        : `${/^[aeiou]/.test(typeof value) ? "an" : "a"} ${typeof value}`;

/** The losses take what comes before these. */
const TAKEN_OFF = ["softmax", "sigmoid"];

/** A model's input, and its output as it is before a last softmax or sigmoid. */
function withoutActivation(
  { inputs: [inputs], outputs: [outputs] }: tfl.LayersModel,
  refuse: (problem: string) => never,
): { inputs: Tensor; outputs: Tensor; takenOff?: string } {
  const last = outputs.sourceLayer as Layer;
  const layer = endOf(last) as Layer & { activation?: object };
  const takenOff = activationOf(layer);
  if (!TAKEN_OFF.includes(takenOff)) return { inputs, outputs };
  if (layer.activation !== undefined) {
    const linear = tfl.layers.activation({ activation: "linear" }) as Layer & { activation?: object };
    layer.activation = linear.activation;
    return { inputs, outputs, takenOff };
  }
  if (layer !== last) {
    refuse(
      `expected a network without a ${takenOff} at its end, got one within ${last.name}; leave it out: the loss takes what comes before it`,
    );
  }
  return { inputs, outputs: [layer.inboundNodes[outputs.nodeIndex].inputTensors].flat()[0], takenOff };
}

/** The layer that a layer's outputs come from, which may be within it. */
function endOf(layer: Layer): Layer {
  const { layer: wrapped } = layer as { layer?: Layer };
  if (layer instanceof tfl.LayersModel)
    return endOf((layer as tfl.LayersModel).outputs[0].sourceLayer as Layer);
  return wrapped === undefined ? layer : endOf(wrapped);
}
