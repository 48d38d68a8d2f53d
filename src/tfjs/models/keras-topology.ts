/**
 * A model's layers and how they are connected, as Keras 1, 2 and 3 and TensorFlow.js save them (`to_json`), in one form. Keras 1 and 2
 * list the calls of a layer as [[[from, call, output, options], ...], ...]; Keras 3 as { args, kwargs } with `__keras_tensor__`s in them.
 *
 * Refuses models of a class of their own, whose layers are in code: only sequential and functional ones are in a file.
 */
import type { Checkpoint } from "../../checkpoints/checkpoint.js";
import { CheckpointError } from "../../checkpoints/errors.js";
import { shortened } from "../../checkpoints/tensors.js";
import type { Config } from "../types.js";
import { operationOf, type Reference } from "./keras-operations.js";
import { isSaved, layerOptions, own, type Reading, type Saved } from "./keras-options.js";
import { safeName } from "./modules.js";

export interface LayerPlan {
  readonly name: string;
  readonly className: string;
  /** As TensorFlow.js has it; of a model empty. */
  readonly config: Config;
  /** Its layers, if it is a model. */
  readonly model?: ModelPlan;
  /** The layer in a wrapper of TensorFlow.js's. */
  readonly inner?: LayerPlan;
  /** How many axes lie between the batch and the channels, where these come first. */
  readonly channelsFirst?: number;
  /** Zeros around its input, channels last, which the layer itself does not add. */
  readonly margins?: readonly number[][];
  /** In the order in which they were made; of an input none. */
  readonly calls: readonly (readonly Reference[])[];
}

export interface ModelPlan {
  readonly name: string;
  /** One layer after the other, without calls and references. */
  readonly sequential: boolean;
  readonly layers: readonly LayerPlan[];
  readonly inputs: readonly Reference[];
  readonly outputs: readonly Reference[];
}

/** Models in models. */
const DEEPEST = 32;
const REMEDY = "build the model in TensorFlow.js and load its weights with loadInto(model, checkpoint)";

/** @throws CheckpointError where the file has no architecture, or one of which a layer is not known */
export function topologyOf(checkpoint: Checkpoint): ModelPlan {
  const { architecture, file, format } = checkpoint;
  if (architecture === undefined) {
    throw new CheckpointError(file, format, "expected the layers of a Keras model, it has none", {
      remedy: REMEDY,
    });
  }
  const { topology, version } = architecture;
  const isTheano = checkpoint.metadata.backend === "theano";
  const major = majorVersion(version);
  const ordering = major === 1 ? orderingIn(topology) : undefined;
  return modelPlan(topology, { file, format, version: major, isTheano, ordering }, 0);
}

/** Of Keras; 0 for TensorFlow.js, which calls its version "tfjs-layers 4.22.0". */
export function majorVersion(version = ""): number {
  const major = Number.parseInt(version, 10);
  return major <= 3 ? major : 0;
}

interface File {
  readonly file: string;
  readonly format: string;
  readonly version: number;
  /** Whether Keras computed with Theano. */
  readonly isTheano: boolean;
  /** What those layers of Keras 1 that say it have for their `dim_ordering`, if all the same. */
  readonly ordering: unknown;
}

function failing({ file, format }: Pick<File, "file" | "format">, layer: string) {
  return (problem: string, remedy = REMEDY) =>
    new CheckpointError(file, format, `layer "${shortened(layer)}": ${problem}`, { remedy });
}

function orderingIn(topology: unknown): unknown {
  const found = new Set<unknown>();
  const all = [topology];
  // the list is visited to its end
  for (const one of all) {
    if (typeof one !== "object" || one === null) continue;
    for (const [name, value] of Object.entries(one)) {
      if (name === "dim_ordering") found.add(value);
      else all.push(value);
    }
  }
  return found.size === 1 ? [...found][0] : undefined;
}

const classOf = (saved: Saved): string => String(own(saved, "class_name") ?? "");

function isModel(saved: Saved): boolean {
  const config = own(saved, "config");
  if (classOf(saved) === "Sequential") return true;
  // of Keras 1, with the models that it merges
  if (classOf(saved) === "Merge") return false;
  return isSaved(config) && Array.isArray(own(config, "layers"));
}

