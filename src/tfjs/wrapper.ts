/** A layer around others, as TensorFlow.js's own Wrapper is, which it does not export. */
import * as tf from "@tensorflow/tfjs-core";
import { layers as builtIn, type LayerVariable } from "@tensorflow/tfjs-layers";

export type Layer = InstanceType<typeof builtIn.Layer>;
export type LayerArgs = NonNullable<ConstructorParameters<typeof builtIn.Layer>[0]>;
export type Shape = (number | null)[];
export type Tensors = tf.Tensor | tf.Tensor[];
export type CallArgs = Parameters<Layer["call"]>[1];
type Config = tf.serialization.ConfigDict;

/** Its weights are those of what it wraps, and its own; it is saved with both. */
export abstract class LayerWrapper extends builtIn.Layer {
  /** What is wrapped. */
  readonly layer: Layer;
  /** Options of the wrapper, as they were given. */
  protected readonly options: Config;

  protected constructor({ layer, ...args }: LayerArgs & { layer: Layer }, options: readonly string[]) {
    const { batchInputShape, dtype } = (layer ?? {}) as Layer;
    super({ ...(batchInputShape && !args.inputShape && { batchInputShape, dtype }), ...args });
    if (typeof layer?.computeOutputShape !== "function") {
      throw new TypeError(
        `${this.getClassName()}: expected a layer to wrap, such as tf.layers.dense({ units: 8 }), got ${typeof layer}`,
      );
    }
    this.layer = layer;
    if (args.trainable === false) layer.trainable = false;
    this.supportsMasking = layer.supportsMasking;
    this._stateful = layer.stateful;
    this.options = Object.fromEntries(
      Object.entries(args).filter(([name, value]) => options.includes(name) && value !== undefined),
    ) as Config;
  }

  /** All layers inside, by the names that a saved wrapper has for them. */
  parts(): Record<string, Layer> {
    // absent while the constructor of Layer runs
    return this.layer ? { layer: this.layer } : {};
  }

  /** Builds a layer inside, whose weights are then saved under the wrapper's name, as if they had been made in it. */
  protected buildPart(layer: Layer, inputShape: Shape | Shape[], scope = this.name): void {
    const owner = owners.get(layer);
    if (owner !== undefined && owner !== this) {
      throw new Error(
        `${this.getClassName()}: ${layer.name} is in ${owner.name} already, whose name its weights are saved under; give each a layer of its own`,
      );
    }
    owners.set(layer, this);
    if (!layer.built) {
      layer.build(inputShape);
      layer.built = true;
      if (layer.initialWeights) layer.setWeights(layer.initialWeights);
    }
    // a model's weights keep the names of its layers
    if (!("layers" in layer)) rescope(layer.weights, scope);
  }

  /** Leaves the wrapper without weights of its own, and what is inside free for another one. */
  protected forgetOwnWeights(): void {
    owners.delete(this.layer);
    this._trainableWeights = [];
    super.nonTrainableWeights = [];
  }

  override get trainable(): boolean {
    return super.trainable;
  }

  override set trainable(trainable: boolean) {
    super.trainable = trainable;
    for (const layer of this.inside()) layer.trainable = trainable;
  }

  override get trainableWeights(): LayerVariable[] {
    return [...this.inside().flatMap((layer) => layer.trainableWeights), ...super.trainableWeights];
  }

  override get nonTrainableWeights(): LayerVariable[] {
    return [...this.inside().flatMap((layer) => layer.nonTrainableWeights), ...super.nonTrainableWeights];
  }

  override calculateLosses(): tf.Scalar[] {
    return this.inside().flatMap((layer) => layer.calculateLosses());
  }

  override resetStates(): void {
    for (const layer of this.inside()) layer.resetStates();
  }

  override setFastWeightInitDuringBuild(value: boolean): void {
    super.setFastWeightInitDuringBuild(value);
    for (const layer of this.inside()) layer.setFastWeightInitDuringBuild(value);
  }

  override getConfig(): Config {
    const parts = Object.entries(this.parts()).map(([name, layer]) => [
      name,
      { className: layer.getClassName(), config: layer.getConfig() },
    ]);
    return { ...super.getConfig(), ...this.options, ...Object.fromEntries(parts) };
  }

  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    config: Config,
  ): T {
    const made = Object.entries(config).map(([name, value]) => [
      name,
      isSavedLayer(value) ? layerFrom(cls.className, value) : value,
    ]);
    return new cls(Object.fromEntries(made));
  }

  private inside(): Layer[] {
    return Object.values(this.parts());
  }
}

/** What has built a layer that is inside it. */
const owners = new WeakMap<Layer, LayerWrapper>();

interface SavedLayer extends Config {
  className: string;
  config: Config;
}

function isSavedLayer(value: tf.serialization.ConfigDictValue): value is SavedLayer {
  return typeof value === "object" && value !== null && "className" in value && "config" in value;
}

function layerFrom(wrapper: string, { className, config }: SavedLayer): Layer {
  const known = tf.serialization.SerializationMap.getMap().classNameMap[className];
  if (known) return known[1](known[0], config) as Layer;
  throw new RangeError(
    `${wrapper}: the inner layer is of class "${className}", which is not registered; register it with tf.serialization.registerClass`,
  );
}

/** Names variables, under which they are saved, as if they had been built in a layer of this name. */
export function rescope(variables: readonly LayerVariable[], name: string): void {
  for (const variable of variables) {
    const { originalName } = variable;
    const own = originalName.slice(originalName.indexOf("/") + 1);
    (variable as { originalName: string }).originalName = `${name}/${own}`;
  }
}

/** The layers that a model, a wrapper or a bidirectional layer is made of. */
export function insideOf(layer: Layer): Layer[] {
  if (layer instanceof LayerWrapper) return Object.values(layer.parts());
  const {
    layers,
    forwardLayer,
    backwardLayer,
    layer: wrapped,
  } = layer as Partial<Record<"layer" | "forwardLayer" | "backwardLayer", Layer>> & { layers?: Layer[] };
  if (layers) return layers;
  // what a bidirectional layer was made of is not what it runs
  if (forwardLayer && backwardLayer) return [forwardLayer, backwardLayer];
  return wrapped ? [wrapped] : [];
}
