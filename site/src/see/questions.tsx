/** The lab's recipes: questions that the literature has an answer to, asked here of real data. */

import facts from "virtual:facts";
import type { Answer } from "@evenkeel/lab/recipes/answer";

type Recipe = (typeof facts.recipes)[number];

const VERDICTS = { yes: "Held", no: "Did not hold", unclear: "Not shown" } as const;

/** Whether each claim of a recipe held in these trials. */
export function Verdict({ recipe, answers }: { recipe: Recipe; answers: readonly Answer[] }) {
  return (
    <section class="verdict" aria-labelledby="verdict">
      <h2 id="verdict">{recipe.question}</h2>
      <p class="note">Claimed: {recipe.claimed}.</p>
      <ul class="findings">
        {answers.map(({ claim, held, sentence }) => (
          <li key={claim}>
            <b>{VERDICTS[held]}</b>: {claim}. {sentence}
          </li>
        ))}
      </ul>
    </section>
  );
}

export function Questions({ current, onAsk }: { current: string; onAsk(recipe: string): void }) {
  const groups = [...new Set(facts.recipes.map(({ group }) => group))];
  return (
    <section class="questions" aria-labelledby="questions">
      <h2 id="questions">Questions with an answer</h2>
      <p class="lead">
        What the literature claims about normalization, asked of real data from here on: each takes from
        seconds to a few minutes, and ends with whether the claim held.
      </p>
      {groups.map((group) => (
        <div class="group" key={group}>
          <h3>{group}</h3>
          <ul class="offers">
            {facts.recipes
              .filter((recipe) => recipe.group === group)
              .map(({ name, question, claimed }) => (
                <li key={name}>
                  <button
                    type="button"
                    aria-pressed={name === current}
                    onClick={() => {
                      onAsk(name);
                      document.getElementById("main")?.focus();
                      scrollTo({ top: 0 });
                    }}
                  >
                    {question}
                  </button>
                  <small>Claimed: {claimed}</small>
                </li>
              ))}
          </ul>
        </div>
      ))}
    </section>
  );
}
