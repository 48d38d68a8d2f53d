/** An inspection as a page: what `evenkeel inspect --html` shows, and what to do with it. */
import { typed } from "@evenkeel/report/format";
import { Command } from "../ui/command.tsx";
import { Markup } from "../ui/markup.tsx";
import { save } from "../ui/save.ts";
import type { Inspected } from "./inspector.ts";
import { baseOf } from "./reading.ts";

export const Inspection = ({ file, style, body, page, json, kinds }: Inspected) => (
  <>
    <div class="buttons save">
      <button type="button" class="button" onClick={() => save(`${baseOf(file)}.inspection.html`, page)}>
        Save this page
      </button>
      <button type="button" class="button" onClick={() => save(`${baseOf(file)}.inspection.json`, json)}>
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
