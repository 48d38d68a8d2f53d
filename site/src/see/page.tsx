/** "See it work": a comparison that runs as the page opens, and the controls that change it. */
import "virtual:report.css";
import "../ui/style.css";
import "../live/style.css";
import "./style.css";
import facts from "virtual:facts";
import { effect, signal } from "@preact/signals";
import { render } from "preact";
import { modelOf, Norms } from "../live/controls.tsx";
import { Live } from "../live/live.tsx";
import { openSession } from "../live/session.ts";
import { Toolbar } from "../live/toolbar.tsx";
import { keep, read } from "../ui/address.ts";
import { Command } from "../ui/command.tsx";
import { Problem } from "../ui/problem.tsx";
import { Settings, Stress } from "./controls.tsx";
import { Questions, Verdict } from "./questions.tsx";
import {
  type Asked,
  askedOf,
  commandOf,
  comparedOf,
  fields,
  readingOf,
  type State,
  stateOfRecipe,
} from "./state.ts";

/** ms without a change before the comparison begins anew. */
const SETTLED = 400;

const state = signal<State>(read(location.hash, fields));
const asked = signal<Asked | undefined>(undefined);
const session = openSession();
/** Whether the page has been shown: what is far down can wait for it. */
const opened = signal(false);

const recipeOf = ({ recipe }: State) => facts.recipes.find(({ name }) => name === recipe);

function begin(anew = false): void {
  const now = state.peek();
  const recipe = recipeOf(now);
  const { data, reading } = recipe ?? { data: now.data, reading: readingOf(now) };
  session.begin({ source: { name: data }, reading }, ({ models, model }) => {
    const name = now.model || model;
    const chosen = models.find((each) => each.name === name) ?? models[0];
    const own: Asked = recipe ?? askedOf(now, chosen);
    asked.value = own;
    return {
      choices: own.choices,
      backend: now.backend,
      command: commandOf(own) ?? `evenkeel recipe ${now.recipe}`,
      ...(recipe && { recipe: recipe.name }),
      anew,
    };
  });
}

let settling: ReturnType<typeof setTimeout> | undefined;

function change(part: Partial<State>): void {
  const now = state.peek();
  const recipe = recipeOf(now);
  state.value = { ...(recipe ? stateOfRecipe(now, recipe) : now), ...part };
  keep(state.value, fields);
  clearTimeout(settling);
  settling = setTimeout(begin, SETTLED);
}

function ask(recipe: string): void {
  state.value = { ...state.peek(), recipe };
  keep(state.value, fields);
  clearTimeout(settling);
  begin();
}

addEventListener("hashchange", () => {
  state.value = read(location.hash, fields);
  begin();
});
// a page that is kept to come back to trains nothing meanwhile
addEventListener("pagehide", () => session.close());
addEventListener("pageshow", ({ persisted }) => {
  if (persisted && session.view.value?.state !== "finished") begin();
});
// for whoever waits for the end from outside
effect(() => {
  document.documentElement.dataset.state = session.problem.value
    ? "problem"
    : (session.view.value?.state ?? "loading");
});

function Page() {
  const now = state.value;
  const recipe = recipeOf(now);
  const view = session.view.value;
  const loaded = session.loaded.value;
  const command = asked.value && (commandOf(asked.value) ?? `evenkeel recipe ${now.recipe}`);
  return (
    <>
      <h1>See what normalization does to training</h1>
      <p class="lead">
        One deep network, trained side by side under several normalizations, here in your browser. Everything
        else is the same: the data, the initial weights, the order of the examples.
      </p>
      <Norms
        state={{ ...now, norms: comparedOf(now, modelOf(now, loaded)) }}
        loaded={loaded}
        onChange={change}
      />
      <div class="stage">
        <div class="panel">
          <Stress state={now} loaded={loaded} onChange={change} />
          <Settings state={now} loaded={loaded} onChange={change} />
        </div>
        <div class="live-part">
          <Toolbar
            session={session}
            after={
              <button type="button" class="button" onClick={() => begin(true)}>
                Again
              </button>
            }
          />
          <Problem text={session.problem.value} />
          {recipe && view?.answers && <Verdict recipe={recipe} answers={view.answers} />}
          {view && <Live view={view} name={loaded?.name ?? now.data} report={session.report} />}
          {!view && !session.problem.value && <Waiting />}
        </div>
      </div>
      {command && (
        <section aria-labelledby="again">
          <h2 id="again">The same numbers, elsewhere</h2>
          <p class="lead">
            This page’s address holds all settings: whoever opens it trains the same networks, with the same
            numbers. So does the command line, on threads and on all of your memory
            {now.backend === "wasm"
              ? ""
              : `, up to the last digits, which ${now.backend} rounds in its own way`}
            :
          </p>
          <Command label="Command" text={command} />
        </section>
      )}
      {opened.value && <Questions current={now.recipe} onAsk={ask} />}
    </>
  );
}

function Waiting() {
  return (
    <div class="waiting">
      <p>The first networks begin in a moment: TensorFlow.js and the kernels are being loaded.</p>
    </div>
  );
}

render(<Page />, document.getElementById("main") as HTMLElement);
begin();
setTimeout(() => {
  opened.value = true;
});
