/** What an experiment is as a program of one's own, for each host, from one description of the call. */
import type { Experiment, Results } from "./experiment.ts";
import type { State } from "./state.ts";

export type Host = "plain" | "tensorflow" | "jax";

export const hosts: Readonly<Record<Host, string>> = {
  plain: "TypeScript",
  tensorflow: "TensorFlow.js",
  jax: "jax-js",
};

interface Call {
  readonly factory: string;
  /** As source: `groupNorm({ groups: 2 })`. */
  readonly norm: string;
  /** What is to be said of it, as a comment. */
  readonly note: string;
  readonly inputs: readonly Constant[];
  readonly weights: readonly Constant[];
  readonly dy: Constant;
  readonly training: boolean;
}

interface Constant {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** An option that only layers can follow in these hosts, whose functions store no state in the backward pass. */
const STORES = "control";

/** The call: inputs, trained weights, and of what is stored that which was changed; the rest begins as it does by itself. */
function callOf(
  host: Host,
  { subject, options }: Experiment,
  results: Results,
  { edits, training }: State,
): Call {
  const { about, factory } = subject;
  const stores = host !== "plain" && (options[STORES] ?? factory.defaults[STORES]) === true;
  const settled = stores ? { ...options, [STORES]: false } : options;
  return {
    factory: about.name,
    norm: `${about.name}(${literal(settled)})`,
    note: stores
      ? " // a function stores no state in the backward pass; a layer does, and has the control"
      : "",
    inputs: results.inputs,
    weights: results.weights.filter(({ trained, key }) => trained || edits[key] !== undefined),
    dy: results.dy,
    training,
  };
}

/** `{ groups: 2, guard: "root" }`, or nothing. */
function literal(options: Readonly<Record<string, unknown>>): string {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  if (given.length === 0) return "";
  return `{ ${given.map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join(", ")} }`;
}

const WIDTH = 110;

/** `before`numbers`after`, broken into lines where it is long. */
function wrapped(before: string, { data }: Constant, after: string): string {
  const numbers = Array.from(data, String);
  const flat = `${before}${numbers.join(", ")}${after}`;
  if (flat.length <= WIDTH) return flat;
  const lines = [" "];
  for (const [i, number] of numbers.entries()) {
    const text = ` ${number},`;
    const last = lines.length - 1;
    if (lines[last].length + text.length > WIDTH) lines.push(` ${text}`);
    else lines[last] += text;
    if (i === numbers.length - 1) lines[lines.length - 1] = lines[lines.length - 1].slice(0, -1);
  }
  return `${before}\n${lines.join("\n")}\n${after}`;
}

const list = (constants: readonly Constant[]) =>
  constants.length === 1 ? constants[0].name : `[${constants.map(({ name }) => name).join(", ")}]`;

/** What follows the inputs in a call. */
function rest({ weights, training }: Call, given: string): string {
  if (!training) return `, ${weights.length > 0 ? given : "{}"}, { training: false }`;
  return weights.length > 0 ? `, ${given}` : "";
}

/** The weights as an object of constants. */
const fields = (weights: readonly Constant[], of: (weight: Constant, name: string) => string) =>
  weights.map((weight) => `  ${of(weight, `${weight.name}: `).replaceAll("\n", "\n  ")},\n`).join("");

export const codeOf = (host: Host, experiment: Experiment, results: Results, state: State): string =>
  ({ plain, tensorflow, jax })[host](callOf(host, experiment, results, state));

function plain(call: Call): string {
  const { factory, norm, inputs, weights, dy } = call;
  const array = (one: Constant) =>
    wrapped(`const ${one.name} = { shape: [${one.shape.join(", ")}], data: Float32Array.of(`, one, ") };");
  const values = (weight: Constant, before: string) => wrapped(`${before}Float32Array.of(`, weight, ")");
  return `import { ${["apply", factory, "open"].sort().join(", ")} } from "evenkeel";

const ek = await open();
${inputs.map(array).join("\n")}
${weights.length > 0 ? `const weights = {\n${fields(weights, values)}};\n` : ""}
const { y, backward } = apply(ek, ${norm}, ${list(inputs)}${rest(call, "weights")});
console.log(y.data);

${wrapped("const dy = Float32Array.of(", dy, ");")}
const { dx } = backward({ shape: y.shape, data: dy });
console.log(dx.data);
`;
}

function tensorflow(call: Call): string {
  const { factory, norm, note, inputs, weights, dy } = call;
  const values = (one: Constant, before: string) =>
    wrapped(`${before}tf.tensor([`, one, `], [${one.shape.join(", ")}])`);
  const tensor = (one: Constant) => `${values(one, `const ${one.name} = `)};`;
  return `import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu"; // any other backend runs it too
import { ${factory} } from "evenkeel";
import { apply } from "evenkeel/tfjs";

${inputs.map(tensor).join("\n")}
${weights.length > 0 ? `const weights = {\n${fields(weights, values)}};\n` : ""}
const norm = ${norm};${note}
const f = (x: tf.Tensor) => apply(norm, ${list(inputs)}${rest(call, "weights")}).y;
console.log(f(x).dataSync());

${tensor(dy)}
const dx = tf.grad(f)(x, dy);
console.log(dx.dataSync());
`;
}

/** Each use of an array consumes it. */
function jax(call: Call): string {
  const { factory, norm, note, inputs, weights, dy } = call;
  const values = (one: Constant, before: string) => {
    const shape = one.shape.length > 1 ? `.reshape([${one.shape.join(", ")}])` : "";
    return wrapped(`${before}np.array([`, one, `])${shape}`);
  };
  const array = (one: Constant) => `${values(one, `const ${one.name} = `)};`;
  const [, ...beside] = inputs;
  const called = beside.length === 0 ? "x" : `[x, ${beside.map(({ name }) => `${name}.ref`).join(", ")}]`;
  return `import { grad, init, numpy as np } from "@jax-js/jax";
import { ${factory} } from "evenkeel";
import { apply } from "evenkeel/jax";

await init("wasm");
${inputs.map(array).join("\n")}
${weights.length > 0 ? `const weights = () => ({\n${fields(weights, values)}});\n` : ""}
const norm = ${norm};${note}
const f = (x: np.Array) => apply(norm, ${called}${rest(call, "weights()")}).y;
console.log(f(x.ref).js());

${array(dy)}
const dx = grad((x: np.Array) => f(x).mul(dy.ref).sum())(x);
console.log(dx.js());
`;
}
