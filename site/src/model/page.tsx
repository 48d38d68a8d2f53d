/** Your model: a file is dropped, and what `evenkeel inspect` says of it is shown; of a graph, what `evenkeel doctor` says and mends too. */
import "virtual:report.css";
import "../ui/style.css";
import "./style.css";
import { signal } from "@preact/signals";
import { render } from "preact";
import { useRef } from "preact/hooks";
import { keep, read as readAddress } from "../ui/address.ts";
import { Drop } from "../ui/drop.tsx";
import { Problem } from "../ui/problem.tsx";
import type { Named } from "./beside.ts";
import { Formats } from "./formats.tsx";
import type { Looked } from "./graph.tsx";
import type { Inspected } from "./inspector.ts";
import { baseOf, named, type Reading, read } from "./reading.ts";
import { Inspection } from "./result.tsx";
import { address, fetched, type Sample, samples, type View } from "./samples.ts";

/** What was dropped last. */
const files = signal<Named>([]);
const found = signal<Inspected | undefined>(undefined);
/** Of a file with a graph, how the doctor looks at it; or why it cannot. */
const looked = signal<Looked | Error | undefined>(undefined);
/** Stays as it is where another file comes. */
const view = signal<View>("norms");
const problem = signal<string | undefined>(undefined);
/** What is done now: "Reading model.pt: drawing". */
const doing = signal<string | undefined>(undefined);
/** Of the last that came, what is told once. */
const told = signal("");
const asked = signal<string | undefined>(undefined);

let reading: Reading | undefined;
let stopLooking: () => void = () => {};
/** Counts what was asked for: what comes of an earlier one comes too late. */
let turn = 0;
const title = document.title;

function stop(): void {
  turn++;
  reading?.stop();
  reading = undefined;
  doing.value = undefined;
}

function clear(): void {
  stop();
  stopLooking();
  looked.value = undefined;
  found.value = undefined;
  problem.value = undefined;
  told.value = "";
  asked.value = undefined;
  document.title = title;
}

async function open(name?: string): Promise<void> {
  clear();
  asked.value = name;
  const shown =
    name ??
    (files.value.length === 1 ? files.value[0][0] : `${files.value.length.toLocaleString("en-US")} files`);
  doing.value = `Reading ${shown}`;
  const asking = turn;
  reading = read(files.value, name, (stage) => {
    if (turn === asking) doing.value = `Reading ${shown}: ${stage}`;
  });
  const inspected = await reading.inspected.catch((error: Error) => error);
  if (turn !== asking) return;
  stop();
  if (inspected instanceof Error) {
    problem.value = inspected.message;
    return;
  }
  found.value = inspected;
  asked.value = inspected.file;
  told.value = `${baseOf(inspected.file)}: ${inspected.verdict}.`;
  document.title = `${baseOf(inspected.file)} · ${title}`;
  if (inspected.hasGraph) await look(inspected.file);
}

/** Has the doctor look at its graph. */
async function look(file: string): Promise<void> {
  let isStopped = false;
  stopLooking = () => {
    isStopped = true;
  };
  try {
    // no part of a first view
    const { examine, view } = await import("./graph.tsx");
    if (isStopped) return;
    const examining = examine(files.value, file);
    stopLooking = () => {
      isStopped = true;
      examining.stop();
    };
    const graph = await examining.graph;
    if (!isStopped) looked.value = view(graph, examining);
  } catch (error) {
    if (!isStopped) looked.value = error as Error;
  }
}

function show(shown: View): void {
  view.value = shown;
  keep({ ...readAddress(location.hash, address), view: shown }, address);
}

function dropped(some: File[]): void {
  files.value = named(some);
  keep({ sample: "", view: view.value }, address);
  open();
}

async function tryOn(sample: Sample): Promise<void> {
  keep({ sample: sample.name, view: view.value }, address);
  clear();
  doing.value = `Reading ${baseOf(sample.file)}`;
  const own = turn;
  const file = await fetched(sample).catch((error: Error) => error);
  if (turn !== own) return;
  if (file instanceof Error) {
    stop();
    problem.value = file.message;
    return;
  }
  files.value = named([file]);
  await open();
}

