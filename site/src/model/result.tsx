/** An inspection as a page: what `evenkeel inspect --html` shows, and what to do with it. */
import { typed } from "@evenkeel/report/format";
import { Command } from "../ui/command.tsx";
import { Markup } from "../ui/markup.tsx";
import type { Inspected } from "./inspector.ts";
import { baseOf } from "./reading.ts";

export const Inspection = ({ file, style, body, page, json, kinds }: Inspected) => (
  <>
    <div class="buttons save">
      <button type="button" class="button" onClick={() => save(page, `${baseOf(file)}.inspection.html`)}>
        Save this page
      </button>
      <button type="button" class="button" onClick={() => save(json, `${baseOf(file)}.inspection.json`)}>
        Save the numbers
      </button>
    </div>
    <article class="inspection" aria-label={`Inspection of ${file}`}>
      <style>{style}</style>
      <Markup html={body} class="page" />
    </article>
    <section class="further" aria-labelledby="further">
      <h2 id="further">Further</h2>
      {kinds.length > 0 && (
        <p>
          How {kinds.length === 1 ? "it works" : "they work"}:{" "}
          {kinds.map(({ name, title }, i) => (
            <span key={name}>
              {i > 0 && ", "}
              <a href={`../norms/${name}/index.html`}>{title}</a>
            </span>
          ))}
          .
        </p>
      )}
      <p>The same on the command line; --html writes this page:</p>
      <Command text={`evenkeel inspect ${typed(file)}`} label="Command" />
    </section>
  </>
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
