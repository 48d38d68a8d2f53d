/** A normalization on a small array that one changes: everything that it gives, by the library, in float64. */
import { type About, apply, type Evenkeel, type Normalization } from "evenkeel";
import { initialValues } from "../../../dist/formula/normalization.js";
import { axisNames } from "../../../scripts/docs/influence.mjs";
import { noise, sampleOf, sizeOf, weightsOf } from "../../../scripts/docs/sample.mjs";
import { type Explained, explained, type Part, type Step } from "./explained.ts";
import { edited, type State } from "./state.ts";

type Values = Float64Array<ArrayBuffer>;
type Shape = readonly number[];

/** Any normalization of the catalog. */
export interface Factory {
  readonly about: About;
  readonly defaults: Readonly<Record<string, unknown>>;
  // biome-ignore lint/suspicious/noExplicitAny: each has options of its own
  (options?: any): Normalization;
}

/** An array with its name, as one sees it. */
export interface Named {
  readonly name: string;
  /** Its name among edits and in the address: a weight may be called like an input. */
  readonly key: string;
  readonly shape: Shape;
  /** Names of its axes, where they have any: `batch`, `positions`, `channels`. */
  readonly axes?: readonly string[];
  readonly data: Values;
}

/** A normalization, and what the page begins with. */
export interface Subject {
  readonly factory: Factory;
  readonly about: About;
  readonly options: Readonly<Record<string, unknown>>;
  /** Of x, and of what it takes beside. */
  readonly shapes: readonly Shape[];
}

/** A subject with its options set, ready to run. */
export interface Experiment {
  readonly subject: Subject;
  readonly options: Readonly<Record<string, unknown>>;
  readonly norm: Normalization;
  readonly explained: Explained;
  readonly inputs: readonly Named[];
  readonly weights: readonly (Named & { readonly trained: boolean })[];
}

export interface Results {
  readonly inputs: readonly Named[];
  readonly weights: Experiment["weights"];
  readonly y: Named;
  /** What it gives besides y. */
  readonly more: readonly Named[];
  readonly steps: readonly { readonly step: Step; readonly parts: readonly Named[] }[];
  /** New values of what is stored. */
  readonly state: readonly Named[];
  readonly dy: Named;
  /** What dy began as. */
  readonly dyBase: Values;
  /** Of the inputs that gradients reach, and of the trained weights. */
  readonly gradients: readonly Named[];
}

/** Numbers as one would type them. */
const typed = (values: Float64Array): Values =>
  Float64Array.from(values, (value) => Math.round(value * 100) / 100);

export function subjectOf(ek: Evenkeel, factory: Factory): Subject {
  const { options, inputs } = sampleOf(ek, factory);
  return { factory, about: factory.about, options: { ...options }, shapes: inputs.map(({ shape }) => shape) };
}

/**
 * @param changed options that differ from the subject's
 * @throws what the normalization throws for options that do not fit it, or these inputs
 */
export function experimentOf(subject: Subject, changed: Readonly<Record<string, unknown>>): Experiment {
  const { factory, about, shapes } = subject;
  const options = { ...subject.options, ...changed };
  const norm = factory(options);
  const names = shapes.map((_, i) => nameOf(about, i, shapes.length));
  const inputs = shapes.map((shape, i): Named => {
    const data = typed(noise(sizeOf(shape), 3 + i));
    return {
      name: names[i],
      key: names[i],
      shape,
      axes: axisNames(shape, i === 0 ? about.takes : undefined),
      data,
    };
  });
  const values = weightsOf(norm, [...shapes]);
  const weights = Object.entries(norm.weights(...shapes)).map(([name, weight]) => {
    const { shape, trained } = weight;
    // what is stored begins as it does in a first call
    const data = trained ? typed(values[name]) : (initialValues(weight) as Values);
    return { name, key: `w.${name}`, shape, data, trained };
  });
  return { subject, options, norm, explained: explained(norm, names), inputs, weights };
}

function nameOf({ takes }: About, i: number, of: number): string {
  if (i === 0) return "x";
  const beside = takes === "weight" ? "style" : "condition";
  return of > 2 ? `${beside}${i}` : beside;
}

const withEdits = <T extends Named>(array: T, { edits }: State): T =>
  edits[array.key] === undefined ? array : { ...array, data: edited(array.data, edits[array.key]) };

/**
 * Both passes.
 * @throws what the normalization throws
 */
