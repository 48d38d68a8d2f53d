/**
 * What happens by depth in anybody's network, before training and over its first steps: the norm of the gradient of each
 * layer's weights, the mean and spread of what leaves its activation, units that are dead, and how far the statistics of a
 * batch are from those that layers store for evaluation. Where layers share weights or are called several times, what
 * they give is measured over all of their calls.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel, LayerVariable } from "@tensorflow/tfjs-layers";
import { biasedVariance, type Moments, merge, momentsOf, noMoments } from "evenkeel";
import { type StatisticsGap, statisticsGap } from "evenkeel/tfjs";
import { normOf } from "./gradients.js";
import {
  activationOf,
  hasKernel,
  isActivation,
  isEmbedding,
  isNormalization,
  leavesOf,
} from "./models/layer-kinds.js";
import type { Layer } from "./models/model.js";
import { disposeOptimizer, optimizerOf } from "./optimizers.js";
import { finite } from "./results.js";
import type { OptimizerName } from "./settings.js";

/** Examples for each input [batch, ...], and what is wanted of each output. */
export interface Batch {
  xs: tf.Tensor[];
  ys: tf.Tensor[];
}

/** What is measured on, and how it is trained. */
export interface Plan {
  /** Batches that are measured on, always the same. */
  probes: Batch[];
  steps: number;
  /** The batch of a step from 0, which is disposed of after it. */
  batchOf(step: number): Batch;
  loss(outputs: tf.Tensor[], ys: tf.Tensor[]): tf.Scalar;
  optimizer: OptimizerName;
  learningRate: number;
}

/** A layer with weights of two axes or more. */
export interface MeasuredLayer {
  /** Its path: names of the models around it, and its own. */
  name: string;
  type: string;
  /** What its outputs are measured after: its own, or that of a layer after it; "linear" for none. */
  activation: string;
  /** Length of the last axis of what is measured. */
  units: number;
  /** Values in its weights. */
  parameters: number;
  /** Whether training leaves its weights as they are. */
  frozen: boolean;
}

/** Numbers of one layer at one time; null where they are not finite, or not there. */
export interface LayerState {
  /** Of the mean loss by its weights of two axes or more. */
  gradientNorm: number | null;
  /** Of these weights. */
  weightNorm: number | null;
  mean: number | null;
  /** Standard deviation. */
  spread: number | null;
  /** The share of units that give 0 for every example measured on, or are saturated for nine tenths of them. */
  dead: number | null;
}

export interface Probe {
  /** Steps taken before. */
  step: number;
  /** In training mode, over all that is measured on. */
  loss: number | null;
  /** In evaluation mode. */
  evaluationLoss: number | null;
  /** As the layers of the course. */
  layers: LayerState[];
  /** Of layers that store statistics of batches; numbers that are not finite are null. */
  gaps: Gap[];
}

export interface Gap {
  layer: string;
  over: StatisticsGap["over"];
  /** |batch − stored| in stored standard deviations, the median of the channels and the most. */
  mean: { median: number | null; max: number | null };
  /** The larger variance over the smaller. */
  variance: { median: number | null; max: number | null };
}

/** A network on its way. */
export interface Course {
  /** The normalization that was put into it; undefined for the network as it is. */
  norm?: string;
  /** The layers that it follows. */
  placed: string[];
  parameters: number;
  layers: MeasuredLayer[];
  probes: Probe[];
  /** Of the batch of each step, before the step; null where it is not finite, which ends the course. */
  losses: (number | null)[];
}

/** After 1, 2, 3, 5, 8, … steps, and after the last. */
export function probeSteps(steps: number): number[] {
  const found = [0];
  for (let [step, next] = [1, 2]; step < steps; [step, next] = [next, step + next]) found.push(step);
  return steps > 0 ? [...found, steps] : found;
}

/**
 * Measures a network before training and over its first steps. Its weights are those after the last step when this is
 * done. `report` is awaited now and then, with the share that is done.
 * @throws RangeError for a network without layers that have weights of two axes; whatever TensorFlow.js throws where the
 * batches do not fit the network
 */
