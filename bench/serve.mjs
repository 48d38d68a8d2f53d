// @ts-check
/**
 * A contestant's side of the conversation: JSON lines, one answer to each request (measure.mjs asks; peers/pytorch.py
 * answers in Python).
 *
 *     (start)                                        { about: "jax-js 0.1.25" } or { missing: why }
 *     { do: "prepare", task, inputs, copies, seed }  {} or { notOffered: why }; inputs: name to file of raw float32
 *     { do: "validate", pass, folder }               { ms, outputs: name to file, values: name to number }
 *     { do: "turn", pass, warm, times }              { ms } of one call, mean over `times`, after `warm` untimed ones
 *     { do: "close" }                                {}
 *
 * Anything that throws answers { error }; lines that are no answers, such as what a library prints, are passed over. Allocation is treated alike: a call allocates its results and gives them back.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

/**
 * @typedef {import("./cases.mjs").Case & { epsilon: number, groups: number }} Task
 * @typedef {Record<string, Float32Array>} Arrays
 * @typedef {Record<string, Float32Array | undefined>} Results
 * @typedef {object} Prepared
 * @property {Record<string, () => unknown>} passes one call of each; a promise is awaited
 * @property {Record<string, () => Results | Promise<Results>>} results of a call on the first copy, in the layout of x
 * @property {() => void} [close] gives back what `prepare` took
 */

/** What `prepare` throws where a library has no such operation. */
export class NotOffered extends Error {}

/** @param {{ about: string, prepare: (task: Task, inputs: Arrays, copies: number) => Prepared | Promise<Prepared> }} contestant */
export async function serve({ about, prepare }) {
  const answer = (/** @type {object} */ message) => process.stdout.write(`${JSON.stringify(message)}\n`);
  /** @type {Prepared | undefined} */
  let prepared;

  /** @param {any} request */
  async function handle(request) {
    if (request.do === "prepare") {
      /** @type {Arrays} */
      const inputs = {};
      for (const [name, file] of Object.entries(request.inputs)) inputs[name] = readFloats(file);
      prepared = await prepare(request.task, inputs, request.copies);
      return {};
    }
    if (request.do === "close") {
      prepared?.close?.();
      prepared = undefined;
      return {};
    }
    if (!prepared) throw new Error(`${request.do}: nothing is prepared; send "prepare" first`);
    if (request.do === "validate") {
      const began = performance.now();
      const results = await prepared.results[request.pass]();
      const ms = performance.now() - began;
      /** @type {Record<string, string>} */
      const outputs = {};
      for (const [name, values] of Object.entries(results)) {
        if (!values) continue;
        outputs[name] = join(request.folder, name);
        writeFileSync(outputs[name], values);
      }
      return { ms, outputs };
    }
    const call = prepared.passes[request.pass];
    await repeat(call, request.warm);
    const began = performance.now();
    await repeat(call, request.times);
    return { ms: (performance.now() - began) / request.times };
  }

  answer({ about });
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      answer(await handle(JSON.parse(line)));
    } catch (error) {
      if (error instanceof NotOffered) answer({ notOffered: error.message });
      else answer({ error: error instanceof Error ? error.message : String(error) });
    }
  }
}

/** @param {() => unknown} call @param {number} times */
async function repeat(call, times) {
  for (let i = 0; i < times; i++) {
    const result = call();
    // a call that is not asynchronous does not wait for a tick
    if (result instanceof Promise) await result;
  }
}

/** @param {string} file */
function readFloats(file) {
  const bytes = readFileSync(file);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/**
 * Each call's place in a round of copies.
 * @param {number} copies
 */
export function rotation(copies) {
  let turn = 0;
  return () => turn++ % copies;
}
