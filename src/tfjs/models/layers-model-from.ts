/**
 * The TensorFlow.js model that a file has the architecture of: built layer by layer, with its weights.
 *
 *     const model = await layersModelFrom(await open("model.keras"));
 */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import type { Checkpoint } from "../../checkpoints/checkpoint.js";
import { CheckpointError } from "../../checkpoints/errors.js";
import { shortened } from "../../checkpoints/tensors.js";
import { sizeOf } from "../../shape.js";
import { registerClasses } from "../layers/class-registry.js";
import { registered } from "../layers/keras-objects.js";
import { maskAsKeras, nested } from "../layers/masks.js";
import type { Config, Layer } from "../types.js";
import type { Reference } from "./keras-operations.js";
import { type LayerPlan, type ModelPlan, majorVersion, topologyOf } from "./keras-topology.js";
import { checkCheckpoint, loadInto } from "./load-into.js";
import { safeName } from "./modules.js";

type Symbolic = tfl.SymbolicTensor;

/**
 * Builds a model of Keras 1, 2 or 3, or of TensorFlow.js, from a file that has its architecture, and loads its weights. Classes of
 * your own are found where `tf.serialization.registerClass` knows them. The model is not compiled.
 * @throws TypeError for what is no checkpoint; CheckpointError where the file has weights alone, a layer of which is unknown or has options
 * that TensorFlow.js lacks, and where weights are missing
 */
export async function layersModelFrom(checkpoint: Checkpoint): Promise<tfl.LayersModel> {
  checkCheckpoint("layersModelFrom", checkpoint);
  if (tf.engine().backendNames().length === 0) {
    throw new Error(
      "layersModelFrom: expected a backend of TensorFlow.js, none is loaded; import one, such as @tensorflow/tfjs-backend-wasm",
    );
  }
  await tf.ready();
  registerClasses();
  const builder = new Builder(checkpoint);
  try {
    const model = builder.modelOf(topologyOf(checkpoint));
    await loadInto(model, checkpoint);
    return model;
  } catch (error) {
    builder.dispose();
    throw error;
  }
}

/** A layer's call that waits for its inputs. */
interface Call {
  readonly plan: LayerPlan;
  readonly layer: Layer;
  readonly inputs: readonly Reference[];
  readonly index: number;
}

/** What TensorFlow.js calls where a layer makes a weight. */
interface Making {
  addWeight(name: string, shape: number[], ...others: unknown[]): tfl.LayerVariable;
}

/** State that layers have beside what a file holds: counters and limits. */
const OWN_STATE = 4096;

/**
 * What is named twice once by itself, and then copied: TensorFlow.js's models give an output but once, and a layer that has an input twice
 * disposes of it before others have read it.
 */
function eachOnce(tensors: readonly Symbolic[]): Symbolic[] {
  const given = new Set<Symbolic>();
  return tensors.map((one) => {
    const isNew = !given.has(one);
    given.add(one);
    return isNew ? one : (tfl.layers.activation({ activation: "linear" }).apply(one) as Symbolic);
  });
}

class Builder {
  private readonly made: tfl.LayerVariable[] = [];
  /** Values that weights may still have: all come from the file, whose architecture could ask for any number. */
  private left: number;

  constructor(private readonly checkpoint: Checkpoint) {
    const sizes = [...checkpoint.tensors.values()].map(({ shape }) => sizeOf(shape));
    this.left = sizes.reduce((sum, size) => sum + size, OWN_STATE);
  }

  /** Of a model that is not finished. */
  dispose(): void {
    for (const variable of this.made) variable.dispose();
  }

  modelOf(plan: ModelPlan): tfl.LayersModel {
    const name = safeName(plan.name);
    if (plan.sequential) {
      const model = tfl.sequential({ name });
      for (const one of plan.layers) this.within(one, () => model.add(this.layerOf(one)));
      return model;
    }
    const outputs = new Outputs(this.checkpoint);
    const calls: Call[] = [];
    for (const one of plan.layers) {
      if (one.className === "InputLayer") {
        const { batchInputShape, dtype } = one.config as { batchInputShape?: number[]; dtype?: "float32" };
        const input = () => tfl.input({ batchShape: batchInputShape, dtype, name: safeName(one.name) });
        outputs.set(one.name, 0, [this.within(one, input)]);
        continue;
      }
      const layer = this.within(one, () => this.layerOf(one));
      calls.push(...one.calls.map((inputs, index) => ({ plan: one, layer, inputs, index })));
    }
    this.run(calls, outputs);
    const root = { name, className: "Functional" };
    return this.within(root, () =>
      tfl.model({
        inputs: plan.inputs.map(outputs.at),
        outputs: eachOnce(plan.outputs.map(outputs.at)),
        name,
      }),
    );
  }

