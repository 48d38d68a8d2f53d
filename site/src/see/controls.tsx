/** The controls of a comparison: which normalizations, what they are put under, and all other settings. */

import facts from "virtual:facts";
import { activations, optimizers } from "@evenkeel/lab/settings";
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { backends, type Loaded, type ModelChoice } from "../desk/protocol.ts";
import { fields, type State } from "./state.ts";

interface Props {
  state: State;
  loaded: Loaded | undefined;
  onChange(part: Partial<State>): void;
}

/** What is shown as pills before one looks for more. */
const FIRST = ["none", "layer", "rms", "batch", "group", "instance"];

const modelOf = ({ model }: State, loaded: Loaded | undefined): ModelChoice | undefined =>
  loaded?.models.find(({ name }) => name === (model || loaded.model));

/** The normalizations that are compared, and others to add. */
export function Norms({ state, loaded, onChange }: Props) {
  const fitting = modelOf(state, loaded)?.norms ?? facts.norms.map(({ name }) => name);
  const shown = [...new Set([...FIRST.filter((name) => fitting.includes(name)), ...state.norms])];
  const others = fitting.filter((name) => !shown.includes(name));
  const labelOf = (name: string) => facts.norms.find((norm) => norm.name === name)?.label ?? name;
  const toggle = (name: string, on: boolean) => {
    const norms = on ? [...state.norms, name] : state.norms.filter((each) => each !== name);
    if (norms.length > 0) onChange({ norms });
  };
  return (
    <fieldset class="norms">
      <legend>Normalizations</legend>
      <div class="pills">
        {shown.map((name) => (
          <label key={name}>
            <input
              type="checkbox"
              name={`norm-${name}`}
              checked={state.norms.includes(name)}
              disabled={state.norms.length === 1 && state.norms.includes(name)}
              onChange={({ currentTarget }) => toggle(name, currentTarget.checked)}
            />
            {labelOf(name)}
          </label>
        ))}
        <label class="more">
          <span class="unseen">Add another normalization</span>
          <select
            name="add-norm"
            onChange={({ currentTarget }) => {
              const { value } = currentTarget;
              currentTarget.value = "";
              if (value !== "") toggle(value, true);
            }}
          >
            <option value="">one of {others.length} others …</option>
            {others.map((name) => (
              <option key={name} value={name}>
                {labelOf(name)}
              </option>
            ))}
          </select>
        </label>
      </div>
    </fieldset>
  );
}

const BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const OFFSETS = [0, 1, 10, 100, 1_000, 10_000];
const TIMES = [0.1, 0.3, 1, 3, 10];
const USUAL_BATCH = 32;
const DEEPEST = 60;

/** What breaks some networks while one looks. */
export function Stress({ state, loaded, onChange }: Props) {
  const model = modelOf(state, loaded);
  const depth = state.depth ?? model?.usual.depth ?? 16;
  const deepest = Math.max(DEEPEST, depth);
  return (
    <fieldset class="stress">
      <legend>Make it hard</legend>
      <Slider
        name="batch"
        label="Batch size"
        values={BATCHES}
        value={state.batch ?? USUAL_BATCH}
        says="Down to 1, where statistics of the batch say nothing any more."
        onChange={(batch) => onChange({ batch: batch === USUAL_BATCH ? undefined : batch })}
      />
      <Slider
        name="offset"
        label="Inputs offset by"
        values={OFFSETS}
        value={state.offset}
        says="Added to every standardized input: who subtracts a mean does not mind."
        onChange={(offset) => onChange({ offset })}
      />
      <Slider
        name="times"
        label="Learning rate ×"
        values={TIMES}
        value={state.times}
        says="Ten times the usual rate: normalized networks bear more."
        onChange={(times) => onChange({ times })}
      />
      <Slider
        name="depth"
        label="Depth"
        values={Array.from({ length: deepest }, (_, i) => i + 1)}
        value={depth}
        says="Up to 60 layers: gradients vanish or explode, unless something keeps them."
        onChange={(value) => onChange({ depth: value === model?.usual.depth ? undefined : value })}
      />
    </fieldset>
  );
}

interface SliderProps {
  name: string;
  label: string;
  values: readonly number[];
  value: number;
  says: string;
  onChange(value: number): void;
}

/** Steps through values that may not be even. */
function Slider({ name, label, values, value, says, onChange }: SliderProps) {
  const at = values.reduce(
    (best, each, i) => (Math.abs(each - value) < Math.abs(values[best] - value) ? i : best),
    0,
  );
  const shown = value.toLocaleString("en-US");
  return (
    <div class="slider">
      <label for={`slide-${name}`}>
        {label} <output for={`slide-${name}`}>{shown}</output>
      </label>
      <input
        id={`slide-${name}`}
        name={name}
        type="range"
        min={0}
        max={values.length - 1}
        value={at}
        aria-valuetext={shown}
        aria-describedby={`says-${name}`}
        onInput={({ currentTarget }) => onChange(values[Number(currentTarget.value)])}
      />
      <small id={`says-${name}`}>{says}</small>
    </div>
  );
}

