import {
  apply,
  batchNorm,
  catalog,
  type FusedNorm,
  groupNorm,
  instanceNorm,
  layerNorm,
  open,
  rmsNorm,
} from "evenkeel";
import { describe, expect, it } from "vitest";
import { influences } from "../../../scripts/docs/influence.mjs";
import { controlsOf } from "../../src/norms/controls.ts";
import {
  type Experiment,
  experimentOf,
  type Factory,
  outputsOf,
  type Results,
  run,
  type Subject,
  subjectOf,
} from "../../src/norms/experiment.ts";
import { type State, UNCHANGED, withEdits } from "../../src/norms/state.ts";

const ek = await open({ backend: "reference" });
const factories = Object.values(catalog) as Factory[];
const names = factories.map(({ about }) => about.name);
const subjects = new Map(
  factories.map((factory) => [factory.about.name, subjectOf(ek, factory)] as [string, Subject]),
);
const known = new Map<string, Experiment>();
/** With the options that the page begins with it is traced once. */
function made(name: string, options?: object): Experiment {
  const subject = subjects.get(name) as Subject;
  if (options !== undefined) return experimentOf(subject, { ...options });
  const experiment = known.get(name) ?? experimentOf(subject, {});
  known.set(name, experiment);
  return experiment;
}

/** The largest difference, in units of the larger of 1 and the largest value. */
function apart(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a).toHaveLength(b.length);
  const size = Array.from(b).reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  // NaN is apart
  return Array.from(a).reduce((most, value, i) => {
    const distance = Math.abs(value - b[i]) / size;
    return distance <= most ? most : distance;
  }, 0);
}

const partsOf = ({ steps }: Results) =>
  Object.fromEntries(steps.flatMap(({ parts }) => parts.map(({ name, data }) => [name, data])));

/** An edit of x and of dy, and one of a weight where there is one. */
function changed(experiment: Experiment): State {
  const { inputs, weights } = experiment;
  const { dyBase } = run(ek, experiment, UNCHANGED);
  let state = withEdits(UNCHANGED, "x", inputs[0].data, [
    [1, 2.75],
    [30, -1.3],
  ]);
  state = withEdits(state, "dy", dyBase, [[2, 3.2]]);
  const weight = weights.find(({ trained }) => trained);
  return weight ? withEdits(state, weight.key, weight.data, [[0, 0.37]]) : state;
}

describe("steps", () => {
  it.each([layerNorm(), batchNorm(), groupNorm({ groups: 2 }), instanceNorm(), rmsNorm()])(
    "of $name are what forward() measures",
    (norm) => {
      const experiment = made(norm.name);
      const results = run(ek, experiment, changed(experiment));
      const [x] = results.inputs;
      const { gamma, beta } = Object.fromEntries(results.weights.map(({ name, data }) => [name, data]));
      const forward = ek.forward(norm as FusedNorm, { shape: [...x.shape], data: x.data }, { gamma, beta });
      const bare = ek.forward(norm as FusedNorm, { shape: [...x.shape], data: x.data });
      const parts = partsOf(results);
      expect(results.steps).toHaveLength(1);
      expect(parts.xHat).toEqual(bare.y.data);
      expect(parts[norm.centered ? "variance" : "mean square"]).toEqual(forward.variance?.data);
      expect(parts.mean).toEqual(forward.mean?.data);
      expect(apart(results.y.data, forward.y.data)).toBeLessThan(1e-14);
      const { dx, dGamma } = ek.backward(forward.saved, { shape: [...x.shape], data: results.dy.data });
      const [ofX, ofGamma] = results.gradients;
      expect([ofX.name, ofGamma.name]).toEqual(["dx", "dgamma"]);
      expect(apart(ofX.data, dx.data)).toBeLessThan(1e-13);
      expect(apart(ofGamma.data, dGamma?.data ?? [])).toBeLessThan(1e-13);
    },
  );

  it("say what was reduced, in terms of those before", () => {
    const { steps } = run(ek, made("reversibleInstanceNorm"), UNCHANGED);
    const said = steps.map(({ step: { name, how, of, axes } }) => `${name}: ${how} of ${of} over ${axes}`);
    expect(said.slice(0, 3)).toEqual([
      "r₁: mean of x over 1",
      "r₂: mean of x − r₁ over 1",
      "r₃: largest of |x − r₁ − r₂| over 1",
    ]);
    const x = made("reversibleInstanceNorm").inputs[0].data;
    // of the first series: positions 0, 6, 12 and 18
    expect(steps[0].parts[0].data[0]).toBeCloseTo((x[0] + x[6] + x[12] + x[18]) / 4, 14);
  });

  it("say where statistics were given", () => {
    const { steps } = run(ek, made("batchNorm"), { ...UNCHANGED, training: false });
    expect(steps[0].step.given).toBe(true);
    expect(steps[0].parts.map(({ name, data }) => [name, data[0]])).toContainEqual(["variance", 1]);
  });

  it("are those of the pass that ran, in any order", () => {
    const experiment = made("batchNorm");
    const given = [true, false, true].map(
      (training) => run(ek, experiment, { ...UNCHANGED, training }).steps[0].step.given,
    );
    expect(given).toEqual([false, true, false]);
  });

  it("are of every standardization: one for the input, and two for each step of an LSTM", () => {
    const { steps } = run(ek, made("layerNormLSTM"), UNCHANGED);
    expect(steps.map(({ step }) => step.kind)).toEqual(Array(9).fill("standardized"));
    expect(steps[0].step.of).toBe("x × kernel");
    expect(steps[0].parts.map(({ name, shape }) => `${name} ${shape}`)).toEqual([
      "mean 12",
      "variance 12",
      "xHat 12,20",
    ]);
  });
});

