/**
 * A contestant's side of the conversation: JSON lines, one answer to each request (measure.mjs asks; peers/pytorch.py
 * answers in Python).
 *
 *     (start)                                  { about: "jax-js 0.1.25" } or { missing: why }
 *     { do: "prepare", task, inputs, copies }  {} or { notOffered: why }; inputs: name to file of raw float32
 *     { do: "validate", pass, folder }         { outputs }: name to file
 *     { do: "turn", pass, warm, times }        { ms } of one call, mean over `times`, after `warm` untimed ones
 *     { do: "close" }                          {}
 *
 * What throws answers { error }; lines that are not answers, such as what a library prints, are skipped. Allocation is
 * part of a call for every contestant: a call allocates its results and releases them.
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
 * @property {() => void} [close] releases what `prepare` allocated
 *
 * @typedef {{ do: "prepare", task: Task, inputs: Record<string, string>, copies: number }
 *   | { do: "validate", pass: string, folder: string, layout?: string }
 *   | { do: "turn", pass: string, warm: number, times: number }
 *   | { do: "close" }} Request
 * @typedef {object} Answer of these, those that the request asks for
 * @property {string} [about]
 * @property {string} [missing]
 * @property {string} [notOffered]
 * @property {string} [error]
 * @property {Record<string, string>} [outputs]
 * @property {number} [ms]
 */

/** What `prepare` throws where a library has no such operation. */
export class NotOffered extends Error {}

/** @param {{ about: string, prepare: (task: Task, inputs: Arrays, copies: number) => Prepared | Promise<Prepared> }} contestant */
export async function serve({ about, prepare }) {
  const answer = (/** @type {Answer} */ message) => process.stdout.write(`${JSON.stringify(message)}\n`);
  /** @type {Prepared | undefined} */
  let prepared;

  /** @param {Request} request @returns {Promise<Answer>} */
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
    if (!prepared) throw new Error(`${request.do}: expected "prepare" before it`);
    if (request.do === "validate") {
      const results = await prepared.results[request.pass]();
      /** @type {Record<string, string>} */
      const outputs = {};
      for (const [name, values] of Object.entries(results)) {
        if (!values) continue;
        outputs[name] = join(request.folder, name);
        writeFileSync(outputs[name], values);
      }
      return { outputs };
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
    // a synchronous call does not wait for a tick
    if (result instanceof Promise) await result;
  }
}

/** @param {string} file */
function readFloats(file) {
  const bytes = readFileSync(file);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** Indices of copies, in turn. @param {number} copies */
export function rotation(copies) {
  let turn = 0;
  return () => turn++ % copies;
}
