/** What runs, how far it has come, and its buttons. */
import type { ComponentChildren } from "preact";
import { leftText } from "./live.tsx";
import type { Session } from "./session.ts";

/** @param status instead of the session's own @param before buttons that come first @param after those that come last */
export function Toolbar({
  session,
  status,
  before,
  after,
}: {
  session: Session;
  status?: string;
  before?: ComponentChildren;
  after?: ComponentChildren;
}) {
  const view = session.view.value;
  const paused = session.paused.value;
  const running = session.busy.value;
  return (
    <div class="toolbar">
      <div class="buttons">
        {before}
        <button
          type="button"
          class={before === undefined ? "button strong" : "button"}
          disabled={!running}
          onClick={paused ? session.go : session.pause}
        >
          {paused ? "Go on" : "Pause"}
        </button>
        <button type="button" class="button" disabled={!running || !paused} onClick={session.step}>
          One step
        </button>
        {after}
      </div>
      <p class="status" role="status">
        {status ?? statusText(session)}
      </p>
      <p class="left" aria-hidden="true">
        {running && !paused && view?.state === "running" ? leftText(view.secondsLeft) : ""}
      </p>
      <div class="bar" aria-hidden="true">
        <div style={{ "--done": view?.done ?? 0 }} />
      </div>
    </div>
  );
}

/** What a screen reader is told: begins, waits, ends; not each step. */
function statusText({ problem, view: seen, paused, busy, loaded: data }: Session): string {
  if (problem.value) return "Stopped.";
  const view = seen.value;
  if (paused.value && busy.value) return "Paused.";
  if (view?.state === "finished" && !busy.value) return "Finished.";
  if (view?.state === "stopped") return "Stopped.";
  const loaded = data.value;
  if (!loaded || (busy.value && !view)) return "Loading …";
  if (!view) return "";
  const networks = view.trials.length;
  return `Training ${networks === 1 ? "one network" : `${networks} networks`} on ${loaded.name} …`;
}