describe.each(names)("%s", (name) => {
  it("gives what it gives without being asked for its steps", () => {
    const experiment = made(name);
    const results = run(ek, experiment, changed(experiment));
    const inputs = results.inputs.map(({ shape, data }) => ({ shape, data }));
    const weights = Object.fromEntries(results.weights.map(({ name, data }) => [name, data]));
    const plain = apply(ek, experiment.norm, inputs as [(typeof inputs)[0]], weights);
    expect(apart(results.y.data, plain.y.data)).toBeLessThan(1e-13);
    expect(results.more.map(({ shape }) => shape)).toEqual(plain.more.map(({ shape }) => shape));
    const { dx } = plain.backward({ shape: results.y.shape, data: results.dy.data });
    expect(apart(results.gradients[0].data, dx.data)).toBeLessThan(1e-12);
  });

  it("has gradients that are those of finite differences of y", () => {
    const { options, training = true, stored = false } = CONSTANT[name] ?? {};
    const experiment = made(name, options);
    for (const edited of [UNCHANGED, changed(experiment)]) {
      const state = stored ? withStored(experiment, edited) : edited;
      const results = run(ek, experiment, { ...state, training });
      const gradients = results.gradients.filter((gradient) => !(name in DETACHED && gradient.name === "dx"));
      for (const { name: of, data } of gradients) {
        const expected = differencesOf(experiment, results, of.slice(1), training);
        const own = Float64Array.from([...expected.keys()], (i) => data[i]);
        expect(apart(own, [...expected.values()]), of).toBeLessThan(1e-6);
      }
    }
  });
});

/** What the papers hold constant in the backward pass and not in the forward pass: compared where it is constant in both. */
const CONSTANT: Record<string, { options?: object; training?: boolean; stored?: boolean }> = {
  // r and d
  batchRenorm: { training: false },
  // its statistics; and it adds a control to the gradient
  onlineNorm: { training: false },
  // the factor C(1 − k·xHat)
  adaNorm: { options: { k: 0 } },
  // what the first batch initializes
  actNorm: { training: false },
  // u and v
  spectralNorm: { training: false, stored: true },
};

/** Statistics that have no gradient at all: y is linear in x. */
const DETACHED: Record<string, true> = { reversibleInstanceNorm: true, robustReversibleInstanceNorm: true };

it.each(Object.keys(DETACHED))("%s holds its statistics constant", (name) => {
  const experiment = made(name);
  const { gradients, dy, weights, more } = run(ek, experiment, changed(experiment));
  const [, std] = more;
  const [gamma] = weights;
  const expected = dy.data.map((value, i) => {
    const channel = i % 6;
    return (value * gamma.data[channel]) / std.data[Math.floor(i / 24) * 6 + channel];
  });
  expect(apart(gradients[0].data, expected)).toBeLessThan(1e-12);
});

/** With what a training step stores. */
function withStored(experiment: Experiment, state: State): State {
  const { state: stored } = run(ek, experiment, state);
  const edits = stored.map(({ name, data }) => [`w.${name}`, new Map(data.entries())]);
  return { ...state, edits: { ...state.edits, ...Object.fromEntries(edits) } };
}

const STEP = 1e-5;
/** Elements of an array that are changed: as many as there are, up to this. */
const MOST = 3;

