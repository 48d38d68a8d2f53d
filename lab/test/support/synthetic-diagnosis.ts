/** Diagnoses of networks that there are not. */
import { ailmentsOf, changesOf, type Diagnosis, proposedFor } from "../../src/ailments.js";
import type { Course, Gap, LayerState } from "../../src/diagnosis.js";

type StateOf = (index: number) => Partial<LayerState>;

interface Wanted {
  layers: number;
  /** Before training, and after 2 steps. */
  state?: StateOf;
  later?: StateOf;
  losses?: [number | null, number | null];
  gaps?: Gap[];
  /** The activation of the last layer. */
  end?: string;
  norm?: string;
  nameOf?: (index: number) => string;
}

/** Every number is even, but for those that are given. */
export function syntheticCourse({
  layers,
  state = () => ({}),
  later = () => ({}),
  losses = [1, 0.5],
  gaps = [],
  end = "linear",
  norm,
  nameOf = (index) => `layer${index + 1}`,
}: Wanted): Course {
  const even: LayerState = { gradientNorm: 1, weightNorm: 1, mean: 0, spread: 1, dead: 0 };
  const indices = Array.from({ length: layers }, (_, index) => index);
  return {
    ...(norm !== undefined && { norm }),
    placed: norm === undefined ? [] : indices.slice(0, -1).map(nameOf),
    parameters: 10 * layers,
    layers: indices.map((index) => ({
      name: nameOf(index),
      type: "Dense",
      activation: index === layers - 1 ? end : "relu",
      units: 8,
      parameters: 10,
      frozen: false,
    })),
    probes: [0, 2].map((step, i) => ({
      step,
      loss: losses[i],
      evaluationLoss: losses[i] === null ? null : losses[i] + 0.1,
      layers: indices.map((index) => ({ ...even, ...(i === 0 ? state : later)(index) })),
      gaps,
    })),
    losses: [losses[0], losses[1]],
  };
}

export function syntheticDiagnosis(courses: [Course, ...Course[]], steps = 2): Diagnosis {
  const [asItIs, ...tried] = courses;
  const ailments = ailmentsOf(asItIs);
  return {
    evenkeel: "1.2.3",
    model: "models/mine/model.json",
    data: "mine.csv",
    about: ['input: 4 values of "mine"', "the target is centred and scaled by all rows"],
    examples: 128,
    steps,
    batchSize: 32,
    optimizer: "sgd",
    learningRate: 0.01,
    seed: 1,
    loss: "mean squared error",
    ailments,
    proposed: proposedFor(ailments, 32),
    changes: tried.map((course) => ({ norm: course.norm ?? "", texts: changesOf(asItIs, course) })),
    courses,
    seconds: 1.5,
  };
}
