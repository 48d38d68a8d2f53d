/** "Your data": a file is read, what was understood is shown and can be changed, and then networks are compared on it. */
import "virtual:report.css";
import "../ui/style.css";
import "../live/style.css";
import "./style.css";
import facts from "virtual:facts";
import { sweepSettings } from "@evenkeel/lab/settings";
import { count as countOf } from "@evenkeel/report/format";
import { effect, signal } from "@preact/signals";
import { render } from "preact";
import type { DataSource } from "../desk/protocol.ts";
import { labelOf, modelOf, NetworkFields, Norms, normsOf } from "../live/controls.tsx";
import { Choice, Count, Text } from "../live/fields.tsx";
import { Live } from "../live/live.tsx";
import { openSession } from "../live/session.ts";
import { Toolbar } from "../live/toolbar.tsx";
import { keep, read, written } from "../ui/address.ts";
import { Command } from "../ui/command.tsx";
import { Drop } from "../ui/drop.tsx";
import { Markup } from "../ui/markup.tsx";
import { Problem } from "../ui/problem.tsx";
import { Reading } from "./reading.tsx";
import {
  commandOf,
  comparedOf,
  fields,
  fitted,
  readingFields,
  readingOf,
  type State,
  USUAL_SEEDS,
  usualState,
  valuesOf,
} from "./state.ts";

/** ms without a change before data are read anew. */
const SETTLED = 400;

const session = openSession();
const state = signal<State>(read(location.hash, fields));
/** What was dropped: an address has but its name. */
const file = signal<File | undefined>(undefined);
/** How the data were read that the session has; undefined while they are not as the controls say. */
const readAs = signal<string | undefined>(undefined);
/** The settings of the comparison that is shown. */
const shownAs = signal<string | undefined>(undefined);

const sourceOf = ({ data }: State): DataSource | undefined =>
  data !== "" ? { name: data } : file.value && { file: file.value };

let settling: ReturnType<typeof setTimeout> | undefined;

function set(next: State): void {
  state.value = next;
  keep(next, fields);
}

/** Reads the data as the controls say. */
async function load(): Promise<void> {
  clearTimeout(settling);
  readAs.value = undefined;
  const source = sourceOf(state.value);
  if (source === undefined) return;
  const reading = readingOf(state.value);
  const found = await session.load({ source, reading });
  if (found === undefined) return;
  readAs.value = JSON.stringify(reading);
  set(fitted(state.value, found));
}

function change(part: Partial<State>): void {
  set({ ...state.value, ...part });
  if (Object.keys(part).some((name) => name in readingFields)) {
    readAs.value = undefined;
    clearTimeout(settling);
    settling = setTimeout(load, SETTLED);
  }
}

/** Takes a file: with the settings of the address where it is the one that they speak of. */
function take(dropped: File): void {
  const { name, size } = dropped;
  const isKnown = state.value.data === "" && state.value.file === name;
  session.forget();
  file.value = dropped;
  set({ ...(isKnown ? state.value : usualState), file: name, size });
  begun();
}

function takeOwn(data: string): void {
  session.forget();
  file.value = undefined;
  set({ ...usualState, data });
  begun();
}

function begun(): void {
  load();
  focus("source");
}

/** Where the control that had the focus is gone. */
function focus(id: string): void {
  requestAnimationFrame(() => document.getElementById(id)?.focus());
}

/** Back to where a file is chosen; with its settings, should it be the same. */
function leave(): void {
  clearTimeout(settling);
  session.forget();
  file.value = undefined;
  readAs.value = undefined;
  if (state.value.data !== "") set(usualState);
  focus("main");
}

function compare(): void {
  const now = state.value;
  const source = sourceOf(now);
  if (source === undefined) return;
  const own = written(now, fields);
  if (session.paused.value) session.go();
  session.begin({ source, reading: readingOf(now) }, () => {
    shownAs.value = own;
    return { choices: comparedOf(now), backend: now.backend, command: commandOf(now) };
  });
}