/** The derivative of Σ y·dy, by element, of an input or a weight. */
function differencesOf(experiment: Experiment, results: Results, of: string, training: boolean) {
  const inputs = results.inputs.map(({ shape, data }) => ({ shape, data: data.slice() }));
  const weights = Object.fromEntries(results.weights.map(({ name, data }) => [name, data.slice()]));
  const at = results.inputs.findIndex(({ name }) => name === of);
  const values = at < 0 ? weights[of] : inputs[at].data;
  const loss = () => {
    const { y } = apply(ek, experiment.explained.norm, inputs as [(typeof inputs)[0]], weights, { training });
    return y.data.reduce((sum, value, i) => sum + value * results.dy.data[i], 0);
  };
  const every = Math.max(1, Math.floor(values.length / MOST));
  const found = new Map<number, number>();
  for (let i = 0; i < values.length; i += every) {
    const value = values[i];
    const [above, below] = [STEP, -STEP].map((step) => {
      values[i] = value + step;
      return loss();
    });
    values[i] = value;
    found.set(i, (above - below) / (2 * STEP));
  }
  return found;
}

describe("influences", () => {
  const found = (name: string, training = true) => {
    const { run, values } = outputsOf(ek, made(name), training);
    return influences(run, values).map((set) => [...set].sort((a, b) => a - b));
  };
  // y[0, 1, 2] of [3, 4, 6]
  const element = 8;

  it("are the axes that are reduced", () => {
    expect(found("layerNorm")[element]).toEqual([6, 7, 8, 9, 10, 11]);
    expect(found("groupNorm")[element]).toEqual([0, 1, 2, 6, 7, 8, 12, 13, 14, 18, 19, 20]);
    expect(found("batchNorm")[element]).toEqual(Array.from({ length: 12 }, (_, i) => 2 + 6 * i));
    expect(found("batchNorm", false)[element]).toEqual([element]);
    expect(found("layerScale")[element]).toEqual([element]);
  });

  it("are of what is measured too, behind y", () => {
    // mean [3, 4]: its element [0, 1] is of the row
    expect(found("layerNorm")[72 + 1]).toEqual([6, 7, 8, 9, 10, 11]);
  });
});

describe("controls", () => {
  const controls = (name: string) => controlsOf(subjects.get(name) as Subject);

  it("of names have those that the normalization says it takes", () => {
    const guard = controls("onlineNorm").find(({ name }) => name === "guard");
    expect(guard?.kind === "choice" && guard.choices.map(({ value }) => value)).toEqual([
      "layerScaling",
      "clamp",
      "none",
    ]);
    for (const { about, defaults } of factories) {
      for (const control of controls(about.name)) {
        if (control.kind !== "choice" || control.name === "axis") continue;
        const choices = control.choices.map(({ value }) => value);
        expect(choices.length, `${about.name}: ${control.name}`).toBeGreaterThan(1);
        expect(choices).toContain(defaults[control.name]);
      }
    }
  });

  it("are of every option but those that are objects", () => {
    for (const { about, defaults } of factories) {
      const options = Object.keys(defaults).filter((name) => typeof defaults[name] !== "object");
      const shown = controls(about.name).map(({ name }) => name);
      expect(
        options.filter((name) => !shown.includes(name) && name !== "axis"),
        about.name,
      ).toEqual([]);
    }
  });

  it.each(names)("of %s: each name that one may choose makes one, or says what else it needs", (name) => {
    const { factory, options } = subjects.get(name) as Subject;
    for (const control of controls(name)) {
      for (const { value } of control.kind === "choice" ? control.choices : []) {
        try {
          expect(factory({ ...options, [control.name]: value }).name).toBe(name);
        } catch (error) {
          expect((error as Error).message).toMatch(new RegExp(`^${name}: `));
          expect((error as Error).message).not.toContain("must be");
        }
      }
    }
  });
});

it("more steps than can be followed are refused, before they take the memory of the page", () => {
  expect(() => run(ek, made("spectralNorm", { iterations: 10_000 }), UNCHANGED)).toThrow(
    "more than 100 steps cannot be followed here; set less, or use the library",
  );
  expect(run(ek, made("spectralNorm", { iterations: 10 }), UNCHANGED).steps.length).toBeGreaterThan(10);
});

it("an option that does not fit is the library's error", () => {
  expect(() => run(ek, made("groupNorm", { groups: 4 }), UNCHANGED)).toThrow(
    /^groupNorm: groups must divide the 6 channels of axis -1, got 4/,
  );
});