function modelPlan(saved: Saved, file: File, depth: number): ModelPlan {
  const className = classOf(saved);
  const config = own(saved, "config");
  const given = isSaved(config) ? own(config, "name") : own(saved, "name");
  const name = typeof given === "string" ? given : className.toLowerCase();
  const fail = failing(file, name);
  if (!isModel(saved)) {
    throw fail(
      `it is a model of its own class ${className}, whose layers are in code: expected Sequential or Functional`,
    );
  }
  if (depth > DEEPEST) throw fail(`models are nested more than ${DEEPEST} deep`);
  const listed = isSaved(config) ? own(config, "layers") : config;
  if (!Array.isArray(listed) || !listed.every(isSaved)) throw fail("expected a list of layers");
  const layers = listed as Saved[];
  if (className === "Sequential" || !isSaved(config) || own(config, "input_layers") === undefined) {
    const plans = sequence(layers, config, file, depth);
    return channelsLast({ name, sequential: true, layers: plans, inputs: [], outputs: [] });
  }
  const inputs = references(own(config, "input_layers"), fail);
  const outputs = references(own(config, "output_layers"), fail);
  const used = leadingTo([...inputs, ...outputs], layers, file);
  checkCalls(
    layers.filter((layer) => used.has(nameOf(layer))),
    layers,
    file,
  );
  const plans = layers
    .filter((layer) => used.has(nameOf(layer)))
    .map((layer) => layerPlan(layer, file, depth));
  return channelsLast({ name, sequential: false, ...renumbered(plans, inputs, outputs, file.version, fail) });
}

/** Names of the layers that outputs need: Keras 3 has operations beside them that compute masks, which TensorFlow.js's layers pass on. */
function leadingTo(ends: readonly Reference[], layers: readonly Saved[], file: File): Set<string> {
  const byName = new Map(layers.map((layer) => [nameOf(layer), layer]));
  const used = new Set(ends.map(({ layer }) => layer));
  for (const name of used) {
    const layer = byName.get(name);
    const before = layer ? callsOf(layer, failing(file, name)).flat() : [];
    // a set visits what is added to it
    for (const { layer: other } of before) used.add(other);
  }
  return used;
}

/**
 * Refuses what TensorFlow.js's layers are never called with: a mask of the model's own, and training in evaluation. (Keras 3 lists the masks
 * that Embedding and Masking compute too; there an evaluated model has training false, whatever a call says.)
 */
function checkCalls(called: readonly Saved[], layers: readonly Saved[], file: File): void {
  const byName = new Map(layers.map((layer) => [nameOf(layer), layer]));
  const masking = layers.filter(
    (layer) =>
      classOf(layer) === "Masking" ||
      (classOf(layer) === "Embedding" && optionOf(layer, "mask_zero") === true),
  );
  const callsIn = (layer: Saved) => callsOf(layer, failing(file, nameOf(layer))).flat();
  /** What masks are computed of, and what these come from in turn. */
  const allowed = new Set(masking.flatMap(callsIn).map((one) => JSON.stringify(one)));
  for (const layer of called) {
    const fail = failing(file, nameOf(layer));
    for (const [name, value] of namedArguments(own(layer, "inbound_nodes"))) {
      if (name === "training" && value === true && file.version < 3) {
        throw fail("it is called with training true, in evaluation too, which TensorFlow.js's models cannot");
      }
      if (name !== "mask" || value === null) continue;
      const sources = callOf([value], fail);
      for (const source of sources) {
        const from = byName.get(source.layer);
        const key = JSON.stringify(source);
        // of an input without a mask, beside others, only the shape is asked for
        if (allowed.has(key) || from === undefined || classOf(from) === "OnesLike") continue;
        const before = callsIn(from);
        if (before.length === 0) {
          throw fail(
            "it is called with a mask of the model's own: TensorFlow.js has those of Embedding and Masking alone",
          );
        }
        allowed.add(key);
        // the list is visited to its end
        sources.push(...before);
      }
    }
  }
}

const optionOf = (saved: Saved, name: string): unknown => {
  const config = own(saved, "config");
  return isSaved(config) ? own(config, name) : undefined;
};

/** Of all calls, in either form. */
function namedArguments(nodes: unknown, depth = 0): [name: string, value: unknown][] {
  if (isSaved(nodes)) {
    const kwargs = own(nodes, "kwargs");
    return isSaved(kwargs) ? Object.entries(kwargs) : [];
  }
  if (!Array.isArray(nodes) || depth > 4) return [];
  if (isReference(nodes)) return isSaved(nodes[3]) ? Object.entries(nodes[3]) : [];
  return nodes.flatMap((one) => namedArguments(one, depth + 1));
}

