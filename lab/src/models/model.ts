/** A kind of network: what it accepts, where normalizations stand in it, and its layers. */
import type * as TensorFlowLayers from "@tensorflow/tfjs-layers";
import type { About } from "evenkeel";
import type { Form, InputKind } from "../data/form.js";
import type { Arrangement, NormName } from "../norms.js";
import type { Activation, OptimizerName } from "../settings.js";
import type { OwnArgs } from "./layers/registry.js";

/** The layers of TensorFlow.js, handed in so that a list of models can be read without loading them. */
export type Keras = typeof TensorFlowLayers.layers;
export type Layer = InstanceType<Keras["Layer"]>;
export type Tensor = TensorFlowLayers.SymbolicTensor;
export type Initializers = typeof TensorFlowLayers.initializers;
type Initializer = ReturnType<Initializers["glorotUniform"]>;

/** Deep enough for normalization to matter, and trained for long enough to see it. */
export interface Usual {
  depth: number;
  width: number;
  epochs: number;
  optimizer: OptimizerName;
  /** Of plain gradient descent, and of Adam. */
  learningRate: { sgd: number; adam: number };
}

/** What a layer with a kernel is made with. */
export interface KernelArgs {
  kernelInitializer: Initializer;
  name: string;
}

/** What a model is built from and with: for one seed, everything but the normalization is the same. */
export interface Builder {
  keras: Keras;
  initializers: Initializers;
  form: Form;
  /** Blocks before the last layer. */
  depth: number;
  width: number;
  activation: Activation;
  /** Of the normalizations in a block with a residual: where they stand (pre-norm by default). */
  arrangement: Arrangement;
  /** A normalization of a whole sequence, which stands for the layer that it normalizes: its name in the catalog, such as layerNormLSTM. */
  sequence?: string;
  /** How attention normalizes queries and keys: a `kind` of Evenkeel's normalizedAttention. */
  attention: "none" | "layer" | "rms" | "unit";
  /** A seed of its own for each call. */
  seed(): number;
  /** A layer of this name from Evenkeel, made of these arguments: `layerNormLSTM`. */
  evenkeel(name: string, args: object): Layer;
  /** A layer of the lab's own, of this class. */
  own<Name extends keyof OwnArgs>(name: Name, args: OwnArgs[Name]): Layer;
  /** The layer with the next kernel, whose gradient is probed. */
  kernel(x: Tensor, make: (args: KernelArgs) => Layer): Tensor;
  /** The layer with the next kernel, its weights normalized where that is what the normalization does. */
  weighted(x: Tensor, make: (args: KernelArgs) => Layer): Tensor;
  /** As `weighted`, and normalized after it where the normalization stands between layers. */
  normalized(x: Tensor, make: (args: KernelArgs) => Layer): Tensor;
  /** This layer, its weights normalized where that is what the normalization does. */
  wrapped(layer: Layer): Layer;
  /** A layer that normalizes whatever comes, the next of the network; undefined where there is none, or where it is of weights. */
  normLayer(): Layer | undefined;
  /** A normalization by itself; x where there is none, or where it is of weights. */
  norm(x: Tensor): Tensor;
  activate(x: Tensor): Tensor;
  /** x, the output of a block, whose activations are probed. */
  block(x: Tensor): Tensor;
  /** x with its categories embedded, where it has any. */
  embedded(x: Tensor): Tensor;
}

/** A network with an input of its own. */
export interface Graph {
  /** [batch, ...form.input.shape] */
  inputs: Tensor;
  /** [batch, ...form.outputs], or as many in one row */
  outputs: Tensor;
  /** What is probed: see `Network`. */
  kernels: string[];
  blocks: Layer[];
}

export interface Model {
  /** As `--model` and comparison.json have it. */
  name: string;
  /** In a sentence: "multilayer perceptron". */
  title: string;
  /** What `width` counts: "units". */
  unit: string;
  /** Kinds of inputs for which it is taken where the user does not say. */
  usualFor: readonly InputKind[];
  usual: Usual;
  /** Where it differs by the kind of input. */
  usualOn?: Partial<Record<InputKind, Partial<Usual>>>;
  /** What a normalization may take to stand between two of its layers, around each, or around all. */
  places: readonly About["takes"][];
  /** Normalizations of the catalog, by their names on the command line, that stand for its layers themselves. */
  sequences?: readonly NormName[];
  /** Where normalizations may stand in its blocks, besides the usual place. */
  arrangements?: readonly Arrangement[];
  /** What is compared by default, where it is not what usually is. */
  norms?: readonly NormName[];
  /** Why it cannot learn this at this depth, and what could be done besides using another model. */
  refusal(form: Form, depth: number): { problem: string; remedy?: string } | undefined;
  /** From the inputs [batch, ...form.input.shape] to the outputs [batch, ...form.outputs]: logits, or numbers. */
  build(builder: Builder, x: Tensor): Tensor | Graph;
  /** Why a normalization that it has the place for does not fit there: told by trying. */
  unfit?(norm: NormName): string | undefined;
}

export interface ModelSettings<Name extends string = string> {
  kind: Name;
  /** Blocks before the last layer. */
  depth: number;
  /** Units, or channels, of each block. */
  width: number;
  activation: Activation;
  /** The user's own network: its module. */
  module?: {
    /** An absolute path. */
    path: string;
    /** SHA-256 of it, in hex. */
    digest: string;
  };
}

/** Why a model that takes features alone cannot take others. */
export const refusesAllBut =
  (...kinds: readonly InputKind[]) =>
  ({ input }: Form): { problem: string; remedy?: string } | undefined =>
    kinds.includes(input.kind)
      ? undefined
      : {
          problem: `needs ${kinds.map((kind) => NEEDED[kind]).join(" or ")}, and this data has ${GIVEN[input.kind](input.shape)}`,
        };

const NEEDED: Record<InputKind, string> = {
  features: "features",
  image: "images",
  series: "series",
  tokens: "text",
  items: "users with their items",
};
const GIVEN: Record<InputKind, (shape: readonly number[]) => string> = {
  features: ([inputs]) => `${inputs} separate features`,
  image: () => "images",
  series: () => "series",
  tokens: () => "text",
  items: () => "users with their items",
};