export async function courseOf(
  model: LayersModel,
  plan: Plan,
  { norm, placed = [] }: Pick<Course, "norm"> & Partial<Pick<Course, "placed">> = {},
  report: (done: number) => void | Promise<void> = () => {},
): Promise<Course> {
  const meter = new Meter(model);
  const optimizer = optimizerOf(plan.optimizer, plan.learningRate);
  const losses: Course["losses"] = [];
  const probes: Probe[] = [];
  const at = new Set(probeSteps(plan.steps));
  try {
    for (let step = 0; step <= plan.steps; step++) {
      if (at.has(step)) probes.push(meter.probe(plan, step));
      await report(step / Math.max(1, plan.steps));
      if (step === plan.steps) break;
      const loss = trainStep(model, plan, optimizer, step);
      losses.push(loss);
      if (loss === null) {
        if (probes.at(-1)?.step !== step) probes.push(meter.probe(plan, step));
        break;
      }
    }
  } finally {
    disposeOptimizer(optimizer);
  }
  const parameters = model.weights.reduce((sum, weight) => sum + sizeOf(weight), 0);
  return {
    ...(norm !== undefined && { norm }),
    placed,
    parameters,
    layers: meter.layers,
    probes,
    losses,
  };
}

function trainStep(model: LayersModel, plan: Plan, optimizer: tf.Optimizer, step: number): number | null {
  const batch = plan.batchOf(step);
  tf.engine().startScope();
  try {
    const { value, grads } = gradientsOf(model, () => plan.loss(run(model, batch.xs, true), batch.ys));
    const loss = value.dataSync()[0];
    if (!Number.isFinite(loss)) return null;
    optimizer.applyGradients(grads);
    return loss;
  } finally {
    tf.engine().endScope();
    tf.dispose([batch.xs, batch.ys]);
  }
}

const variableOf = (weight: LayerVariable): tf.Variable => weight.read() as tf.Variable;

function gradientsOf(
  model: LayersModel,
  loss: () => tf.Scalar,
): { value: tf.Scalar; grads: tf.NamedTensorMap } {
  return tf.variableGrads(loss, model.trainableWeights.map(variableOf));
}

function run(model: LayersModel, xs: tf.Tensor[], training: boolean): tf.Tensor[] {
  return [model.apply(xs.length === 1 ? xs[0] : xs, { training })].flat() as tf.Tensor[];
}

/** Where activations are flat, beside an exact 0. */
const SATURATED: Readonly<Record<string, (value: number) => boolean>> = {
  relu6: (value) => value === 6,
  tanh: (value) => Math.abs(value) > 0.99,
  sigmoid: (value) => value < 0.01 || value > 0.99,
  hardsigmoid: (value) => value === 1,
  hard_sigmoid: (value) => value === 1,
  softsign: (value) => Math.abs(value) > 0.9,
  elu: (value) => value < -0.99,
  selu: (value) => value < -0.99 * 1.7580993408473766,
};

/** Of a unit's values, from where on it is saturated. */
export const SATURATED_SHARE = 0.9;

/** What a layer gave so far in one probe. */
interface Given {
  moments: Moments;
  /** [units]: how many values so far let a gradient through. */
  alive: Float64Array;
  /** Values of each unit so far. */
  each: number;
  /** Whether the activation has an end where it is flat. */
  saturates: boolean;
}

/** What a layer with a kernel, or what follows it, gave in one call. */
interface Source {
  index: number;
  /** The layer that gave it. */
  from: Layer;
  /** [..., units], read at once: models dispose of what passes through them. */
  values: ArrayLike<number>;
  units: number;
}

const read = (y: tf.Tensor) => ({ values: y.dataSync(), units: y.shape.at(-1) ?? 1 });

type Apply = Layer["apply"];
type Call = Layer["call"];

/** Measures one network. */
class Meter {
  layers: MeasuredLayer[] = [];
  private readonly measured: Layer[] = [];
  private readonly leaves: { layer: Layer; path: string }[];

