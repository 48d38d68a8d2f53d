/** The options of the command line that a recipe's settings amount to. */
import type { Recipe } from "./recipe.js";

/** An option as it is typed, with its value; null where it has none. */
export type Typed = readonly (readonly [option: string, value: string | null])[];

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** Those of `compare`, in the order of the recipe; undefined where its data are changed first, for which there are none. */
export function optionsOf({ data, reading, choices }: Recipe): Typed | undefined {
  if (reading.disturb !== undefined) return undefined;
  const { sweep, own, ...settings } = { ...reading, ...choices };
  return [
    ["--data", data],
    ...Object.entries(settings).flatMap(([name, value]) => optionOf(name, value)),
    ...(sweep === undefined
      ? []
      : ([
          ["--sweep", sweep.setting],
          ["--sweep", sweep.values.join()],
        ] satisfies Typed)),
  ];
}

function optionOf(name: string, value: unknown): [string, string | null][] {
  const option = `--${kebab(name)}`;
  if (value === undefined) return [];
  if (value === true) return [[option, null]];
  if (value === false) return [[`--no-${kebab(name)}`, null]];
  switch (name) {
    case "image":
      return [[option, (value as number[]).join("x")]];
    case "shares":
      return [["--parts", (value as number[]).map((share) => Number((100 * share).toPrecision(12))).join()]];
    default:
      return [[option, String(value)]];
  }
}
