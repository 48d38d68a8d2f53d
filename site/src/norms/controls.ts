/** The options of a normalization as controls, from its defaults and from what it says itself of values that do not fit. */
import { axisNames } from "../../../scripts/docs/influence.mjs";
import type { Subject } from "./experiment.ts";

export type Control = { readonly name: string; readonly value: unknown } & (
  | { readonly kind: "boolean" }
  /** `none`: what stands there where it has no number. */
  | { readonly kind: "number"; readonly none?: string }
  | { readonly kind: "choice"; readonly choices: readonly Choice[] }
);

export interface Choice {
  readonly value: unknown;
  readonly label: string;
}

/** A control for each option; `value` is what the page begins with. */
export function controlsOf(subject: Subject): Control[] {
  const { factory, options } = subject;
  return Object.entries(factory.defaults).flatMap(([name, fallback]): Control[] => {
    const value = options[name] ?? fallback;
    if (name === "axis") {
      const choices = axesOf(subject);
      return choices.length > 1 ? [{ name, value, kind: "choice", choices }] : [];
    }
    if (typeof fallback === "boolean") return [{ name, value, kind: "boolean" }];
    if (typeof fallback === "string") {
      const choices = namedBy(subject, name).map((choice) => ({ value: choice, label: choice }));
      if (choices.length > 0) return [{ name, value, kind: "choice", choices }];
      return [{ name, value: undefined, kind: "number", none: fallback }];
    }
    if (typeof fallback === "number") return [{ name, value, kind: "number" }];
    return fallback === undefined ? [{ name, value, kind: "number", none: "none" }] : [];
  });
}

/**
 * The names that an option takes: the error for one that it does not take lists them, those that what it is made of takes among them. One
 * that only needs another option beside is one too.
 */
function namedBy({ factory, options, about }: Subject, name: string): string[] {
  const refusal = (choice: string): string | undefined => {
    try {
      factory({ ...options, [name]: choice });
    } catch (error) {
      const [, list] = (error as Error).message.split(`${about.name}: ${name} must be `);
      return list?.split(", got")[0];
    }
    return undefined;
  };
  const listed = [...(refusal("?") ?? "").matchAll(/"([^"]+)"/g)].map(([, choice]) => choice);
  return listed.filter((choice) => refusal(choice) === undefined);
}

/** The axes, and pairs of neighbours, with which it takes these inputs. */
function axesOf({ factory, options, shapes, about }: Subject): Choice[] {
  const [shape] = shapes;
  const names = axisNames(shape, about.takes);
  const last = shape.length - 1;
  const single = [...shape.keys()].reverse().map((axis) => (axis === last ? -1 : axis));
  const pairs = shape.length > 2 ? [[-2, -1]] : [];
  return [...single, ...pairs].flatMap((axis) => {
    try {
      factory({ ...options, axis }).weights(...shapes);
    } catch {
      return [];
    }
    const of = [axis].flat().map((one) => names.at(one));
    return [
      { value: axis, label: `${String([axis].flat().join(", ")).replaceAll("-", "−")}: ${of.join(", ")}` },
    ];
  });
}