  constructor(private readonly model: LayersModel) {
    this.leaves = leavesOf(model);
    if (!this.leaves.some(({ layer }) => isSource(layer))) {
      throw new RangeError(
        "courseOf: expected a model with a layer that has weights of two axes or more, got none",
      );
    }
  }

  probe(plan: Plan, step: number): Probe {
    const state = this.model.weights
      .filter((weight) => !this.model.trainableWeights.includes(weight))
      .map((weight) => ({ weight, value: tf.clone(weight.read()) }));
    const given = new Map<number, Given>();
    const gradients = new Map<string, tf.Tensor>();
    let [loss, evaluationLoss] = [0, 0];
    try {
      for (const { xs, ys } of plan.probes) {
        const share = 1 / plan.probes.length;
        tf.tidy(() => {
          const { value, grads } = gradientsOf(this.model, () => {
            const sources: Source[] = [];
            const outputs = this.watched(sources, () => run(this.model, xs, true));
            for (const source of sources) this.add(given, source);
            return plan.loss(outputs, ys);
          });
          loss += share * value.dataSync()[0];
          for (const [name, gradient] of Object.entries(grads)) {
            const before = gradients.get(name);
            const scaled = tf.mul(gradient, share);
            gradients.set(name, tf.keep(before ? tf.add(before, scaled) : scaled));
            before?.dispose();
          }
        });
        for (const { weight, value } of state) weight.write(value);
        evaluationLoss += tf.tidy(() => share * plan.loss(run(this.model, xs, false), ys).dataSync()[0]);
      }
      return {
        step,
        loss: finite(loss),
        evaluationLoss: finite(evaluationLoss),
        layers: this.measured.map((layer, index) => stateOf(layer, given.get(index), gradients)),
        gaps: gapsOf(this.model, plan.probes),
      };
    } finally {
      tf.dispose(state.map(({ value }) => value));
      for (const gradient of gradients.values()) gradient.dispose();
    }
  }

  /**
   * Runs the model while every layer tells what it gives. What leaves a layer with a kernel belongs to it, and so does what
   * other layers make of it, up to the next kernel; of that, what its activation gave is kept, or its normalization.
   */
  private watched<T>(sources: Source[], run: () => T): T {
    const owners = new Map<number, Source>();
    const undo: (() => void)[] = [];
    for (const { layer, path } of this.leaves) {
      const kept = { call: layer.call, apply: layer.apply };
      const own = { call: Object.hasOwn(layer, "call"), apply: Object.hasOwn(layer, "apply") };
      undo.push(() => {
        for (const name of ["call", "apply"] as const) {
          if (own[name]) Object.assign(layer, { [name]: kept[name] });
          else delete (layer as Partial<Record<typeof name, unknown>>)[name];
        }
      });
      let latest: Source | undefined;
      layer.call = ((inputs: tf.Tensor | tf.Tensor[], kwargs: object) => {
        const given = kept.call.call(layer, inputs, kwargs as never);
        const [y] = [given].flat() as tf.Tensor[];
        latest = this.owner(layer, path, [inputs].flat() as tf.Tensor[], y, owners, sources);
        for (const one of [given].flat() as tf.Tensor[]) if (latest) owners.set(one.id, latest);
        return given;
      }) as Call;
      layer.apply = ((inputs: never, kwargs: never) => {
        const given = kept.apply.call(layer, inputs, kwargs);
        // what a layer passes on as it is comes back as a copy
        for (const one of [given].flat() as tf.Tensor[]) if (latest) owners.set(one.id, latest);
        return given;
      }) as Apply;
    }
    try {
      return run();
    } finally {
      for (const one of undo) one();
    }
  }

