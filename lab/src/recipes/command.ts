/** The arguments of the command line that a recipe's settings amount to. */
import type { Limits } from "../data/table.js";
import type { Recipe } from "./recipe.js";

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** Those of `compare`, in the order of the recipe; undefined where its data are changed first, for which there are none. */
export function argumentsOf({
  data,
  reading,
  choices,
}: Pick<Recipe, "data" | "reading" | "choices">): string[] | undefined {
  if (reading.disturb !== undefined) return undefined;
  const { sweep, own, ...settings } = { ...reading, ...choices };
  return [
    "--data",
    data,
    ...Object.entries(settings).flatMap(([name, value]) => argumentsFor(name, value)),
    ...(sweep === undefined ? [] : ["--sweep", sweep.setting, sweep.values.join()]),
  ];
}

function argumentsFor(name: string, value: unknown): string[] {
  const option = `--${kebab(name)}`;
  if (value === undefined) return [];
  switch (name) {
    case "header":
      return [option, value === true ? "yes" : "no"];
    case "delimiter":
      return [option, value === "\t" ? "tab" : value === " " ? "space" : String(value)];
    case "image":
      return [option, (value as number[]).join("x")];
    case "shares":
      return ["--parts", (value as number[]).map((share) => Number((100 * share).toPrecision(12))).join()];
    // names, which may hold commas
    case "ignore":
    case "keep":
    case "categorical":
    case "numeric":
      return (value as string[]).flatMap((column) => [option, column]);
    case "limits": {
      const { bytes, cells } = value as Partial<Limits>;
      return [...argumentsFor("maxBytes", bytes), ...argumentsFor("maxCells", cells)];
    }
  }
  if (value === true) return [option];
  if (value === false) return [`--no-${kebab(name)}`];
  return [option, String(value)];
}
