/**
 * What a normalization measures on its way, told by itself: its formula runs on a host's operations as always, and each
 * standardization (mean, variance, xHat) and each reduction that it makes is one more output of the same program. No formula is
 * written here.
 */
import type { Normalization } from "evenkeel";

type Apply = Normalization["apply"];
type AnyOps = Parameters<Apply>[0];
type Shape = readonly number[];

/** An output of a step. */
export interface Part {
  /** `mean`, `variance`, `mean square` or `xHat`; of a reduction, its own name: `r₁`. */
  readonly name: string;
  readonly shape: Shape;
  /** Its place in what the program gives as `more`. */
  readonly output: number;
}

/** A standardization or a reduction, in the order of the formula. */
export interface Step {
  readonly kind: "standardized" | "reduced";
  /** What later steps call its result: `xHat₁`, `s₁` where gamma and beta follow, `r₁`. */
  readonly name: string;
  /** What was standardized or reduced, in terms of inputs, weights and steps before: `x`, `(x − r₁)²`. */
  readonly of: string;
  /** Its shape. */
  readonly shape: Shape;
  /** The reduction: `mean`, `sum`, `largest`, `window sum`; of a standardization: absent. */
  readonly how?: string;
  /** The axes that were reduced. */
  readonly axes?: readonly number[];
  /** Whether a standardization was given its statistics instead of measuring them. */
  readonly given?: boolean;
  readonly parts: readonly Part[];
}

/** A normalization that gives what it measures, and what that is. It is for inputs of one shape. */
export interface Explained {
  readonly norm: Normalization;
  /** Of a run in training or in evaluation, once there was one. */
  steps(training: boolean): readonly Step[];
}

/** Steps that can be followed; a formula of ten thousand would take all of the page's memory. */
const MOST_STEPS = 100;
/** Longer expressions are named by what they are made of. */
const LONGEST = 40;

/**
 * @param names of the inputs: x, and what it takes beside
 * @throws RangeError when it runs, where it takes more steps than can be followed
 */
export function explained(norm: Normalization, names: readonly string[]): Explained {
  // a formula is traced once for each, and runs as often as it is called
  const steps = new Map<boolean, readonly Step[]>();
  const { name, handles, featureShape } = norm;
  const apply: Apply = (ops, inputs, weights, options) => {
    const record = new Recorder(ops as unknown as AnyOps);
    inputs.forEach((input, i) => {
      record.name(input, names[i]);
    });
    for (const [weight, values] of Object.entries(weights)) record.name(values, weight);
    const result = norm.apply(record.ops as unknown as typeof ops, inputs, weights, options);
    const own = result.more ?? [];
    const { outputs, made } = record.taken(own.length);
    steps.set(options.training, made);
    return { ...result, more: [...own, ...(outputs as unknown as typeof own)] };
  };
  return {
    norm: { name, handles, featureShape, weights: (...shapes) => norm.weights(...shapes), apply },
    steps: (training) => steps.get(training) ?? [],
  };
}

/** How a value came about. */
interface Label {
  readonly text: string;
  /** Whether it must be put in brackets within a product. */
  readonly loose?: boolean;
  readonly from: ReadonlySet<string>;
}

/** A reduction, until it is known whether it is divided by the number of its values. */
interface Reduced {
  readonly label: Label;
  readonly of: string;
  readonly shape: Shape;
  readonly axes: readonly number[];
  how: string;
  value: object;
}

interface Standardized {
  readonly name: string;
  readonly of: string;
  readonly shape: Shape;
  readonly given: boolean;
  readonly parts: readonly (readonly [name: string, value: object])[];
}

const DIGITS = "₀₁₂₃₄₅₆₇₈₉";
const numbered = (letter: string, n: number) =>
  letter + [...String(n)].map((digit) => DIGITS[Number(digit)]).join("");

const INFIX: Readonly<Record<string, string>> = {
  add: " + ",
  sub: " − ",
  mul: "·",
  div: " / ",
  greater: " > ",
};
/** Operations that leave a value what it is. */
const SAME = ["stop", "reshape", "rounded"];

/** Operations of a host that remember what they were called with. */
class Recorder {
  readonly ops: AnyOps;
  private readonly labels = new Map<object, Label>();
  private readonly made: (Reduced | Standardized)[] = [];
  private readonly sums = new Map<object, Reduced>();

  constructor(private readonly host: AnyOps) {
    const overridden: Record<string, unknown> = {
      normalize: this.normalize.bind(this),
      sum: this.reduction("sum"),
      largest: this.reduction("largest"),
      windowSum: host.windowSum && this.windowSum.bind(this),
      div: this.div.bind(this),
    };
    this.ops = new Proxy(host, {
      get: (_, key) => {
        const own = overridden[key as string];
        if (own !== undefined) return own;
        const operation = (host as unknown as Record<PropertyKey, unknown>)[key];
        if (typeof operation !== "function") return operation;
        return (...operands: unknown[]) => {
          const result = operation.apply(host, operands);
          this.follow(String(key), operands, result);
          return result;
        };
      },
    });
  }

  name(value: unknown, text: string): void {
    this.labels.set(value as object, { text, from: new Set([text]) });
  }

  /** What is to be given besides what the normalization gives, whose `more` has so many. */
  taken(first: number): { outputs: object[]; made: Step[] } {
    const outputs: object[] = [];
    const part = (name: string, value: object): Part => {
      outputs.push(value);
      return { name, shape: this.shapeOf(value), output: first + outputs.length - 1 };
    };
    const made = this.made.map((one): Step => {
      const { of, shape } = one;
      if ("how" in one) {
        const { how, axes, label } = one;
        return {
          kind: "reduced",
          name: label.text,
          of,
          shape,
          how,
          axes,
          parts: [part(label.text, one.value)],
        };
      }
      const parts = one.parts.map(([name, value]) => part(name, value));
      return { kind: "standardized", name: one.name, of, shape, given: one.given, parts };
    });
    return { outputs, made };
  }