function fromAddress(): void {
  const { sample, view: shown } = readAddress(location.hash, address);
  const found = samples.find(({ name }) => name === sample);
  if (!found) return;
  view.value = shown;
  tryOn(found);
}

function FolderButton() {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={(element) => {
          input.current = element;
          if (element) element.webkitdirectory = true;
        }}
        type="file"
        hidden
        onChange={({ currentTarget }) => {
          const chosen = [...(currentTarget.files ?? [])];
          currentTarget.value = "";
          if (chosen.length > 0) dropped(chosen);
        }}
      />
      <button type="button" class="button" onClick={() => input.current?.click()}>
        Choose a folder …
      </button>
    </>
  );
}

/** Of several files, the one that is opened. */
function Choice() {
  const paths = files.value.map(([path]) => path);
  if (paths.length < 2) return null;
  return (
    <label class="field choice">
      <span>Opened, of {paths.length.toLocaleString("en-US")} files</span>
      <select
        value={asked.value ?? ""}
        onChange={({ currentTarget }) => currentTarget.value !== "" && open(currentTarget.value)}
      >
        {asked.value === undefined && <option value="">choose one</option>}
        {paths.map((path) => (
          <option key={path} value={path}>
            {path}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Of a file with a graph: its normalizations with their weights, or the graph. */
function Views({ hasGraph }: Inspected) {
  const of = looked.value;
  if (!hasGraph) return null;
  const text = of === undefined ? "…" : of instanceof Error ? "cannot be read" : of.text;
  const views: [View, string][] = [
    ["norms", "Normalizations and weights"],
    ["graph", `In its graph: ${text}`],
  ];
  return (
    <fieldset class="pills views">
      <legend class="unseen">What is shown</legend>
      {views.map(([name, label]) => (
        <label key={name}>
          <input type="radio" name="view" checked={view.value === name} onChange={() => show(name)} />
          {label}
        </label>
      ))}
    </fieldset>
  );
}

function Shown({ inspected }: { inspected: Inspected }) {
  const of = looked.value;
  if (view.value === "norms" || !inspected.hasGraph) return <Inspection {...inspected} />;
  if (of === undefined) return <p class="doing">Reading its graph …</p>;
  return of instanceof Error ? <Problem text={of.message} /> : <of.View />;
}

const Samples = () => (
  <>
    <span>or try it on</span>
    {samples.map((sample) => (
      <button type="button" class="button" key={sample.name} onClick={() => tryOn(sample)}>
        {sample.label}
      </button>
    ))}
  </>
);

function Page() {
  const inspected = found.value;
  return (
    <>
      {!inspected && (
        <>
          <h1>Your model</h1>
          <p class="lead">
            Drop the file of a trained network: every normalization in it with its settings, its weights and
            running statistics from the first layer to the last, and what is wrong with them. An ONNX file is
            mended, too.
          </p>
        </>
      )}
      <div class={inspected ? "intake compact" : "intake"}>
        <Drop
          what={
            inspected
              ? "Another model"
              : "A model of PyTorch, Keras, TensorFlow, TensorFlow.js, MXNet or ONNX"
          }
          multiple
          onFiles={dropped}
        />
        <div class="buttons">
          <FolderButton />
          <Samples />
        </div>
      </div>
      <p role="status" class={inspected ? "unseen" : "doing"}>
        {doing.value ? `${doing.value} …` : told.value}
      </p>
      {doing.value && (
        <button type="button" class="button" onClick={stop}>
          Stop
        </button>
      )}
      <Problem text={problem.value} />
      <Choice />
      {inspected && <Views {...inspected} />}
      {inspected && <Shown inspected={inspected} />}
      {!inspected && <Formats />}
    </>
  );
}

render(<Page />, document.getElementById("main") as HTMLElement);
fromAddress();
addEventListener("hashchange", fromAddress);
// a file that misses its place would be opened instead of the page
for (const name of ["dragover", "drop"] as const) addEventListener(name, (event) => event.preventDefault());
// a page that is kept to come back to reads nothing meanwhile
addEventListener("pagehide", stop);