/** The layers of a sequential model, the first with the shape of its input. */
function sequence(layers: readonly Saved[], config: unknown, file: File, depth: number): LayerPlan[] {
  const plans = layers.map((layer) => ({ ...layerPlan(layer, file, depth), calls: [] }));
  const [first] = plans;
  if (first === undefined || first.model || first.config.batchInputShape) return plans;
  const shape = isSaved(config) ? own(config, "build_input_shape") : undefined;
  if (!Array.isArray(shape)) {
    throw failing(
      file,
      first.name,
    )("the shape of the model's input is not in the file: it was saved before it was built");
  }
  return [{ ...first, config: { ...first.config, batchInputShape: shape as number[] } }, ...plans.slice(1)];
}

function nameOf(saved: Saved): string {
  const config = own(saved, "config");
  return String(own(saved, "name") ?? (isSaved(config) ? own(config, "name") : undefined) ?? classOf(saved));
}

function callsOf(saved: Saved, fail: Reading["fail"]): Reference[][] {
  const nodes = own(saved, "inbound_nodes") ?? [];
  if (!Array.isArray(nodes)) throw fail("expected a list of its calls in inbound_nodes");
  return nodes.map((node) => callOf(node, fail));
}

function layerPlan(saved: Saved, file: File, depth: number): LayerPlan {
  const className = classOf(saved);
  const config = own(saved, "config");
  const name = nameOf(saved);
  const fail = failing(file, name);
  if (depth > DEEPEST) throw fail(`layers are nested more than ${DEEPEST} deep`);
  const calls = callsOf(saved, fail);
  if (isModel(saved)) return { name, className, config: {}, model: modelPlan(saved, file, depth + 1), calls };
  if (!isSaved(config)) throw fail("expected its options in config");
  const operation = operationOf(saved, fail);
  if (operation) return { name, ...operation };
  const { version, ordering } = file;
  const reading: Reading = { layer: name, version, ordering, fail };
  const options = { ...config, name: safeName(name) };
  if (className === "TimeDistributed" || className === "Bidirectional") {
    const { layer, backward_layer, ...outer } = options as Saved & {
      layer?: unknown;
      backward_layer?: unknown;
    };
    if (!isSaved(layer)) throw fail(`expected the layer inside ${className}`);
    if (isSaved(backward_layer) && asBackward(layer) !== asBackward(backward_layer)) {
      throw fail("its backward_layer is not like its forward one, as TensorFlow.js has it");
    }
    const inner = layerPlan(className === "Bidirectional" ? ofOneCell(layer) : layer, file, depth + 1);
    if (inner.channelsFirst) throw fail(`data_format channels_first inside ${className} is not supported`);
    if (inner.margins) throw fail(`Theano's padding "same" inside ${className} is not supported`);
    return { name, ...layerOptions(className, outer, reading), inner, calls };
  }
  if (className === "MultiHeadAttention") {
    const { inputs, causal } = attentionCalls(saved, fail);
    return { name, ...layerOptions(className, { ...options, causal }, reading), calls: inputs };
  }
  const made = { name, ...layerOptions(className, options, reading), calls };
  const plan = file.isTheano ? paddedAsTheano(made, fail) : made;
  if (plan.config.dataFormat !== "channelsFirst" || className === "Flatten") return plan;
  const [, axes = "2"] = /([123])D/.exec(className) ?? [];
  if (className.startsWith("ConvLSTM"))
    throw fail("data_format channels_first of this layer is not supported");
  return { ...plan, config: { ...plan.config, dataFormat: "channelsLast" }, channelsFirst: Number(axes) };
}

/**
 * Theano puts half a kernel of padding "same" before an image, whatever its strides are, where TensorFlow puts less, and less yet with strides
 * (`_preprocess_border_mode` and `pool2d` of keras/backend/theano_backend.py). With odd kernels and no strides they agree.
 */