  private owner(
    layer: Layer,
    path: string,
    inputs: tf.Tensor[],
    y: tf.Tensor,
    owners: Map<number, Source>,
    sources: Source[],
  ): Source | undefined {
    if (isSource(layer)) {
      const source = { index: this.indexOf(layer, path), from: layer, ...read(y) };
      sources.push(source);
      return source;
    }
    // of branches that meet, the one that ran last
    const before = inputs
      .flatMap(({ id }) => owners.get(id) ?? [])
      .sort((a, b) => sources.indexOf(a) - sources.indexOf(b))
      .at(-1);
    if (before === undefined) return undefined;
    const isNext = isActivation(layer) || (isNormalization(layer) && !isActivation(before.from));
    if (isNext) Object.assign(before, { from: layer, ...read(y) });
    return before;
  }

  private indexOf(layer: Layer, path: string): number {
    const known = this.measured.indexOf(layer);
    if (known >= 0) return known;
    this.measured.push(layer);
    const matrices = layer.weights.filter(isMatrix);
    this.layers.push({
      name: path,
      type: layer.getClassName(),
      activation: "linear",
      units: 0,
      parameters: layer.weights.reduce((sum, weight) => sum + sizeOf(weight), 0),
      frozen: !matrices.some((weight) => layer.trainableWeights.includes(weight)),
    });
    return this.measured.length - 1;
  }

  private add(all: Map<number, Given>, { index, from, values, units }: Source): void {
    const about = this.layers[index];
    const activation = activationOf(from);
    about.activation = activation;
    about.units = units;
    const given = all.get(index) ?? {
      moments: noMoments,
      alive: new Float64Array(units),
      each: 0,
      saturates: Object.hasOwn(SATURATED, activation),
    };
    const isSaturated = given.saturates ? SATURATED[activation] : undefined;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value !== 0 && !isSaturated?.(value)) given.alive[i % units]++;
    }
    given.each += values.length / units;
    given.moments = merge(given.moments, momentsOf(values));
    all.set(index, given);
  }
}

const isSource = (layer: Layer): boolean => hasKernel(layer) || isEmbedding(layer);
const isMatrix = ({ shape }: LayerVariable): boolean => shape.length > 1;
const sizeOf = ({ shape }: LayerVariable): number => (shape as number[]).reduce((size, n) => size * n, 1);

function stateOf(
  layer: Layer,
  given: Given | undefined,
  gradients: ReadonlyMap<string, tf.Tensor>,
): LayerState {
  const matrices = layer.trainableWeights.filter(isMatrix).map(variableOf);
  const found = matrices.flatMap(({ name }) => gradients.get(name) ?? []);
  return {
    gradientNorm: matrices.length === 0 ? null : finite(normOf(...found.map((tensor) => tensor.dataSync()))),
    weightNorm: finite(
      normOf(...layer.weights.filter(isMatrix).map((weight) => variableOf(weight).dataSync())),
    ),
    mean: given ? finite(given.moments.mean) : null,
    spread: given ? finite(Math.sqrt(biasedVariance(given.moments))) : null,
    dead:
      given && Number.isFinite(given.moments.mean)
        ? given.alive.filter((count) => count <= leastAlive(given)).length / given.alive.length
        : null,
  };
}

/** Of the values of a unit, those that may still let a gradient through where it is dead. */
const leastAlive = ({ saturates, each }: Given): number => (saturates ? (1 - SATURATED_SHARE) * each : 0);

/** Over all examples at once, or those of the first batch where the network takes so many alone. */
function gapsOf(model: LayersModel, probes: Batch[]): Gap[] {
  const isFixed = model.inputs[0].shape[0] !== null;
  const brief = ({ median, max }: StatisticsGap["mean"]) => ({ median: finite(median), max: finite(max) });
  tf.engine().startScope();
  try {
    const xs = probes[0].xs.map((first, input) =>
      isFixed || probes.length === 1 ? first : tf.concat(probes.map((batch) => batch.xs[input])),
    );
    return statisticsGap(model, xs).map(({ layer, over, mean, variance }) => ({
      layer,
      over,
      mean: brief(mean),
      variance: brief(variance),
    }));
  } finally {
    tf.engine().endScope();
  }
}