export function run(ek: Evenkeel, experiment: Experiment, state: State): Results {
  const inputs = experiment.inputs.map((array) => withEdits(array, state));
  const weights = experiment.weights.map((array) => withEdits(array, state));
  const { training } = state;
  const byName = Object.fromEntries(weights.map(({ name, shape, data }) => [name, { shape, data }]));
  const called = inputs.map(({ shape, data }) => ({ shape, data }));
  const [x, ...beside] = called;
  const applied = apply(ek, experiment.explained.norm, [x, ...beside], byName, { training });
  const named = (name: string, { shape, data }: { shape: Shape; data: ArrayLike<number> }): Named => ({
    ...{ name, key: name, shape, data: Float64Array.from(data) },
    axes: axesLike(inputs, shape),
  });
  const y = named("y", applied.y);
  const dyBase = typed(noise(y.data.length, 71));
  const dy = withEdits({ ...y, name: "dy", key: "dy", data: dyBase }, state);
  const back = applied.backward({ shape: y.shape, data: dy.data });
  const steps = experiment.explained.steps(training).map((step) => ({
    step,
    parts: step.parts.map(({ name, output }: Part) => {
      const part = named(name, applied.more[output]);
      const { shape } = part;
      return {
        ...part,
        key: `${name} ${output}`,
        axes: part.axes ?? axesOfStatistics(inputs, step.shape, shape),
      };
    }),
  }));
  const first = steps[0]?.step.parts[0]?.output ?? applied.more.length;
  return {
    ...{ inputs, weights, y, dy, dyBase, steps },
    more: applied.more.slice(0, first).map((array, i) => named(`more[${i}]`, array)),
    state: Object.entries(applied.state).map(([name, array]) => named(name, array)),
    gradients: [
      ...back.inputs.flatMap((array, i) => (array ? [named(`d${inputs[i].name}`, array)] : [])),
      ...Object.entries(back.weights).map(([name, array]) => named(`d${name}`, array)),
    ],
  };
}

/** The names of axes of an input of this shape, if there is one, or of one whose axes are as long or 1. */
function axesLike(inputs: readonly Named[], shape: Shape): readonly string[] | undefined {
  return inputs.find(
    (input) =>
      input.shape.length === shape.length &&
      shape.every((length, axis) => length === 1 || length === input.shape[axis]),
  )?.axes;
}

/** Those that were kept, by their lengths; an axis of another length is of groups. */
function axesOfStatistics(inputs: readonly Named[], of: Shape, shape: Shape): readonly string[] | undefined {
  const names = inputs.find((input) => input.shape.join() === of.join())?.axes;
  if (names === undefined) return undefined;
  let next = 0;
  return shape.map((length) => {
    const axis = of.indexOf(length, next);
    if (axis < 0) return "groups";
    next = axis + 1;
    return names[axis];
  });
}

/** What the elements of y, and of everything measured, depend on: y first, then as `more` has it, one after the other. */
export function outputsOf(ek: Evenkeel, experiment: Experiment, training: boolean) {
  const inputs = experiment.inputs.map(({ shape, data }) => ({ shape, data: data.slice() }));
  const weights = Object.fromEntries(
    experiment.weights.map(({ name, shape, data }) => [name, { shape, data }]),
  );
  const [x, ...beside] = inputs;
  const values = () => {
    const { y, more } = apply(ek, experiment.explained.norm, [x, ...beside], weights, { training });
    const all = [y, ...more].flatMap(({ data }) => [...data]);
    return Float64Array.from(all);
  };
  return { run: values, values: x.data };
}

/** Steps up and down: small against any spread, large against what float64 rounds of values up to 10⁴. */
const SMALL = 1e-6;

/** The derivative of Σ y·dy by each element of x, from y alone; element by element. */
export function* differences(
  ek: Evenkeel,
  { explained: { norm } }: Experiment,
  results: Results,
  training: boolean,
): Generator<void, Values, void> {
  const [x, ...beside] = results.inputs.map(({ shape, data }) => ({ shape, data: data.slice() }));
  const weights = Object.fromEntries(results.weights.map(({ name, shape, data }) => [name, { shape, data }]));
  const { data: dy } = results.dy;
  const gradient = new Float64Array(x.data.length);
  for (const [i, value] of x.data.entries()) {
    const small = SMALL * Math.max(1, Math.abs(value) / 1e4);
    const [above, below] = [small, -small].map((step) => {
      x.data[i] = value + step;
      return apply(ek, norm, [x, ...beside], weights, { training }).y.data;
    });
    x.data[i] = value;
    // each difference before the sum, which would round it away
    for (let e = 0; e < dy.length; e++) gradient[i] += (dy[e] * (above[e] - below[e])) / (2 * small);
    yield;
  }
  return gradient;
}
