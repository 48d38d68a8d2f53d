/** A comparison as it goes: curves, gradients and activations by depth, and the report's table filling in; then what came out. */
import { duration } from "@evenkeel/report/format";
import { useEffect, useState } from "preact/hooks";
import type { FigureView, Report as Saved, TrialView, View } from "../desk/protocol.ts";
import { Markup } from "../ui/markup.tsx";
import { save } from "../ui/save.ts";

/** @param report gives the report of what there is by now */
export function Live({ view, name, report }: LiveProps) {
  return (
    <>
      <style>{view.style}</style>
      <Trials trials={view.trials} />
      <div class="figures live">
        {view.figures.map((figure) => (
          <LiveFigure key={figure.id} {...figure} />
        ))}
      </div>
      <section class="outcome" aria-labelledby="outcome">
        <h2 id="outcome">{view.headline ?? "The table of the report, as far as it has come"}</h2>
        {view.findings && view.findings.length > 0 && (
          <ul class="findings">
            {view.findings.map((finding) => (
              <li key={finding}>{finding}</li>
            ))}
          </ul>
        )}
        <Markup html={view.table} />
        <Report name={name} report={report} isWhole={view.state === "finished"} />
      </section>
    </>
  );
}

export interface LiveProps {
  view: View;
  /** Of the data, for the names of files. */
  name: string;
  report(): Promise<Saved | undefined>;
}

function LiveFigure({ title, qualifier, figure: { svg, notes, twin = "" } }: FigureView) {
  return (
    <figure>
      <figcaption>
        <b>{title}</b> <span>{qualifier}</span>
      </figcaption>
      <Markup class="drawing" html={svg} />
      {notes.length > 0 && <Markup class="note" html={notes.join(" ")} />}
      <Markup html={twin} />
    </figure>
  );
}

/** A line for each normalization, whatever the number of its seeds. */
function Trials({ trials }: { trials: readonly TrialView[] }) {
  const norms = [...new Set(trials.map(({ norm }) => norm))];
  return (
    <ul class="trials" aria-label="Networks in training">
      {norms.map((norm) => {
        const own = trials.filter((trial) => trial.norm === norm);
        const done = own.reduce((sum, trial) => sum + trial.done, 0) / own.length;
        return (
          <li key={norm}>
            <b style={{ borderColor: `var(--n-${norm.replaceAll("+", "--")})` }}>{own[0]?.label}</b>
            <progress max={1} value={done} aria-label={`${own[0]?.label}: done`} />
            <span>{stateText(own)}</span>
          </li>
        );
      })}
    </ul>
  );
}

/** "epoch 7, 81.0 %", "3 of 5 seeds, 81.0 %", "diverged". */
function stateText(trials: readonly TrialView[]): string {
  const [trial] = trials;
  const ended = trials.filter(({ state }) => state === "finished" || state === "diverged");
  const diverged = ended.filter(({ state }) => state === "diverged").length;
  if (trials.length > 1) {
    const lost = diverged > 0 ? `, ${diverged} diverged` : "";
    return `${ended.length} of ${trials.length} seeds${lost}`;
  }
  if (trial === undefined || trial.state === "waiting") return "waits";
  if (trial.state === "diverged") return `diverged in epoch ${trial.epoch}`;
  if (trial.state === "finished") return trial.metric;
  const rate = trial.learningRate === null ? "" : ` at ${Number(trial.learningRate.toPrecision(2))}`;
  return trial.epoch === 0
    ? "begins"
    : `epoch ${trial.epoch}${rate}${trial.metric === "–" ? "" : `, ${trial.metric}`}`;
}

function Report({ name, report, isWhole }: Pick<LiveProps, "name" | "report"> & { isWhole: boolean }) {
  const [shown, setShown] = useState<string>();
  const show = async () => setShown((await report())?.html);
  // one that is open is of what stands above it
  useEffect(() => {
    if (shown !== undefined) show();
  }, [isWhole]);
  const file = `evenkeel-${name.replace(/\.[^.]*$/, "").replaceAll(/[^\w-]+/g, "-")}`;
  const keep = async (part: keyof Saved, type: string) => {
    const saved = await report();
    if (saved) save(`${file}.${part}`, new Blob([saved[part]], { type }));
  };
  return (
    <>
      <div class="buttons">
        <button
          type="button"
          class={isWhole ? "button strong" : "button"}
          onClick={() => keep("html", "text/html")}
        >
          Save the report
        </button>
        <button type="button" class="button" onClick={() => keep("json", "application/json")}>
          Save the numbers
        </button>
        <button
          type="button"
          class="button"
          aria-expanded={shown !== undefined}
          onClick={() => (shown === undefined ? show() : setShown(undefined))}
        >
          {shown === undefined ? "Show the report here" : "Hide the report"}
        </button>
      </div>
      {shown !== undefined && <WholeReport html={shown} />}
    </>
  );
}

/** The report in a frame of its own, as high as it is; it holds no script. */
function WholeReport({ html }: { html: string }) {
  const [height, setHeight] = useState(800);
  return (
    <iframe
      class="report"
      title="The report"
      sandbox="allow-same-origin"
      srcDoc={html}
      style={{ height: `${height}px` }}
      onLoad={({ currentTarget }) => {
        const root = currentTarget.contentDocument?.documentElement;
        if (!root) return;
        const fit = () => setHeight(Math.ceil(root.getBoundingClientRect().height) + 2);
        new ResizeObserver(fit).observe(root);
        fit();
      }}
    />
  );
}

/** "12 s left" */
export const leftText = (seconds: number | null): string =>
  seconds === null ? "" : `about ${duration(Math.max(1, Math.round(seconds)))} left`;
