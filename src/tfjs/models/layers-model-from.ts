/**
 * The TensorFlow.js model that a file has the architecture of: built layer by layer, with its weights.
 *
 *     const model = await layersModelFrom(await open("model.keras"));
 */
import * as tfl from "@tensorflow/tfjs-layers";
import type { Checkpoint } from "../../checkpoints/checkpoint.js";
import { CheckpointError } from "../../checkpoints/errors.js";
import { registerClasses } from "../layers/class-registry.js";
import { registered } from "../layers/keras-objects.js";
import type { Config, Layer } from "../types.js";
import { type LayerPlan, type ModelPlan, type Reference, topologyOf } from "./keras-topology.js";
import { loadInto } from "./load-into.js";

type Symbolic = tfl.SymbolicTensor;

/**
 * Builds a model of Keras 1, 2 or 3, or of TensorFlow.js, from a file that has its architecture, and loads its weights. Classes of your
 * own are found where `tf.serialization.registerClass` knows them. The model is not compiled.
 * @throws CheckpointError where the file has weights alone, a layer of which is unknown or has options that TensorFlow.js lacks, and where
 * weights are missing
 */
export async function layersModelFrom(checkpoint: Checkpoint): Promise<tfl.LayersModel> {
  registerClasses();
  const model = modelOf(topologyOf(checkpoint), checkpoint);
  try {
    await loadInto(model, checkpoint);
  } catch (error) {
    model.dispose();
    throw error;
  }
  return model;
}

function modelOf(plan: ModelPlan, checkpoint: Checkpoint): tfl.LayersModel {
  const { name } = plan;
  if (plan.sequential) {
    const model = tfl.sequential({ name });
    for (const one of plan.layers) within(one, checkpoint, () => model.add(layerOf(one, checkpoint)));
    return model;
  }
  const outputs = new Map<string, Symbolic[]>();
  const at = ({ layer, call }: Reference) => `${call} ${layer}`;
  const layers = plan.layers.map((one) => {
    if (one.className === "InputLayer") {
      const { batchInputShape, dtype } = one.config as { batchInputShape?: number[]; dtype?: "float32" };
      const input = within(one, checkpoint, () =>
        tfl.input({ batchShape: batchInputShape, dtype, name: one.name }),
      );
      outputs.set(at({ layer: one.name, call: 0, output: 0 }), [input]);
      return { plan: one, calls: [] };
    }
    return { plan: one, layer: within(one, checkpoint, () => layerOf(one, checkpoint)), calls: one.calls };
  });
  // a layer's calls in their order, each once its inputs are there
  let waiting = layers.flatMap(({ plan: one, layer, calls }) =>
    calls.map((inputs, call) => ({ one, layer: layer as Layer, inputs, call })),
  );
  while (waiting.length > 0) {
    const before = waiting.length;
    waiting = waiting.filter(({ one, layer, inputs, call }) => {
      const isNext = call === 0 || outputs.has(at({ layer: one.name, call: call - 1, output: 0 }));
      if (!isNext || !inputs.every((reference) => outputs.has(at(reference)))) return true;
      const tensors = inputs.map((reference) =>
        outputOf(outputs.get(at(reference)) as Symbolic[], reference, checkpoint),
      );
      const y = within(one, checkpoint, () => layer.apply(tensors.length === 1 ? tensors[0] : tensors));
      outputs.set(at({ layer: one.name, call, output: 0 }), [y].flat() as Symbolic[]);
      return false;
    });
    if (waiting.length === before) {
      throw failed(
        checkpoint,
        waiting[0].one.name,
        "its inputs come from its own output, or from a layer that is never called",
      );
    }
  }
  const ends = (references: readonly Reference[]) =>
    references.map((reference) => outputOf(outputs.get(at(reference)) ?? [], reference, checkpoint));
  const root = { ...plan, className: "Functional" };
  return within(root, checkpoint, () =>
    tfl.model({ inputs: ends(plan.inputs), outputs: ends(plan.outputs), name }),
  );
}

function outputOf(
  outputs: readonly Symbolic[],
  { layer, output }: Reference,
  checkpoint: Checkpoint,
): Symbolic {
  if (outputs[output] !== undefined) return outputs[output];
  throw failed(checkpoint, layer, `expected an output ${output}, it has ${outputs.length}`);
}

function layerOf(plan: LayerPlan, checkpoint: Checkpoint): Layer {
  if (plan.model) return modelOf(plan.model, checkpoint);
  const layer = made(plan, checkpoint);
  if (typeof layer.apply !== "function" || !("inboundNodes" in layer)) throw unknownClass(plan, checkpoint);
  // the file has all weights: costly initial values would be made in vain
  const { cells = [] } = (layer as { cell?: { cells?: Layer[] } }).cell ?? {};
  for (const one of [layer, ...cells]) one.setFastWeightInitDuringBuild(true);
  return layer;
}

function made(plan: LayerPlan, checkpoint: Checkpoint): Layer {
  const { className, config, inner } = plan;
  if (inner) {
    const layer = layerOf(inner, checkpoint);
    const wrapper = className === "Bidirectional" ? tfl.layers.bidirectional : tfl.layers.timeDistributed;
    return wrapper({ ...config, layer } as unknown as Parameters<
      typeof tfl.layers.bidirectional
    >[0]) as Layer;
  }
  const known = registered(className);
  if (known === undefined) throw unknownClass(plan, checkpoint);
  return known[1](known[0], structuredClone(config) as Config) as Layer;
}

function unknownClass({ className, name }: LayerPlan, checkpoint: Checkpoint): CheckpointError {
  return failed(
    checkpoint,
    name,
    `its class ${className} is not known`,
    "register it with tf.serialization.registerClass, or build the model yourself and load its weights with loadInto(model, checkpoint)",
  );
}

/** Runs what makes or calls a layer; TensorFlow.js's errors do not always name it. */
function within<T>(plan: Pick<LayerPlan, "name" | "className">, checkpoint: Checkpoint, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw failed(checkpoint, plan.name, `TensorFlow.js does not make this ${plan.className}: ${message}`);
  }
}

function failed(
  { file, format }: Checkpoint,
  layer: string,
  problem: string,
  remedy = "build the model in TensorFlow.js and load its weights with loadInto(model, checkpoint)",
): CheckpointError {
  return new CheckpointError(file, format, `layer "${layer.slice(0, 80)}": ${problem}`, { remedy });
}