/** Everything else; what is empty is as usual for the data and the network. */
export function Settings({ state, loaded, onChange }: Props) {
  const model = modelOf(state, loaded);
  const usual = model?.usual;
  const optimizer = state.optimizer || usual?.optimizer || "sgd";
  return (
    <details class="settings" open={matchMedia("(min-width: 1081px)").matches}>
      <summary>All settings</summary>
      <div class="controls">
        <Choice
          label="Data"
          name="data"
          value={state.data}
          options={facts.data.map(({ name, description }) => ({
            value: name,
            text: name,
            title: description,
          }))}
          onChange={(data) => onChange({ data, model: "", norms: fields.norms.usual, depth: undefined })}
        />
        <Choice
          label="Network"
          name="model"
          value={state.model}
          options={[
            { value: "", text: model && state.model === "" ? `${model.title} (usual)` : "the usual one" },
            ...(loaded?.models ?? facts.models).map(({ name, title }) => ({ value: name, text: title })),
          ]}
          onChange={(name) => onChange({ model: name, depth: undefined, width: undefined })}
        />
        <Count
          label={`Width (${model?.unit ?? "units"})`}
          name="width"
          value={state.width}
          usual={usual?.width}
          onChange={(width) => onChange({ width })}
        />
        <Choice
          label="Activation"
          name="activation"
          value={state.activation}
          options={activations.map((value) => ({ value, text: value }))}
          onChange={(activation) => onChange({ activation })}
        />
        <Choice
          label="Optimizer"
          name="optimizer"
          value={state.optimizer}
          options={[
            { value: "" as const, text: usual ? `${usual.optimizer} (usual)` : "the usual one" },
            ...optimizers.map((value) => ({ value, text: value })),
          ]}
          onChange={(value) => onChange({ optimizer: value })}
        />
        <Choice
          label="Learning rate"
          name="rate-how"
          value={state.rate === undefined ? "tuned" : "one"}
          options={[
            { value: "tuned", text: "tuned for each" },
            { value: "one", text: "one for all" },
          ]}
          onChange={(how) =>
            onChange({ rate: how === "tuned" ? undefined : (model?.rates[optimizer] ?? 0.01) })
          }
        />
        {state.rate !== undefined && (
          <Count
            label="The rate"
            name="rate"
            step="any"
            value={state.rate}
            usual={model?.rates[optimizer]}
            onChange={(rate) => onChange({ rate: rate ?? model?.rates[optimizer] })}
          />
        )}
        <Count
          label="Epochs"
          name="epochs"
          value={state.epochs}
          usual={usual?.epochs}
          onChange={(epochs) => onChange({ epochs })}
        />
        <Count
          label="Seeds"
          name="seeds"
          value={state.seeds}
          usual={fields.seeds.usual}
          onChange={(seeds) => onChange({ seeds: seeds ?? fields.seeds.usual })}
        />
        <Choice
          label="Backend"
          name="backend"
          value={state.backend}
          options={backends.filter(isPresent).map((value) => ({ value, text: value }))}
          onChange={(backend) => onChange({ backend })}
        />
      </div>
      {loaded && <DataFacts loaded={loaded} />}
    </details>
  );
}

/** Whether this browser may have it; what it lacks after all is told when trials begin. */
const isPresent = (backend: (typeof backends)[number]): boolean =>
  backend === "wasm" ||
  (backend === "webgl" && typeof OffscreenCanvas !== "undefined") ||
  (backend === "webgpu" && "gpu" in navigator);

function DataFacts({ loaded }: { loaded: Loaded }) {
  const { name, provenance, example, parts, drawn, classes } = loaded;
  const number = (n: number) => n.toLocaleString("en-US");
  return (
    <p class="note">
      {name}: {provenance}. {number(parts.train)} {example}s to train on, {number(parts.validation)} for
      validation, {number(parts.heldOut)} held out{classes > 0 ? `, ${classes} classes` : ""}; each seed{" "}
      {drawn}.
    </p>
  );
}

function Field({ label, name, children }: { label: string; name: string; children: ComponentChildren }) {
  return (
    <div class="field">
      <label for={`set-${name}`}>{label}</label>
      {children}
    </div>
  );
}

interface ChoiceProps<T extends string> {
  label: string;
  name: string;
  value: T;
  options: readonly { value: T; text: string; title?: string }[];
  onChange(value: T): void;
}

function Choice<T extends string>({ label, name, value, options, onChange }: ChoiceProps<T>) {
  return (
    <Field label={label} name={name}>
      <select
        id={`set-${name}`}
        name={name}
        value={value}
        onChange={({ currentTarget }) => onChange(currentTarget.value as T)}
      >
        {options.map(({ value: each, text, title }) => (
          <option key={each} value={each} title={title} selected={each === value}>
            {text}
          </option>
        ))}
      </select>
    </Field>
  );
}

interface CountProps {
  label: string;
  name: string;
  value: number | undefined;
  usual: number | undefined;
  step?: string;
  onChange(value: number | undefined): void;
}

/** A number above 0; empty for the usual one. */
function Count({ label, name, value, usual, step = "1", onChange }: CountProps) {
  const [wrong, setWrong] = useState(false);
  return (
    <Field label={label} name={name}>
      <input
        id={`set-${name}`}
        name={name}
        type="number"
        inputMode="decimal"
        min={step === "1" ? 1 : 0}
        step={step}
        value={value ?? ""}
        placeholder={usual === undefined ? "" : String(usual)}
        aria-invalid={wrong}
        onChange={({ currentTarget }) => {
          const isGood = currentTarget.checkValidity();
          setWrong(!isGood);
          if (isGood) onChange(currentTarget.value === "" ? undefined : Number(currentTarget.value));
        }}
      />
    </Field>
  );
}
