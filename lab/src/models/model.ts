/** A kind of network: what it accepts, where normalizations stand in it, and its layers. */
import type * as TensorFlowLayers from "@tensorflow/tfjs-layers";
import type { About } from "evenkeel";
import type { Activation } from "../settings.js";

/** The layers of TensorFlow.js, handed in so that a list of models can be read without loading them. */
export type Keras = typeof TensorFlowLayers.layers;
export type Layer = InstanceType<Keras["Layer"]>;
type Initializer = ReturnType<typeof TensorFlowLayers.initializers.glorotUniform>;

/** Deep enough for normalization to matter, and trained for long enough to see it. */
export interface Usual {
  depth: number;
  width: number;
  epochs: number;
  /** Of plain gradient descent. */
  learningRate: number;
}

export interface Model {
  /** As `--model` and comparison.json have it. */
  name: string;
  /** In a sentence: "multilayer perceptron". */
  title: string;
  /** What `width` counts: "units". */
  unit: string;
  usual: Usual;
  /** What a normalization may take to stand between two of its layers, or around each. */
  places: readonly About["takes"][];
  /** Why it cannot take inputs of this shape at this depth, and what could be done besides using another model. */
  refusal(inputShape: readonly number[], depth: number): { problem: string; remedy?: string } | undefined;
  /** Layers before the first block. */
  start(keras: Keras, inputShape: readonly number[]): Layer[];
  /** The layer with the kernel that each block begins with. */
  kernel(keras: Keras, width: number, args: { kernelInitializer: Initializer; name: string }): Layer;
  /** Layers after the block of this index. */
  after(keras: Keras, block: number, depth: number): Layer[];
  /** Layers between the last block and the output layer, which is dense. */
  end(keras: Keras): Layer[];
}

export interface ModelSettings<Name extends string = string> {
  kind: Name;
  /** Blocks before the last layer. */
  depth: number;
  /** Units, or channels, of each block. */
  width: number;
  activation: Activation;
}
