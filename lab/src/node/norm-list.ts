/** `evenkeel norms`: every normalization, with what it does. */
import { wrap } from "@evenkeel/report/format";
import type { About } from "evenkeel";
import { fits, modelNames, models, modelsFor } from "../models/registry.js";
import { aboutOf, normNames, usualNorms } from "../norms.js";
import { entryText } from "./entry.js";

type Takes = About["takes"];

const HEADS: readonly (readonly [Takes, string])[] = [
  ["features", "For any array [batch, ..., features]"],
  ["positions", "For images and sequences, with positions"],
  ["condition", "With a second input, the condition"],
  ["weight", "For the weights of a layer"],
  ["sequence", "Layers of sequences"],
  ["forecast", "Around the network of a forecast"],
];

/** Every normalization in lines of at most `width` characters, grouped by what it takes. */
export function listText(width: number): string {
  const all = normNames.flatMap((norm) => {
    const about = aboutOf(norm);
    return about ? [{ norm, ...about }] : [];
  });
  const parts = HEADS.flatMap(([takes, head]) => {
    const own = all.filter((each) => each.takes === takes);
    if (own.length === 0) return [];
    const column = Math.max(...own.map(({ norm }) => norm.length)) + 4;
    const kinds = modelNames.filter((name) => own.some(({ norm }) => fits(norm, models[name])));
    const trains = kinds.length > 0 ? `compare: ${kinds.join(", ")}` : "not in compare";
    const lines = own.map(({ norm, summary }) => {
      const isOut = kinds.length > 0 && modelsFor(norm).length === 0;
      const text = isOut ? `not in compare: ${summary}` : summary;
      return entryText(norm, text, column, width);
    });
    return [wrap(`${head} (${trains})`, width), ...lines, ""];
  });
  return [
    ...parts,
    wrap(
      `evenkeel compare --norms takes these names separated by commas, none for a network without normalization, or all; ` +
        `by default it compares ${usualNorms.join(", ")}. In networks of blocks with a residual, post-layer stands after ` +
        "each sum instead of before each part, sandwich-layer before and after each part, reordered-layer on what each part gives, and " +
        "qk-layer on queries and keys too; layer+reversible-instance joins one between the layers with one around the network.",
      width,
    ),
  ].join("\n");
}
