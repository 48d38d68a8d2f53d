/** A layer that wraps others, as TensorFlow.js's own Wrapper, which is not exported. */
import type * as tf from "@tensorflow/tfjs-core";
import { layers as builtIn, type LayerVariable } from "@tensorflow/tfjs-layers";
import type { Config, Layer, LayerArgs, SavedObject, Shape } from "../types.js";
import { registered } from "./keras-objects.js";
import { checkArgs, ownArgs, withTypeName } from "./layer-args.js";

/** Its weights are the wrapped layers' and its own; it is saved with both. */
export abstract class LayerWrapper extends builtIn.Layer {
  /** The wrapped layer. */
  readonly layer: Layer;
  /** Options of the wrapper, as given. */
  protected readonly options: Config;

  protected constructor({ layer, ...args }: LayerArgs & { layer: Layer }, options: readonly string[]) {
    const { batchInputShape, dtype } = (layer ?? {}) as Layer;
    super({ ...(batchInputShape && !args.inputShape && { batchInputShape, dtype }), ...args });
    if (typeof layer?.computeOutputShape !== "function") {
      throw new TypeError(
        `${this.getClassName()}: expected a layer to wrap, such as tf.layers.dense({ units: 8 }), got ${typeof layer}`,
      );
    }
    checkArgs(this.getClassName(), args, options);
    this.layer = layer;
    if (args.trainable === false) layer.trainable = false;
    this.supportsMasking = layer.supportsMasking;
    this._stateful = layer.stateful;
    this.options = ownArgs(args) as Config;
  }

  /** All inner layers, by their names in a saved config. */
  parts(): Record<string, Layer> {
    // absent while the constructor of Layer runs
    return this.layer ? { layer: this.layer } : {};
  }

  /** Builds an inner layer, whose weights are saved under the wrapper's name, as if created in its scope. */
  protected buildPart(layer: Layer, inputShape: Shape | Shape[], scope = this.name): void {
    const owner = owners.get(layer);
    if (owner !== undefined && owner !== this) {
      throw new Error(
        `${this.getClassName()}: ${layer.name} is already inside ${owner.name}, under whose name its weights are saved; give each wrapper its own layer`,
      );
    }
    owners.set(layer, this);
    if (!layer.built) {
      layer.build(inputShape);
      layer.built = true;
      if (layer.initialWeights) layer.setWeights(layer.initialWeights);
    }
    // a model's weights keep the names of its layers
    if (!("layers" in layer)) rescope(layer, scope, this.name);
  }

  /** Drops the wrapper's own weights, and frees the inner layer for another wrapper. */
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
    const made = Object.entries(withTypeName(cls.className, config)).map(([name, value]) => [
      name,
      isSavedLayer(value) ? layerFrom(cls.className, value) : value,
    ]);
    return new cls(Object.fromEntries(made));
  }

  private inside(): Layer[] {
    return Object.values(this.parts());
  }
}

/** The wrapper that built an inner layer. */
const owners = new WeakMap<Layer, LayerWrapper>();

function isSavedLayer(value: unknown): value is SavedObject {
  return typeof value === "object" && value !== null && "className" in value && "config" in value;
}

function layerFrom(wrapper: string, { className, config }: SavedObject): Layer {
  const known = registered(className);
  if (known) return known[1](known[0], config) as Layer;
  throw new RangeError(
    `${wrapper}: the inner layer is of class "${className}", which is not registered; register it with tf.serialization.registerClass`,
  );
}

/**
 * Renames a layer's variables as if they had been built in `scope`, under which they are saved. TensorFlow.js
 * named them when they were built: after the layer, the wrapper that `built` it, or an outer one. Any of
 * these names may contain slashes.
 */
export function rescope(layer: Layer, scope: string, built = layer.name): void {
  for (const variable of layer.weights) {
    const { originalName } = variable;
    const before = [scopes.get(variable), built, layer.name].find((one) =>
      originalName.startsWith(`${one}/`),
    );
    const own = originalName.slice((before?.length ?? originalName.lastIndexOf("/")) + 1);
    (variable as { originalName: string }).originalName = `${scope}/${own}`;
    scopes.set(variable, scope);
  }
}

/** Scopes of renamed variables. */
const scopes = new WeakMap<LayerVariable, string>();

/** The layers inside a model, a wrapper or a bidirectional layer. */
export function insideOf(layer: Layer): Layer[] {
  if (layer instanceof LayerWrapper) return Object.values(layer.parts());
  const {
    layers,
    forwardLayer,
    backwardLayer,
    layer: wrapped,
  } = layer as Partial<Record<"layer" | "forwardLayer" | "backwardLayer", Layer>> & { layers?: Layer[] };
  if (layers) return layers;
  // a bidirectional layer runs copies of the layer that it was given
  if (forwardLayer && backwardLayer) return [forwardLayer, backwardLayer];
  return wrapped ? [wrapped] : [];
}
