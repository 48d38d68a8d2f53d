/** The editor of a normalization: numbers that one changes, and what becomes of them, step by step, forward and backward. */
import { listed } from "@evenkeel/report/format";
import { type Catalog, catalog, type Evenkeel } from "evenkeel";
import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { described, type Elements } from "../../../scripts/docs/influence.mjs";
import { Command } from "../ui/command.tsx";
import { Problem } from "../ui/problem.tsx";
import { codeOf, type Host, hosts } from "./code.ts";
import { type Control, controlsOf } from "./controls.ts";
import {
  differences,
  type Experiment,
  experimentOf,
  type Factory,
  type Named,
  type Results,
  run,
  type Subject,
  subjectOf,
} from "./experiment.ts";
import type { Step } from "./explained.ts";
import { elementName, Grid, short } from "./grid.tsx";
import { type Found, useInfluences } from "./influences.ts";
import { type Change, DY_PRESETS, X_PRESETS } from "./presets.ts";
import { inSlices } from "./slices.ts";
import { type Edits, fromHash, type State, toHash, UNCHANGED, withEdits } from "./state.ts";

/** An experiment with its results, which are there together or not at all. */
interface Shown {
  readonly experiment: Experiment;
  readonly results: Results;
  readonly state: State;
}

/** What is pointed at: an element of x, or of an output. */
type Point = { readonly array: Named; readonly element: number; readonly output?: number } | undefined;

/** Arrays with more elements are neither shown nor edited. */
const MOST_SHOWN = 600;
/** Elements that are open from the start, in each list of arrays: as many of the first ones as they are of. */
const OPEN = 60;
const OPEN_STEPS = 150;
/** Milliseconds without a change after which it is spoken of. */
const SETTLED = 700;

export function Editor({ ek, name }: { ek: Evenkeel; name: keyof Catalog }) {
  const subject = useMemo(() => subjectOf(ek, catalog[name] as Factory), [ek, name]);
  const controls = useMemo(() => controlsOf(subject), [subject]);
  const [state, setState] = useAddress();
  const optionsKey = JSON.stringify(state.options);
  const made = useMemo(() => attempt(() => experimentOf(subject, state.options)), [subject, optionsKey]);
  const ran = useMemo(
    () => ("error" in made ? made : attempt(() => run(ek, made.value, state))),
    [ek, made, state],
  );
  const last = useRef<Shown | undefined>(undefined);
  if (!("error" in ran) && !("error" in made))
    last.current = { experiment: made.value, results: ran.value, state };
  const problem = "error" in ran ? ran.error : undefined;
  // where what was asked for does not work, what did stays
  const shown = last.current;
  if (shown === undefined) return <Broken problem={problem} onReset={() => setState(UNCHANGED)} />;
  return <Bench {...{ ek, subject, controls, state, setState, problem, shown }} />;
}

function Broken({ problem, onReset }: { problem: string | undefined; onReset(): void }) {
  return (
    <section class="editor">
      <h2>Try it</h2>
      <Problem text={problem} />
      <button type="button" class="button" onClick={onReset}>
        Reset
      </button>
    </section>
  );
}

