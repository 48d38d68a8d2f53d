/** A network's graph as a page: what `evenkeel doctor --html` shows, and the file mended. */
import { count, listed, typed } from "@evenkeel/report/format";
import type { FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Command } from "../ui/command.tsx";
import { Markup } from "../ui/markup.tsx";
import { Problem } from "../ui/problem.tsx";
import { save } from "../ui/save.ts";
import type { Graph, Mendable, Mended, Mending } from "./examiner.ts";
import { commandOf, type Examining } from "./examining.ts";
import { baseOf } from "./reading.ts";

export { examine } from "./examining.ts";

/** A graph that was looked at. */
export interface Looked {
  /** What is said of it in a few words. */
  text: string;
  View: FunctionComponent;
}

export const view = (graph: Graph, examining: Examining): Looked => ({
  text: graphText(graph),
  View: () => <GraphView graph={graph} examining={examining} />,
});

/** "24 written out, 3 ill": what is said of it before it is looked at. */
export function graphText({ norms, writtenOut, sick }: Graph): string {
  if (norms === 0) return "no normalization";
  const parts = [
    ...(writtenOut > 0 ? [`${writtenOut.toLocaleString("en-US")} written out`] : []),
    ...(sick > 0 ? [`${sick.toLocaleString("en-US")} ill`] : []),
  ];
  return parts.length > 0 ? parts.join(", ") : "all well";
}

function GraphView({ graph, examining }: { graph: Graph; examining: Examining }) {
  const { file, opset } = graph;
  const [mending, setMending] = useState(graph.usual);
  const [mended, setMended] = useState<Mended | undefined>(undefined);
  const { page, json, style, head, body } = mended ?? graph;
  return (
    <article class="inspection" aria-label={`The graph of ${file}`}>
      <style>{style}</style>
      <Markup html={head} class="page" />
      {opset !== undefined && (
        <Mend
          graph={graph}
          opset={opset}
          examining={examining}
          mending={mending}
          mended={mended}
          onMending={(changed) => {
            setMending(changed);
            setMended(undefined);
          }}
          onMended={setMended}
        />
      )}
      <div class="buttons save">
        <button type="button" class="button" onClick={() => save(`${baseOf(file)}.doctor.html`, page)}>
          Save this page
        </button>
        <button type="button" class="button" onClick={() => save(`${baseOf(file)}.doctor.json`, json)}>
          Save the numbers
        </button>
      </div>
      <Markup html={body} class="page" />
      <section class="further" aria-labelledby="further">
        <h2 id="further">Further</h2>
        <p>The same on the command line, on inputs of your own by --inputs; --html writes this page:</p>
        <Command text={commandOf(file, mending, typed)} label="Command" />
      </section>
    </article>
  );
}

interface MendProps {
  graph: Graph;
  opset: number;
  examining: Examining;
  mending: Mending;
  mended: Mended | undefined;
  onMending(mending: Mending): void;
  onMended(mended: Mended | undefined): void;
}

function Mend({ graph, opset, examining, mending, mended, onMending, onMended }: MendProps) {
  const { missing, opsets } = graph;
  const [mendable, setMendable] = useState<Mendable[] | undefined>(undefined);
  const [doing, setDoing] = useState<string | undefined>(undefined);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  useEffect(() => {
    let isLate = false;
    examining.mendable(mending).then(
      (found) => !isLate && setMendable(found),
      (error: Error) => !isLate && setProblem(error.message),
    );
    return () => {
      isLate = true;
    };
  }, [examining, mending]);
  const start = async () => {
    onMended(undefined);
    setProblem(undefined);
    setDoing("Loading ONNX Runtime");
    try {
      onMended(
        await examining.mend(mending, (stage) =>
          setDoing(stage.replace(/^./, (first) => first.toUpperCase())),
        ),
      );
    } catch (error) {
      setProblem((error as Error).message);
    }
    setDoing(undefined);
  };
  const isBusy = doing !== undefined;
  return (
    <section class="card mend" aria-labelledby="mend">
      <h2 id="mend">Mend it</h2>
      <Mendables all={mendable} />
      {missing.length > 0 ? (
        <p>To mend it, drop it with what its tensors lie in: {listed(missing.slice(0, MOST_NAMED))}.</p>
      ) : (
        <>
          <fieldset class="controls" disabled={isBusy}>
            <label class="field">
              <span>Operators of ONNX</span>
              <select
                value={mending.opset ?? ""}
                disabled={opsets.length === 0}
                onChange={({ currentTarget: { value } }) =>
                  onMending({ ...mending, opset: value === "" ? undefined : Number(value) })
                }
              >
                <option value="">opset {opset}, its own</option>
                {opsets.map((to) => (
                  <option key={to} value={to}>
                    opset {to}
                  </option>
                ))}
              </select>
            </label>
            <label class="field">
              <span>To run in</span>
              <select
                value={mending.forRuntime ? "onnxruntime" : ""}
                onChange={({ currentTarget: { value } }) =>
                  onMending({ ...mending, forRuntime: value !== "" })
                }
              >
                <option value="">any runtime</option>
                <option value="onnxruntime">ONNX Runtime, with its own operators</option>
              </select>
            </label>
          </fieldset>
          <div class="buttons">
            {/* one button, so that the focus stays */}
            <button
              type="button"
              class={isBusy ? "button" : "button strong"}
              onClick={isBusy ? () => examining.stopMending() : start}
            >
              {isBusy ? "Stop" : "Mend and check"}
            </button>
          </div>
          <p class="note" role="status">
            {isBusy ? `${doing} …` : mended ? doneText(mended) : ABOUT}
          </p>
          {mended && <Files mended={mended} />}
        </>
      )}
      {problem !== undefined && <Problem text={problem} />}
    </section>
  );
}

/** The headline has the rest. */
const doneText = ({ files, headline }: Mended): string =>
  files.length > 0 ? `${headline}.` : "It stays as it is: nothing was mended.";

const ABOUT =
  "Before and after are run in ONNX Runtime, here in the page, and compared; what does harm is taken back. It is loaded for that (4 MB).";
/** Names in a sentence. */
const MOST_NAMED = 5;

function Mendables({ all }: { all: Mendable[] | undefined }) {
  if (all === undefined) return <p>Looking for what can be mended …</p>;
  if (all.length === 0)
    return <p>There is nothing to mend by these settings; checked, it tells what its normalizations meet.</p>;
  return (
    <ul>
      {all.slice(0, MOST_NAMED).map(({ title, count: number }) => (
        <li key={title}>
          {number > 1 && `${number.toLocaleString("en-US")} × `}
          {title}
        </li>
      ))}
      {all.length > MOST_NAMED && <li>and {count(all.length - MOST_NAMED, "other kind")}</li>}
    </ul>
  );
}

const Files = ({ mended: { files, beside } }: { mended: Mended }) =>
  files.length === 0 ? null : (
    <>
      <div class="buttons">
        {files.map(({ name, contents }) => (
          <button type="button" class="button strong" key={name} onClick={() => save(name, contents)}>
            Save {name}
          </button>
        ))}
      </div>
      {beside.length > 0 && (
        <p class="note">
          It goes on reading {listed(beside.slice(0, MOST_NAMED))}: keep{" "}
          {beside.length === 1 ? "that file" : "those files"} in its folder.
        </p>
      )}
    </>
  );
