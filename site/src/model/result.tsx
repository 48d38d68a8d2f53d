/** An inspection as a page: what to do with it, then what `evenkeel inspect --html` shows. */
import { typed } from "@evenkeel/report/format";
import { useMemo } from "preact/hooks";
import { Command } from "../ui/command.tsx";
import { Markup } from "../ui/markup.tsx";
import type { Inspected } from "./inspector.ts";
import { baseOf } from "./reading.ts";

export function Tools({ file, kinds, page, json }: Inspected) {
  // the same text in the same element: what was copied stays so
  const command = useMemo(() => `evenkeel inspect ${typed(file)}`, [file]);
  return (
    <div class="tools">
      <div class="buttons">
        <button type="button" class="button" onClick={() => save(page, `${baseOf(file)}.inspection.html`)}>
          Save this page
        </button>
        <button type="button" class="button" onClick={() => save(json, `${baseOf(file)}.inspection.json`)}>
          Save the numbers
        </button>
      </div>
      <Command text={command} label="Command" />
      {kinds.length > 0 && (
        <p class="kinds">
          How it works:{" "}
          {kinds.map(({ name, title }, i) => (
            <span key={name}>
              {i > 0 && " · "}
              <a href={`../norms/${name}/index.html`}>{title}</a>
            </span>
          ))}
        </p>
      )}
    </div>
  );
}

export const Inspection = ({ file, style, body }: Inspected) => (
  <article class="inspection" aria-label={`Inspection of ${file}`}>
    <style>{style}</style>
    <Markup html={body} class="page" />
  </article>
);

function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // the download has begun by then
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