function paddedAsTheano(plan: LayerPlan, fail: Reading["fail"]): LayerPlan {
  const { className, config } = plan;
  if (/^(Separable|(Dilated)?Depthwise)Conv/.test(className)) {
    throw fail(`${className} that Theano computed is not supported`);
  }
  if (config.padding !== "same") return plan;
  const { kernelSize, poolSize, strides = 1, dilationRate = 1 } = config as Record<string, number | number[]>;
  const isPooling = poolSize !== undefined;
  const sizes = [isPooling ? poolSize : kernelSize].flat();
  const at = (value: number | number[], i: number) => (Array.isArray(value) ? value[i] : value) ?? 1;
  const spans = sizes.map((size, i) => (size - 1) * at(dilationRate, i) + 1);
  const steps = sizes.map((size, i) => (isPooling ? at(strides ?? size, i) : at(strides, i)));
  const agrees = (span: number, i: number) => span % 2 === 1 && steps[i] === 1 && (!isPooling || span < 5);
  if (spans.every((span, i) => span === 1 || agrees(span, i))) return plan;
  if (!/^(Grouped)?Conv[123]D$/.test(className)) {
    throw fail(
      `padding "same" of ${className} is not TensorFlow's where Theano computed it, and is not supported`,
    );
  }
  const margins = [...spans.map((span) => [Math.floor(span / 2), Math.floor((span - 1) / 2)]), [0, 0]];
  return { ...plan, config: { ...config, padding: "valid" }, margins };
}

/** Of MultiHeadAttention: query, value and key, by whatever names they are called with. */
function attentionCalls(saved: Saved, fail: Reading["fail"]): { inputs: Reference[][]; causal: boolean } {
  let causal = false;
  const nodes = own(saved, "inbound_nodes") ?? [];
  if (!Array.isArray(nodes)) throw fail("expected a list of its calls in inbound_nodes");
  const inputs = nodes.map((node) => {
    const entries = isReference(node) ? [node] : [node].flat();
    const bare = isSaved(node)
      ? { args: own(node, "args") }
      : entries.map((one) => (Array.isArray(one) ? one.slice(0, 3) : one));
    const named = new Map(namedArguments(node));
    for (const [name, value] of named) {
      if (name === "use_causal_mask") causal ||= value === true;
      else if (!["query", "value", "key", "training"].includes(name) && value !== null && value !== false) {
        throw fail(`its ${name} is not supported`);
      }
    }
    const others = ["query", "value", "key"].map((name) => named.get(name) ?? []);
    return [...callOf(bare, fail), ...callOf(others, fail)];
  });
  return { inputs, causal };
}

/** What a layer's forward and backward halves have in common. */
function asBackward(layer: Saved): string {
  const OWN = ["name", "go_backwards", "seed", "shared_object_id", "build_config"];
  return JSON.stringify(layer, (key, value) => (OWN.includes(key) ? undefined : value));
}

/** `RNN(LSTMCell(5))` as `LSTM(5)`: TensorFlow.js makes no bidirectional layer of the first. */
function ofOneCell(layer: Saved): Saved {
  const config = own(layer, "config");
  const cell = isSaved(config) ? own(config, "cell") : undefined;
  if (classOf(layer) !== "RNN" || !isSaved(config) || !isSaved(cell) || !isSaved(cell.config)) return layer;
  const className = classOf(cell).replace(/Cell$/, "");
  if (!["LSTM", "GRU", "SimpleRNN"].includes(className)) return layer;
  const { cell: _, ...outer } = config;
  return { ...layer, class_name: className, config: { ...cell.config, ...outer } };
}

/**
 * Layers with channels first compute with channels last, between two that turn the axes: TensorFlow.js's have no such option, or not on every
 * backend. Margins that a layer does not add itself are one before it.
 */
function channelsLast(plan: ModelPlan): ModelPlan {
  const turned = new Map<string, string>();
  for (const { name, config, className, channelsFirst } of plan.layers) {
    const isKept = !/^Global/.test(className) || config.keepDims === true;
    if (channelsFirst && isKept) turned.set(name, `${name}_channels_first`);
  }
  const after = (reference: Reference): Reference => ({
    ...reference,
    layer: turned.get(reference.layer) ?? reference.layer,
  });
  const layers = plan.layers.flatMap(({ channelsFirst: axes, margins, ...layer }): LayerPlan[] => {
    const { name } = layer;
    const calls = layer.calls.map((call) => call.map(after));
    const places = Array.from({ length: axes ?? 0 }, (_, i) => i + 1);
    const extra = (ending: string, className: string, config: Config): LayerPlan => {
      const own = `${name}_${ending}`;
      return { name: own, className, config: { ...config, name: safeName(own) }, calls: [] };
    };
    const chain = [
      ...(axes ? [extra("channels_last", "Permute", { dims: [...places.map((i) => i + 1), 1] })] : []),
      ...(margins ? [extra("margins", "Margins", { margins } as unknown as Config)] : []),
      layer,
      ...(turned.has(name)
        ? [extra("channels_first", "Permute", { dims: [(axes ?? 0) + 1, ...places] })]
        : []),
    ];
    const { batchInputShape, ...config } = layer.config;
    return chain.map((one, i) => {
      const own = one === layer ? config : one.config;
      return {
        ...one,
        config: i === 0 && batchInputShape ? { ...own, batchInputShape } : own,
        calls:
          i === 0 ? calls : layer.calls.map((_, call) => [{ layer: chain[i - 1].name, call, output: 0 }]),
      };
    });
  });
  return { ...plan, layers, inputs: plan.inputs.map(after), outputs: plan.outputs.map(after) };
}

