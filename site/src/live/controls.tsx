/** The controls that every comparison has: which normalizations, and the settings of the network and its training. */

import facts from "virtual:facts";
import { activations, optimizers } from "@evenkeel/lab/settings";
import { backends, type Loaded, type ModelChoice } from "../desk/protocol.ts";
import { Choice, Count } from "./fields.tsx";
import type { Training } from "./training.ts";

export interface ControlProps<State extends Training = Training> {
  state: State;
  loaded: Loaded | undefined;
  onChange(part: Partial<State>): void;
}

/** What is shown as pills before one looks for more. */
const FIRST = ["none", "layer", "rms", "batch", "group", "instance"];

export const modelOf = ({ model }: Training, loaded: Loaded | undefined): ModelChoice | undefined =>
  loaded?.models.find(({ name }) => name === (model || loaded.model));

export const labelOf = (norm: string): string => facts.norms.find(({ name }) => name === norm)?.label ?? norm;

/** Those that are compared. */
export const normsOf = (state: Training, loaded: Loaded | undefined): readonly string[] =>
  state.norms.length > 0 ? state.norms : (modelOf(state, loaded)?.usualNorms ?? []);

/** The normalizations that are compared, and others to add. */
export function Norms({ state, loaded, onChange }: ControlProps) {
  const fitting = modelOf(state, loaded)?.norms ?? facts.norms.map(({ name }) => name);
  const chosen = normsOf(state, loaded);
  const shown = [...new Set([...FIRST.filter((name) => fitting.includes(name)), ...chosen])];
  const others = fitting.filter((name) => !shown.includes(name));
  const toggle = (name: string, on: boolean) => {
    const norms = on ? [...chosen, name] : chosen.filter((each) => each !== name);
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
              checked={chosen.includes(name)}
              disabled={chosen.length === 1 && chosen.includes(name)}
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

/** Of the network and its training; what is empty is as usual for the data. @param named whether with the options of the command line */
export function NetworkFields({
  state,
  loaded,
  usualSeeds,
  named = false,
  onChange,
}: ControlProps & { usualSeeds: number; named?: boolean }) {
  const model = modelOf(state, loaded);
  const usual = model?.usual;
  const optimizer = state.optimizer || usual?.optimizer || "sgd";
  const option = (name: string) => (named ? name : undefined);
  return (
    <>
      <Choice
        label="Network"
        name="model"
        option={option("--model")}
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
        option={option("--width")}
        value={state.width}
        usual={usual?.width}
        onChange={(width) => onChange({ width })}
      />
      <Choice
        label="Activation"
        name="activation"
        option={option("--activation")}
        value={state.activation}
        options={activations.map((value) => ({ value, text: value }))}
        onChange={(activation) => onChange({ activation })}
      />
      <Choice
        label="Optimizer"
        name="optimizer"
        option={option("--optimizer")}
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
        option={option("--tune")}
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
          option={option("--lr")}
          step="any"
          value={state.rate}
          usual={model?.rates[optimizer]}
          onChange={(rate) => onChange({ rate: rate ?? model?.rates[optimizer] })}
        />
      )}
      <Count
        label="Epochs"
        name="epochs"
        option={option("--epochs")}
        value={state.epochs}
        usual={usual?.epochs}
        onChange={(epochs) => onChange({ epochs })}
      />
      <Count
        label="Seeds"
        name="seeds"
        option={option("--seeds")}
        value={state.seeds}
        usual={usualSeeds}
        onChange={(seeds) => onChange({ seeds: seeds ?? usualSeeds })}
      />
      <Choice
        label="Backend"
        name="backend"
        value={state.backend}
        options={backends.filter(isPresent).map((value) => ({ value, text: value }))}
        onChange={(backend) => onChange({ backend })}
      />
    </>
  );
}

/** Whether this browser may have it; what it lacks after all is told when trials begin. */
const isPresent = (backend: (typeof backends)[number]): boolean =>
  backend === "wasm" ||
  (backend === "webgl" && typeof OffscreenCanvas !== "undefined") ||
  (backend === "webgpu" && "gpu" in navigator);