addEventListener("hashchange", () => {
  const { data, file: name } = state.value;
  const next = read(location.hash, fields);
  const isSame = next.data === data && next.file === name;
  state.value = next;
  if (!isSame) {
    session.forget();
    file.value = undefined;
  }
  load();
});
addEventListener("paste", ({ target, clipboardData }) => {
  if (clipboardData === null || (target instanceof Element && target.matches("input, textarea"))) return;
  const [pasted] = clipboardData.files;
  const rows = clipboardData.getData("text/plain");
  if (pasted) take(pasted);
  else if (/\n/.test(rows.trim())) take(new File([rows], rows.includes("\t") ? "pasted.tsv" : "pasted.csv"));
});
// what falls beside the place for it is meant for it too
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  if (event.defaultPrevented) return;
  event.preventDefault();
  const dropped = event.dataTransfer?.files[0];
  if (dropped) take(dropped);
});
// a page that is kept to come back to reads and trains nothing meanwhile
addEventListener("pagehide", () => session.close());
addEventListener("pageshow", ({ persisted }) => {
  if (persisted && session.view.value?.state !== "finished") load();
});
// for whoever waits for the end from outside
effect(() => {
  const { problem, view, busy } = session;
  document.documentElement.dataset.state =
    sourceOf(state.value) === undefined
      ? "empty"
      : problem.value
        ? "problem"
        : (view.value?.state ?? (busy.value ? "reading" : readAs.value !== undefined ? "read" : "stopped"));
});

function Page() {
  const now = state.value;
  const source = sourceOf(now);
  const loaded = session.loaded.value;
  const view = session.view.value;
  const isRead = readAs.value !== undefined;
  return (
    <>
      <h1>Compare normalizations on your own data</h1>
      <p class="unseen" role="status">
        {saidOf(now)}
      </p>
      {source === undefined ? (
        <Start now={now} />
      ) : (
        <>
          <div class="source">
            <h2 id="source" tabIndex={-1}>
              {now.data === "" ? now.file : now.data}{" "}
              {now.size !== undefined && <small>{bytes(now.size)}</small>}
            </h2>
            <button type="button" class="button" onClick={leave}>
              Other data …
            </button>
          </div>
          {!isRead && session.busy.value && <Waiting now={now} />}
          {!isRead && <Problem text={session.problem.value} />}
          {!isRead && !session.busy.value && !session.problem.value && (
            <p>
              <button type="button" class="button" onClick={load}>
                Read it
              </button>
            </p>
          )}
          <div class={loaded ? "understood" : undefined}>
            {loaded && (
              <section id="data" aria-labelledby="understood" class={isRead ? undefined : "old"}>
                <h2 id="understood">What was understood</h2>
                <Markup html={loaded.doubts} />
                <Markup html={loaded.about} />
              </section>
            )}
            {(loaded || session.problem.value !== undefined) && (
              <section class="otherwise" aria-labelledby="otherwise">
                <h2 id="otherwise">Read it otherwise</h2>
                <p class="note">
                  Each control is named as the option of the command line that does the same: messages speak
                  of these. What is empty is found by itself.
                </p>
                <Reading state={now} loaded={loaded} columns={session.columns.value} onChange={change} />
              </section>
            )}
          </div>
          {loaded && (
            <section class="comparison" aria-labelledby="comparison">
              <h2 id="comparison">The comparison</h2>
              <Norms state={now} loaded={loaded} onChange={change} />
              <Training now={now} />
              <Toolbar
                session={session}
                status={isRead ? undefined : ""}
                before={
                  <button
                    type="button"
                    class="button strong"
                    disabled={!isRead || session.busy.value}
                    onClick={compare}
                  >
                    Compare
                  </button>
                }
                after={
                  <button
                    type="button"
                    class="button"
                    disabled={!isRead || !session.busy.value}
                    onClick={session.stop}
                  >
                    Stop
                  </button>
                }
              />
              {isRead && <Problem text={session.problem.value} />}
              {view && shownAs.value !== written(now, fields) && (
                <p class="note changed">Settings have changed since these networks were trained.</p>
              )}
              {view && <Live view={view} name={loaded.name} report={session.report} />}
            </section>
          )}
          {loaded && (
            <section aria-labelledby="again">
              <h2 id="again">The same numbers, elsewhere</h2>
              <p class="lead">
                This page’s address holds all settings, but never the data. The command line gives the same
                numbers for the same file, on threads and on all of your memory:
              </p>
              <Command label="Command" text={commandOf(now)} />
            </section>
          )}
        </>
      )}
    </>
  );
}