  private shapeOf(value: object): Shape {
    return this.host.shape(value as never);
  }

  private normalize(...call: Parameters<AnyOps["normalize"]>) {
    const [norm, x, operands = {}] = call;
    const result = this.host.normalize(norm, x, operands);
    const { gamma, beta, ...bare } = operands;
    const plain = gamma === undefined && beta === undefined;
    const xHat = plain ? result.y : this.host.normalize(norm, x, bare).y;
    const given = operands.variance !== undefined;
    const { mean, variance } = given ? operands : result;
    const label = this.labelOf(x);
    const count = this.made.filter((one) => !("how" in one)).length + 1;
    const name = numbered(plain ? "xHat" : "s", count);
    this.add({
      name,
      of: label.text,
      shape: this.shapeOf(x as object),
      given,
      parts: [
        ...(mean === undefined ? [] : [["mean", mean as object] as const]),
        ...(variance === undefined
          ? []
          : [[norm.centered ? "variance" : "mean square", variance as object] as const]),
        ["xHat", xHat as object],
      ],
    });
    this.name(result.y, name);
    return result;
  }

  private reduction(kind: "sum" | "largest") {
    return (x: unknown, axes: readonly number[]) => {
      const result = this.host[kind](x as never, axes) as object;
      this.reduce(kind, x, axes, result);
      return result;
    };
  }

  private windowSum(x: unknown, axis: number, before: number, after: number) {
    const result = this.host.windowSum?.(x as never, axis, before, after) as unknown as object;
    this.reduce(`sum over a window of ${before + after + 1}`, x, [axis], result);
    return result;
  }

  private add(step: Reduced | Standardized): void {
    if (this.made.push(step) > MOST_STEPS)
      throw new RangeError(
        `more than ${MOST_STEPS} steps cannot be followed here; set less, or use the library`,
      );
  }

  private reduce(how: string, x: unknown, axes: readonly number[], value: object): void {
    const shape = this.shapeOf(x as object);
    const from = this.labelOf(x);
    // one that reduces nothing is none
    if (axes.every((axis) => shape[axis] === 1)) {
      this.labels.set(value, from);
      return;
    }
    if (this.sums.has(value)) return;
    const text = numbered("r", this.sums.size + 1);
    const label = { text, from: new Set([text]) };
    const reduced: Reduced = { label, of: from.text, shape, axes, how, value };
    this.sums.set(value, reduced);
    this.add(reduced);
    this.labels.set(value, label);
  }

  private div(a: unknown, b: unknown): object {
    const result = this.host.div(a as never, b as never) as object;
    const sum = this.sums.get(a as object);
    if (sum?.how === "sum" && b === sum.axes.reduce((count, axis) => count * sum.shape[axis], 1)) {
      sum.how = "mean";
      sum.value = result;
      this.labels.set(result, sum.label);
    } else this.follow("div", [a, b], result);
    return result;
  }

  private follow(operation: string, operands: readonly unknown[], result: unknown): void {
    if (typeof result !== "object" || result === null || Array.isArray(result) || this.labels.has(result))
      return;
    const [a, b, c] = operands;
    if (SAME.includes(operation)) {
      this.labels.set(result, this.labelOf(a));
      return;
    }
    if (operation === "constant") {
      const values = Array.from(a as ArrayLike<number>);
      const same = values.every((value) => value === values[0]);
      this.labels.set(result, { text: same ? shown(values[0]) : "constants", from: new Set() });
      return;
    }
    const arrays = operands.flat().filter((one) => typeof one === "number" || this.labels.has(one as object));
    const labels = arrays.map((one) => this.labelOf(one));
    const from = new Set(labels.flatMap((label) => [...label.from]));
    const [p, q] = labels;
    if (p === undefined) return;
    const tight = (label: Label) => (label.loose ? `(${label.text})` : label.text);
    let text: string;
    let loose = false;
    if (operation === "mul" && a === b) text = `${tight(p)}²`;
    else if (operation in INFIX && q !== undefined) {
      loose = operation !== "mul";
      const right = operation === "add" ? q.text : tight(q);
      const left = operation === "add" || operation === "sub" ? p.text : tight(p);
      text = left + INFIX[operation] + right;
    } else if (operation === "abs") text = `|${p.text}|`;
    else if (operation === "sqrt") text = `√${tight(p)}`;
    else if (operation === "pow") text = `${tight(p)}^${b}`;
    else if (operation === "matMul" && q !== undefined) text = `${tight(p)} × ${tight(q)}`;
    else if (operation === "transpose") text = p.text;
    else if (operation === "slice") text = `${tight(p)}[${c}…]`;
    else if (operation === "where" && c === 0) text = this.labelOf(b).text;
    else text = `${operation}(${labels.map((label) => label.text).join(", ")})`;
    if (text.length > LONGEST) {
      text = `f(${[...from].join(", ")})`;
      loose = false;
    }
    this.labels.set(result, { text, loose, from });
  }

  private labelOf(value: unknown): Label {
    if (typeof value === "number") return { text: shown(value), from: new Set() };
    return this.labels.get(value as object) ?? { text: "constants", from: new Set() };
  }
}

const shown = (value: number): string => String(Number(value.toPrecision(4))).replace("-", "−");