function attempt<T>(make: () => T): { value: T } | { error: string } {
  try {
    return { value: make() };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

/** The state, which is in the address. */
function useAddress() {
  const [state, setState] = useState(() => fromHash(location.hash));
  useEffect(() => {
    const read = () => setState(fromHash(location.hash));
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }, []);
  useEffect(() => {
    // browsers refuse an address that changes a hundred times in a few seconds
    const waiting = setTimeout(() => {
      const hash = toHash(state);
      if (hash === location.hash.slice(1)) return;
      history.replaceState(null, "", hash === "" ? location.pathname + location.search : `#${hash}`);
    }, 200);
    return () => clearTimeout(waiting);
  }, [state]);
  return [state, setState] as const;
}

interface BenchProps {
  readonly ek: Evenkeel;
  readonly subject: Subject;
  readonly controls: readonly Control[];
  readonly state: State;
  setState(change: (state: State) => State): void;
  readonly problem: string | undefined;
  readonly shown: Shown;
}

function Bench({ ek, subject, controls, state, setState, problem, shown }: BenchProps) {
  const { experiment, results } = shown;
  const [point, setPoint] = useState<Point>();
  const [wanted, setWanted] = useState(false);
  const found = useInfluences(ek, experiment, shown.state.training, wanted);
  const [said, say] = useSettled();
  const [x] = results.inputs;
  const { y, dy } = results;

  const edit = useCallback(
    (key: string, base: Float64Array, array: Named) => (values: readonly (readonly [number, number])[]) => {
      setState((before) => withEdits(before, key, base, values));
      if (values.length === 1) setPoint((now) => now ?? { array, element: values[0][0] });
    },
    [setState],
  );
  const baseOf = (array: Named) =>
    [...experiment.inputs, ...experiment.weights].find(({ key }) => key === array.key)?.data ??
    results.dyBase;
  const setAll = (array: Named, values: Change, name: string) => {
    const all = Array.from(values, (value, i) => [i, value] as const);
    setState((before) => withEdits(before, array.key, baseOf(array), all));
    say(`${array.name} is set: ${name}.`);
  };

  const lights = lightsOf(point, found, x, results);
  const sentence = sentenceOf(point, found, experiment, results);
  useEffect(() => {
    if (sentence) say(sentence);
  }, [sentence, say]);

  const pointAt = (array: Named, output?: number) => (element: number | undefined) => {
    setWanted(true);
    setPoint(element === undefined ? undefined : { array, element, output });
  };
  /** A grid of an input, an output, or of something of the shape of one. */
  const outputs = placesOf(results);
  const grid = (array: Named, as: Named = array) => (
    <Grid
      array={array}
      onPoint={pointAt(array, outputs.get(as.key))}
      lit={lights(as)}
      chosen={point?.array.key === array.key ? point.element : undefined}
      onEdit={
        experiment.inputs.includes(array) || isEditable(array, results, experiment)
          ? edit(array.key, baseOf(array), array)
          : undefined
      }
    />
  );
  const hasState = experiment.weights.some(({ trained }) => !trained);

  return (
    <section class="editor" aria-labelledby="try-it">
      <h2 id="try-it">Try it</h2>
      <p class="lead">
        Type into x or dy, or drag a number sideways; point at an element to see what it depends on.
        Everything below is what the library gives, in float64.
      </p>
      <Options {...{ controls, state, setState, hasState }} />
      <div class="presets">
        <Presets
          label="x"
          presets={X_PRESETS}
          array={x}
          focus={point?.element}
          onChange={(values, name) => setAll(x, values, name)}
        />
        <button type="button" class="button" onClick={() => setState(() => UNCHANGED)}>
          Reset all
        </button>
      </div>
      <Problem text={problem} />
      <p class={sentence ? "sentence told" : "sentence"}>{sentence ?? "\u00a0"}</p>
      <p class="unseen" role="status">
        {said}
      </p>
      <div class={problem ? "flow stale" : "flow"}>
        <div class="inputs">
          <Block array={x}>{grid(x)}</Block>
          {results.inputs.slice(1).map((array) => (
            <Block array={array} key={array.key}>
              {grid(array)}
            </Block>
          ))}
          {results.weights.map((weight, i) => (
            <Fold
              key={weight.key}
              open={fits(results.weights, i, OPEN)}
              title={<Title array={weight} note={weight.trained ? "learned" : "stored"} />}
            >
              {() =>
                weight.data.length > MOST_SHOWN ? (
                  <p class="note">{weight.data.length} values, too many to show.</p>
                ) : (
                  grid(weight)
                )
              }
            </Fold>
          ))}
        </div>
        <div class="steps">
          <Steps {...{ results, x }}>{(array) => grid(array)}</Steps>
        </div>
        <div class="outputs">
          <Block array={y}>{grid(y)}</Block>
          {results.more.map((array) => (
            <Block array={array} key={array.key}>
              {grid(array)}
            </Block>
          ))}
          {results.state.map((array, i) => (
            <Fold
              key={array.key}
              open={fits(results.state, i, OPEN)}
              title={<Title array={array} note="for the next call" />}
            >
              {() =>
                array.data.length > MOST_SHOWN ? (
                  <p class="note">{array.data.length} values.</p>
                ) : (
                  grid({ ...array, key: `new ${array.key}` })
                )
              }
            </Fold>
          ))}
        </div>
        <div class="upstream">
          <Block array={dy} note="you set it">
            {grid(dy, y)}
          </Block>
          <Presets
            label="dy"
            presets={DY_PRESETS}
            array={dy}
            focus={point?.element}
            onChange={(values, name) => setAll(dy, values, name)}
          />
        </div>
        <div class="gradients">
          {results.gradients.slice(1).map((array, i, all) => (
            <Fold key={array.key} open={fits(all, i, OPEN)} title={<Title array={array} />}>
              {() => grid(array)}
            </Fold>
          ))}
        </div>
        <div class="downstream">
          {results.gradients.slice(0, 1).map((array) => (
            <Block array={array} key={array.key}>
              {grid(array, x)}
            </Block>
          ))}
          <Check {...{ ek, shown }} />
        </div>
      </div>
      <Beside {...{ ek, subject, shown, state, setState }} />
      <Code shown={shown} />
    </section>
  );
}

/** Further apart than finite differences are from a gradient, in units of its largest element. */
const APART = 1e-5;

/** dx against what y itself says. */
function Check({ ek, shown }: Pick<BenchProps, "ek" | "shown">) {
  const [wanted, setWanted] = useState(false);
  const [found, setFound] = useState<{ of: Results; values: Float64Array<ArrayBuffer> }>();
  const { experiment, results, state } = shown;
  useEffect(() => {
    if (!wanted) return;
    const steps = differences(ek, experiment, results, state.training);
    return inSlices(steps, (values) => setFound({ of: results, values }), 100);
  }, [ek, experiment, results, state.training, wanted]);
  const [dx] = results.gradients;
  if (!wanted) {
    return (
      <button type="button" class="button" onClick={() => setWanted(true)}>
        Compare with finite differences
      </button>
    );
  }
  if (found?.of !== results) return <p class="note">Each element of x is moved up and down …</p>;
  const moved: Named = { ...dx, key: "differences", name: "finite differences", data: found.values };
  const size = Math.max(...dx.data.map(Math.abs), Number.MIN_VALUE);
  const far = dx.data.map((value, i) => Math.abs(value - found.values[i]));
  const most = Math.max(...far);
  const apart = new Set([...far.keys()].filter((i) => !(far[i] <= APART * size)));
  return (
    <>
      <Block array={moved}>
        <Grid array={moved} differing={apart} />
      </Block>
      <p class="note">
        {apart.size === 0
          ? `dx is that, to within ${short(most)}.`
          : `${apart.size} elements differ (underlined), by up to ${short(most)}: the backward pass holds constant what the forward pass measures, as the formula says, or y has a corner here.`}
      </p>
    </>
  );
}

const isEditable = (array: Named, results: Results, { inputs, weights }: Experiment) =>
  array === results.dy || [...inputs, ...weights].some(({ key }) => key === array.key);

/** Where the first element of each output lies among all of them. */
function placesOf({ y, more, steps }: Results): ReadonlyMap<string, number> {
  const places = new Map<string, number>();
  let next = 0;
  for (const array of [y, ...more, ...steps.flatMap(({ parts }) => parts)]) {
    places.set(array.key, next);
    next += array.data.length;
  }
  return places;
}

/** For an array, the elements that light up. */
function lightsOf(point: Point, found: Found | undefined, x: Named, results: Results) {
  if (point === undefined || found === undefined) return () => undefined;
  const places = placesOf(results);
  const { array, element, output } = point;
  const ofX = array.key === x.key || array.key === `d${x.key}`;
  return (as: Named): Elements | undefined => {
    if (as.key === x.key) return output === undefined ? undefined : found[output + element];
    const place = places.get(as.key);
    if (!ofX || place === undefined) return undefined;
    const reached = new Set<number>();
    for (let e = 0; e < as.data.length; e++) if (found[place + e]?.has(element)) reached.add(e);
    return reached;
  };
}

function sentenceOf(
  point: Point,
  found: Found | undefined,
  { inputs }: Experiment,
  results: Results,
): string | undefined {
  if (point === undefined) return undefined;
  const { array, element, output } = point;
  const [x] = inputs;
  const is = `${elementName(array, element)} is ${short(array.data[element] ?? Number.NaN)}`;
  const words = (set: Elements, of: Named, at?: number) => described(set, of.shape, [...(of.axes ?? [])], at);
  if (output !== undefined && found?.[output + element]) {
    const set = found[output + element];
    const like = array.shape.join() === x.shape.join() ? element : undefined;
    const what = array.key === "dy" ? `${elementName({ ...results.y }, element)}` : "it";
    if (set.size === 0) return `${is}; ${what} depends on no element of x.`;
    if (set.size === 1) {
      const [only] = set;
      return `${is}; ${what} depends on ${elementName(x, only)} alone.`;
    }
    return `${is}; ${what} depends on ${set.size} elements of x: ${words(set, x, like)}.`;
  }
  if ((array.key === x.key || array.key === `d${x.key}`) && found) {
    const { y } = results;
    const reached = new Set<number>();
    for (let e = 0; e < y.data.length; e++) if (found[e]?.has(element)) reached.add(e);
    const like = y.shape.join() === x.shape.join() ? element : undefined;
    const where = reached.size > 1 && y.axes ? `: ${words(reached, y, like)}` : "";
    return `${is}; ${elementName(x, element)} reaches ${reached.size} ${reached.size === 1 ? "element" : "elements"} of y${where}.`;
  }
  return `${is}.`;
}

/** A sentence that is spoken once nothing has changed for a while. */
function useSettled() {
  const [said, setSaid] = useState("");
  const waiting = useRef(0);
  const say = useCallback((text: string) => {
    clearTimeout(waiting.current);
    waiting.current = setTimeout(setSaid, SETTLED, text) as unknown as number;
  }, []);
  useEffect(() => () => clearTimeout(waiting.current), []);
  return [said, say] as const;
}

const shapeText = (shape: readonly number[]) => `[${shape.join(", ")}]`;

function Title({ array, note }: { array: Named; note?: string }) {
  const { name, shape, axes } = array;
  const along = axes?.filter((_, axis) => shape[axis] !== 1);
  return (
    <>
      <b>{name}</b> {shapeText(shape)}{" "}
      <small>
        {along?.join(" × ")}
        {along && note ? ", " : ""}
        {note}
      </small>
    </>
  );
}

function Block({ array, note, children }: { array: Named; note?: string; children: ComponentChildren }) {
  return (
    <div class="block">
      <h3>
        <Title array={array} note={note} />
      </h3>
      {children}
    </div>
  );
}

/** What is made when it is opened. */
function Fold({
  title,
  open,
  children,
}: {
  title: ComponentChildren;
  open: boolean;
  children(): ComponentChildren;
}) {
  const [isOpen, setOpen] = useState(open);
  return (
    <details class="block" open={isOpen} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>{title}</summary>
      {isOpen && children()}
    </details>
  );
}

/** Whether this array and those before it have no more elements together. */
const fits = (arrays: readonly Named[], i: number, most: number) =>
  arrays.slice(0, i + 1).reduce((sum, { data }) => sum + data.length, 0) <= most;

/** `mean of (x − r₁)² over positions and channels`. */
function stepWords({ kind, how, of, axes, shape, given }: Step, x: Named): string {
  if (kind === "standardized") return `${of}, standardized${given ? " by what was given" : ""}`;
  const fits =
    shape.length === x.shape.length &&
    shape.every((length, axis) => length === x.shape[axis] || length === 1);
  const over = (axes ?? []).flatMap((axis) =>
    shape[axis] === 1 ? [] : [fits && x.axes ? x.axes[axis] : `axis ${axis}`],
  );
  return `${how} of ${of}, over ${listed(over)}`;
}

function Steps({
  results,
  x,
  children,
}: {
  results: Results;
  x: Named;
  children(array: Named): ComponentChildren;
}) {
  const { steps } = results;
  if (steps.length === 0) {
    return (
      <div class="block">
        <h3>No statistics</h3>
        <p class="note">It measures nothing: y is a function of each element, and of what is learned.</p>
      </div>
    );
  }
  const upTo = (i: number) => steps.slice(0, i + 1).flatMap((one) => one.parts);
  const [{ step, parts }] = steps;
  if (steps.length === 1) {
    return (
      <div class="block">
        <h3>{stepWords(step, x)}</h3>
        <Parts {...{ parts, children }} />
      </div>
    );
  }
  return (
    <>
      {steps.map(({ step, parts }, i) => (
        <Fold
          key={step.name}
          open={fits(upTo(i), upTo(i).length - 1, OPEN_STEPS)}
          title={
            <>
              <b>{step.name}</b> {stepWords(step, x)} <small>{shapeText(step.shape)}</small>
            </>
          }
        >
          {() =>
            step.kind === "reduced" ? (
              parts.map((array) => children(array))
            ) : (
              <Parts {...{ parts, children }} />
            )
          }
        </Fold>
      ))}
      {steps.some(({ step: { of } }) => of.includes("f(")) && (
        <p class="note">f(…) is what the formula makes of these; the program has no name for it.</p>
      )}
    </>
  );
}

function Parts({ parts, children }: { parts: readonly Named[]; children(array: Named): ComponentChildren }) {
  return parts.map((array) => (
    <div class="part" key={array.key}>
      <h4>
        <Title array={array} />
      </h4>
      {children(array)}
    </div>
  ));
}

interface PresetsProps {
  readonly label: string;
  readonly presets: Readonly<Record<string, (array: Named, focus: number) => Change>>;
  readonly array: Named;
  /** The element that was pointed at last. */
  readonly focus: number | undefined;
  onChange(values: Change, name: string): void;
}

function Presets({ label, presets, array, focus, onChange }: PresetsProps) {
  const last = useRef(0);
  if (focus !== undefined) last.current = Math.min(focus, array.data.length - 1);
  return (
    // biome-ignore lint/a11y/useSemanticElements: buttons are no fields
    <div class="buttons" role="group" aria-label={`Values of ${label}`}>
      <span class="of" aria-hidden="true">
        {label}
      </span>
      {Object.entries(presets).map(([name, make]) => (
        <button
          type="button"
          class="button"
          key={name}
          onClick={() => onChange(make(array, last.current), name)}
        >
          {name}
        </button>
      ))}
    </div>
  );
}

interface OptionsProps {
  readonly controls: readonly Control[];
  readonly state: State;
  setState(change: (state: State) => State): void;
  readonly hasState: boolean;
}

function Options({ controls, state, setState, hasState }: OptionsProps) {
  const set = (control: Control, value: unknown) =>
    setState((before) => {
      const { [control.name]: _, ...others } = before.options;
      const isSame = JSON.stringify(value) === JSON.stringify(control.value);
      return {
        ...before,
        options: isSame || value === undefined ? others : { ...others, [control.name]: value },
      };
    });
  if (controls.length === 0 && !hasState) return null;
  return (
    <fieldset class="controls">
      <legend class="unseen">Options</legend>
      {controls.map((control) => {
        const { name, kind } = control;
        const value = name in state.options ? state.options[name] : control.value;
        if (kind === "boolean") {
          return (
            <label class="field check" key={name}>
              <input
                type="checkbox"
                checked={value === true}
                onChange={({ currentTarget }) => set(control, currentTarget.checked)}
              />
              <span>{name}</span>
            </label>
          );
        }
        if (kind === "choice") {
          return (
            <label class="field" key={name}>
              <span>{name}</span>
              <select
                value={JSON.stringify(value)}
                onChange={({ currentTarget }) => set(control, JSON.parse(currentTarget.value))}
              >
                {control.choices.map((choice) => (
                  <option key={choice.label} value={JSON.stringify(choice.value)}>
                    {choice.label}
                  </option>
                ))}
              </select>
            </label>
          );
        }
        return (
          <label class="field" key={name}>
            <span>{name}</span>
            <input
              type="number"
              step="any"
              value={typeof value === "number" ? value : ""}
              placeholder={control.none}
              onChange={({ currentTarget }) => {
                const number = currentTarget.valueAsNumber;
                set(control, Number.isFinite(number) ? number : undefined);
              }}
            />
          </label>
        );
      })}
      {hasState && (
        <label class="field">
          <span>pass</span>
          <select
            value={String(state.training)}
            onChange={({ currentTarget }) =>
              setState((before) => ({ ...before, training: currentTarget.value === "true" }))
            }
          >
            <option value="true">training</option>
            <option value="false">evaluation</option>
          </select>
        </label>
      )}
    </fieldset>
  );
}

/** Those that take the same kind of input: an array of examples, one and a condition, or a weight. */
const kindOf = ({ about }: Factory) =>
  about.takes === "weight" || about.takes === "condition" ? about.takes : "array";

function Beside({ ek, subject, shown, state, setState }: Omit<BenchProps, "controls" | "problem">) {
  const { results } = shown;
  const { other } = state;
  const factories = Object.values(catalog) as Factory[];
  const candidates = factories.filter(
    (factory) => factory !== subject.factory && kindOf(factory) === kindOf(subject.factory),
  );
  const factory = candidates.find(({ about }) => about.name === other);
  const experiment = useMemo(
    () => factory && attempt(() => experimentOf(subjectOf(ek, factory), {})),
    [ek, factory],
  );
  const ran = useMemo(() => {
    if (experiment === undefined || "error" in experiment) return experiment;
    return attempt(() => run(ek, experiment.value, sharedState(experiment.value, results, state)));
  }, [ek, experiment, results, state]);
  const them = ran && !("error" in ran) ? ran.value : undefined;
  const pairs = them && [[results.y, them.y] as const, [results.gradients[0], them.gradients[0]] as const];
  return (
    <div class="beside-it">
      <h3>Against another one, on the same numbers</h3>
      <label class="field other">
        <span>normalization</span>
        <select
          value={factory ? other : ""}
          onChange={({ currentTarget: { value } }) =>
            setState((before) => ({ ...before, other: value === "" ? undefined : value }))
          }
        >
          <option value="">none</option>
          {candidates.map(({ about }) => (
            <option key={about.name} value={about.name}>
              {about.title}
            </option>
          ))}
        </select>
      </label>
      <Problem text={ran && "error" in ran ? ran.error : undefined} />
      {factory &&
        pairs?.map(([ours, theirs]) => {
          const apart = differing(ours, theirs);
          return (
            <div class="pairs" key={ours.key}>
              <Block array={ours} note={subject.about.name}>
                <Grid array={ours} />
              </Block>
              <Block array={theirs} note={factory.about.name}>
                <Grid array={theirs} differing={apart} />
              </Block>
              <p class="note">{differenceWords(ours, theirs, apart)}</p>
            </div>
          );
        })}
    </div>
  );
}

/** x and dy as they are set here, and weights of the same name and shape. */
function sharedState({ inputs, weights }: Experiment, results: Results, { training }: State): State {
  const edits: Record<string, Edits> = {};
  const theirs = new Map([...inputs, ...weights].map((array) => [array.key, array.shape.join()]));
  for (const array of [...results.inputs, ...results.weights]) {
    if (theirs.get(array.key) === array.shape.join()) edits[array.key] = new Map(array.data.entries());
  }
  edits.dy = new Map(results.dy.data.entries());
  return { edits, options: {}, training };
}

/** Elements that are further apart than float64 rounds. */
function differing(ours: Named, theirs: Named): ReadonlySet<number> {
  if (ours.shape.join() !== theirs.shape.join()) return new Set();
  const apart = (a: number, b: number) => !(Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(a), Math.abs(b)));
  return new Set([...theirs.data.keys()].filter((i) => apart(ours.data[i], theirs.data[i])));
}

function differenceWords(ours: Named, theirs: Named, apart: ReadonlySet<number>): string {
  if (ours.shape.join() !== theirs.shape.join()) return "They have different shapes.";
  if (apart.size === 0) return `${ours.name} is the same, to nine digits.`;
  let at = 0;
  let most = -1;
  for (const i of apart) {
    const distance = Math.abs(ours.data[i] - theirs.data[i]);
    if (distance > most) [at, most] = [i, distance];
  }
  const far = most < 0 ? "" : `, most at ${elementName(ours, at)}, by ${short(most)}`;
  return `${apart.size} of ${ours.data.length} elements of ${ours.name} differ (underlined)${far}.`;
}

function Code({ shown: { experiment, results, state } }: { shown: Shown }) {
  const [host, setHost] = useState<Host>("plain");
  const text = codeOf(host, experiment, results, state);
  return (
    <div class="code">
      <h3>This, as a program</h3>
      <fieldset class="pills">
        <legend class="unseen">For</legend>
        {(Object.keys(hosts) as Host[]).map((one) => (
          <label key={one}>
            <input type="radio" name="host" checked={host === one} onChange={() => setHost(one)} />
            {hosts[one]}
          </label>
        ))}
      </fieldset>
      <Command text={text} label={`${hosts[host]} code`} />
    </div>
  );
}