function Start({ now }: { now: State }) {
  return (
    <>
      <p class="lead">
        A table of rows and columns, a series in time, a text, or who bought what: it is read, you see what
        was understood, and one network is trained on it under several normalizations, here in your browser.
        The file goes nowhere.
      </p>
      {now.file !== "" && (
        <p class="awaited">
          This address holds the settings of a comparison on <b>{now.file}</b>
          {now.size !== undefined && ` (${bytes(now.size)})`}, but no data. Drop that file again to go on with
          them.
        </p>
      )}
      <Drop
        what="A CSV, TSV, JSON, ARFF, Parquet, Arrow or Excel file, or a text; zipped or not"
        onFiles={([first]) => take(first)}
      />
      <p class="note">Rows of a table that were copied elsewhere can be pasted here too.</p>
      <section aria-labelledby="examples">
        <h2 id="examples">Or data that come with the lab</h2>
        <ul class="offers">
          {facts.data.map(({ name, description }) => (
            <li key={name}>
              <button type="button" onClick={() => takeOwn(name)}>
                {name}
              </button>
              <small>{description}</small>
            </li>
          ))}
        </ul>
      </section>
    </>
  );
}

/** What a screen reader is told of reading. */
function saidOf(now: State): string {
  if (sourceOf(now) === undefined || session.problem.value !== undefined) return "";
  if (readAs.value === undefined) return session.busy.value ? readingText(now) : "";
  const loaded = session.loaded.value;
  return loaded ? `${loaded.name} was read: ${countOf(loaded.examples, loaded.example)}.` : "";
}

const readingText = ({ data, file: name, size }: State): string =>
  `Reading ${data === "" ? name : data}${size === undefined ? "" : ` (${bytes(size)})`} …`;

function Waiting({ now }: { now: State }) {
  return (
    <div class="reading">
      <p>{readingText(now)}</p>
      <progress aria-label="Reading" />
      <button
        type="button"
        class="button"
        onClick={() => {
          session.close();
          focus("source");
        }}
      >
        Stop
      </button>
    </div>
  );
}

/** Everything of the network and its training. */
function Training({ now }: { now: State }) {
  const loaded = session.loaded.value;
  const usual = modelOf(now, loaded)?.usual;
  const norms = normsOf(now, loaded);
  return (
    <details class="settings">
      <summary>Network and training</summary>
      <div class="controls">
        <Count
          label="Depth"
          name="depth"
          option="--depth"
          value={now.depth}
          usual={usual?.depth}
          onChange={(depth) => change({ depth })}
        />
        <NetworkFields state={now} loaded={loaded} usualSeeds={USUAL_SEEDS} named onChange={change} />
        <Count
          label="Batch size"
          name="batch"
          option="--batch-size"
          value={now.batch}
          usual={loaded && Math.min(32, loaded.parts.train)}
          onChange={(batch) => change({ batch })}
        />
        <Choice
          label="Compared with"
          name="baseline"
          option="--baseline"
          value={now.baseline}
          options={[
            { value: "", text: norms.includes("none") ? "none (usual)" : "the first (usual)" },
            ...norms.map((value) => ({ value, text: labelOf(value) })),
          ]}
          onChange={(baseline) => change({ baseline })}
        />
        <Choice
          label="At several values of"
          name="sweep"
          option="--sweep"
          value={now.sweep}
          options={["" as const, ...sweepSettings].map((value) => ({ value, text: value || "nothing" }))}
          onChange={(sweep) => change({ sweep, values: sweep === "" ? "" : EXAMPLES[sweep] })}
        />
        {now.sweep !== "" && (
          <Text
            label="The values"
            name="values"
            value={now.values}
            isGood={(typed) => valuesOf(typed) !== undefined}
            onChange={(values) => change({ values })}
          />
        )}
      </div>
    </details>
  );
}

const EXAMPLES = {
  "learning-rate": "0.001,0.01,0.1",
  "batch-size": "4,32,256",
  depth: "4,8,16",
  "warm-up": "0,0.1",
} as const;

/** "4 kB", "50 MB" */
function bytes(size: number): string {
  const units = ["bytes", "kB", "MB", "GB"];
  const power = size < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(size) / 3));
  return `${Number((size / 1000 ** power).toPrecision(size < 1000 ? 4 : 2)).toLocaleString("en-US")} ${units[power]}`;
}

render(<Page />, document.getElementById("main") as HTMLElement);
load();
