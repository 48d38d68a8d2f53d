/** The controls of the first page: what networks are put under, and all other settings. */

import facts from "virtual:facts";
import type { Loaded } from "../desk/protocol.ts";
import { type ControlProps, modelOf, NetworkFields } from "../live/controls.tsx";
import { Choice, Slider } from "../live/fields.tsx";
import { fields, type State } from "./state.ts";

const BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const OFFSETS = [0, 1, 3, 10, 100, 1_000, 10_000];
const TIMES = [0.1, 0.3, 1, 3, 10];
const USUAL_BATCH = 32;
const DEEPEST = 60;

/** What breaks some networks while one looks. */
export function Stress({ state, loaded, onChange }: ControlProps<State>) {
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
        says="Added to every input that the networks see: see who bears how much."
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

/** Everything else; what is empty is as usual for the data and the network. */
export function Settings({ state, loaded, onChange }: ControlProps<State>) {
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
        <NetworkFields state={state} loaded={loaded} usualSeeds={fields.seeds.usual} onChange={onChange} />
      </div>
      {loaded && <DataFacts loaded={loaded} />}
    </details>
  );
}

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