  /** Calls each layer as often as it is called, in order, once its inputs are there. */
  private run(calls: readonly Call[], outputs: Outputs): void {
    let waiting = calls;
    while (waiting.length > 0) {
      const ready = ({ plan, inputs, index }: Call) =>
        (index === 0 || outputs.has(plan.name, index - 1)) &&
        inputs.every(({ layer, call }) => outputs.has(layer, call));
      const still: Call[] = [];
      for (const one of waiting) {
        if (!ready(one)) {
          still.push(one);
          continue;
        }
        const { plan, layer, inputs, index } = one;
        const tensors = eachOnce(inputs.map(outputs.at));
        const y = this.within(plan, () => layer.apply(tensors.length === 1 ? tensors[0] : tensors));
        outputs.set(plan.name, index, [y].flat() as Symbolic[]);
      }
      if (still.length === waiting.length) {
        throw failed(
          this.checkpoint,
          still[0].plan.name,
          "its inputs come from its own output, or from a layer that is never called",
        );
      }
      waiting = still;
    }
  }

  private layerOf(plan: LayerPlan): Layer {
    const { className, config, model, inner } = plan;
    if (model) return nested(this.modelOf(model));
    let layer: Layer;
    if (inner) {
      const wrapper = className === "Bidirectional" ? tfl.layers.bidirectional : tfl.layers.timeDistributed;
      const args = { ...config, layer: this.layerOf(inner) };
      layer = wrapper(args as unknown as Parameters<typeof tfl.layers.bidirectional>[0]) as Layer;
    } else {
      const known = registered(className);
      if (known === undefined) throw unknownClass(plan, this.checkpoint);
      layer = known[1](known[0], structuredClone(config) as Config) as Layer;
    }
    if (typeof layer.apply !== "function" || !("inboundNodes" in layer)) {
      throw unknownClass(plan, this.checkpoint);
    }
    for (const one of insideAndItself(layer)) this.prepare(one);
    maskAsKeras(layer, majorVersion(this.checkpoint.architecture?.version));
    return layer;
  }

  /** Costly initial values would be made in vain, and weights that no tensor of the file fits too. */
  private prepare(layer: Layer): void {
    layer.setFastWeightInitDuringBuild(true);
    const making = layer as unknown as Making;
    const { addWeight } = making;
    making.addWeight = (name, shape, ...others) => {
      this.left -= sizeOf(shape);
      if (!(this.left >= 0)) {
        throw failed(
          this.checkpoint,
          layer.name,
          `its ${name} [${shape.join(", ")}] is more than is left of the file's values`,
          "the file seems damaged: fetch or write it again",
        );
      }
      const variable = addWeight.call(layer, name, shape, ...others);
      this.made.push(variable);
      return variable;
    };
  }

  /** Runs what makes or calls a layer; TensorFlow.js's errors do not always name it. */
  private within<T>({ name, className }: Pick<LayerPlan, "name" | "className">, run: () => T): T {
    try {
      return run();
    } catch (error) {
      if (error instanceof CheckpointError) throw error;
      const message = error instanceof Error ? error.message : String(error);
      throw failed(this.checkpoint, name, `TensorFlow.js does not make this ${className}: ${message}`);
    }
  }
}

/** What each call of each layer gave. */
class Outputs {
  private readonly all = new Map<string, readonly Symbolic[]>();

  constructor(private readonly checkpoint: Checkpoint) {}

  has(layer: string, call: number): boolean {
    return this.all.has(`${call} ${layer}`);
  }

  set(layer: string, call: number, outputs: readonly Symbolic[]): void {
    this.all.set(`${call} ${layer}`, outputs);
  }

  readonly at = ({ layer, call, output }: Reference): Symbolic => {
    const outputs = this.all.get(`${call} ${layer}`) ?? [];
    if (outputs[output] !== undefined) return outputs[output];
    throw failed(this.checkpoint, layer, `expected an output ${output}, it has ${outputs.length}`);
  };
}

/** A layer, and those in it that make weights: a wrapper's, and cells. */
function insideAndItself(layer: Layer): Layer[] {
  const { cell, cells, forwardLayer, backwardLayer } = layer as Layer &
    Partial<Record<"cell" | "forwardLayer" | "backwardLayer", Layer>> & { cells?: Layer[] };
  const inside = [cell, forwardLayer, backwardLayer, ...(cells ?? [])].filter((one) => one !== undefined);
  return [layer, ...inside.flatMap((one) => insideAndItself(one))];
}

function unknownClass({ className, name }: LayerPlan, checkpoint: Checkpoint): CheckpointError {
  return failed(
    checkpoint,
    name,
    `its class ${shortened(className)} is not known`,
    "register it with tf.serialization.registerClass, or build the model yourself and load its weights with loadInto(model, checkpoint)",
  );
}

function failed(
  { file, format }: Checkpoint,
  layer: string,
  problem: string,
  remedy = "build the model in TensorFlow.js and load its weights with loadInto(model, checkpoint)",
): CheckpointError {
  return new CheckpointError(file, format, `layer "${shortened(layer)}": ${problem}`, { remedy });
}