/** The tensors of a call, in its order: arguments by position, then those by name (the initial state of a recurrent layer). */
function callOf(node: unknown, fail: Reading["fail"]): Reference[] {
  const inputs: Reference[] = [];
  const add = (layer: unknown, call: unknown, output: unknown) => {
    if (typeof layer !== "string" || !Number.isInteger(call) || !Number.isInteger(output)) {
      throw fail("expected the name of a layer, its call and output, in inbound_nodes");
    }
    inputs.push({ layer, call: call as number, output: output as number });
  };
  const scan = (value: unknown, depth: number): void => {
    if (depth > DEEPEST) throw fail("its calls are nested too deep");
    if (isReference(value)) {
      if (value[0] !== "_CONSTANT_VALUE") add(value[0], value[1], value[2]);
      if (isSaved(value[3])) for (const [name, one] of Object.entries(value[3])) argument(name, one, depth);
    } else if (Array.isArray(value)) for (const one of value) scan(one, depth + 1);
    else if (isSaved(value) && value.class_name === "__keras_tensor__") {
      const history = own((value.config ?? {}) as Saved, "keras_history");
      if (!Array.isArray(history)) throw fail("expected the history of a tensor in inbound_nodes");
      add(history[0], history[1], history[2]);
    }
  };
  const argument = (name: string, value: unknown, depth: number): void => {
    if (name !== "training" && name !== "mask") scan(value, depth + 1);
  };
  if (isSaved(node)) {
    scan(own(node, "args") ?? [], 0);
    const kwargs = own(node, "kwargs");
    if (isSaved(kwargs)) for (const [name, value] of Object.entries(kwargs)) argument(name, value, 0);
  } else scan(node, 0);
  return inputs;
}

function isReference(value: unknown): value is unknown[] {
  return Array.isArray(value) && typeof value[0] === "string" && value.length >= 3;
}

/** Of inputs or outputs: one reference, or several in a list or by name. */
function references(value: unknown, fail: Reading["fail"]): Reference[] {
  if (isSaved(value)) return Object.values(value).flatMap((one) => references(one, fail));
  return callOf([value], fail);
}

/**
 * Keras 2 counts the making of a model as its call 0, where the model is a layer of another, and Keras 3 does so for functional models among
 * inputs and outputs; here the first call is. Checks that what is referred to exists.
 */
function renumbered(
  plans: readonly LayerPlan[],
  inputs: readonly Reference[],
  outputs: readonly Reference[],
  version: number,
  fail: Reading["fail"],
): Pick<ModelPlan, "layers" | "inputs" | "outputs"> {
  const byName = new Map(plans.map((plan) => [plan.name, plan]));
  if (byName.size < plans.length) throw fail("expected each layer to have a name of its own");
  const last = new Map<string, number>();
  const ends = version === 3 ? [] : [...inputs, ...outputs];
  for (const { layer, call } of [...plans.flatMap(({ calls }) => calls.flat()), ...ends]) {
    last.set(layer, Math.max(last.get(layer) ?? 0, call));
  }
  const moved = (reference: Reference): Reference => {
    const { layer, call } = reference;
    const plan = byName.get(layer);
    if (plan === undefined) throw fail(`it refers to a layer "${shortened(layer)}", which there is not`);
    const count = Math.max(1, plan.calls.length);
    const shift = plan.model !== undefined && (last.get(layer) ?? 0) >= count ? 1 : 0;
    if (call - shift < 0 || call - shift >= count) {
      throw fail(`it refers to call ${call} of "${shortened(layer)}", which has ${count}`);
    }
    return { ...reference, call: call - shift };
  };
  return {
    layers: plans.map((plan) => ({ ...plan, calls: plan.calls.map((call) => call.map(moved)) })),
    inputs: inputs.map(moved),
    outputs: outputs.map((reference) => {
      const isCounted = version === 3 && byName.get(reference.layer)?.model?.sequential === false;
      return moved(isCounted ? { ...reference, call: Math.max(0, reference.call - 1) } : reference);
    }),
  };
}
