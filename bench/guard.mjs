/**
 * A guard against regressions that does not depend on the machine: the time of Evenkeel on one thread as a multiple of
 * the time of memcpy, case by case, compared with recorded ratios. Each kind of engine has its own record, since their
 * kernels differ.
 */
import { cases, hasReference, nameOf, operations, sizeOf } from "./cases.mjs";
import { Field } from "./measure.mjs";
import { reasonText } from "./report.mjs";
import { ratioOf } from "./statistics.mjs";

/**
 * @typedef {import("./cases.mjs").Case} Case
 * @typedef {{ ratio: number, noise: number }} Measured `noise` relative, of the run that measured the ratio
 * @typedef {Record<string, Measured>} Ratios by name of a case and pass
 * @typedef {Record<string, { date: string, processor: string, ratios: Ratios }>} Records by kind of engine
 * @typedef {{ name: string, recorded: Measured, now: Measured, allowed: number }} Worse
 */

/** The largest array tells nothing that the second largest does not, and takes longest. */
const LARGEST = 1 << 24;
const effort = { turns: 15, budget: 120 };

/** Every shape and norm, forward and backward; of formulas both at once. */
export const guarded = cases
  .filter(({ norm, shape }) => hasReference({ norm }) && sizeOf(shape) < LARGEST)
  .map((one) => ({
    ...one,
    // of an operation, both passes are there one by one
    passes: one.passes.filter(
      (pass) => pass !== "evaluate" && (pass !== "both" || !operations.includes(one.norm)),
    ),
  }))
  .filter(({ passes }) => passes.length > 0);

/** "Node 20", "Node 24 with relaxed SIMD". @param {{ node: string, relaxedSimd: boolean }} machine */
export const kindOf = ({ node, relaxedSimd }) =>
  `Node ${node.split(".")[0]}${relaxedSimd ? " with relaxed SIMD" : ""}`;

/**
 * One run, in new processes. Cases that gave no ratio, for example because a result is wrong, are in `failures`.
 * @param {readonly Case[]} chosen @param {(text: string) => void} progress
 */
async function measure(chosen, progress) {
  const field = new Field(["evenkeel-1", "memcpy"], effort);
  /** @type {Ratios} */
  const ratios = {};
  const failures = [];
  for (const [i, one] of chosen.entries()) {
    progress(`${i + 1}/${chosen.length} ${nameOf(one)}`);
    for (const { name, results } of await field.run(one)) {
      const [ours, copy] = [results["evenkeel-1"], results.memcpy];
      if (!("turns" in ours)) failures.push(`${name}: Evenkeel is ${reasonText(ours)}`);
      else if (!("turns" in copy)) failures.push(`${name}: memcpy is ${reasonText(copy)}`);
      else ratios[name] = ratioOf(ours.turns, copy.turns);
    }
  }
  field.stop();
  return { ratios, failures };
}

/**
 * What a record holds: the worst ratio of several clean runs, and their noise. While other programs use the memory,
 * memcpy slows down more than a kernel does and ratios fall: the worst run is the one that was disturbed least.
 * @param {readonly Ratios[]} runs @returns {Ratios}
 */
export function combine(runs) {
  return Object.fromEntries(
    Object.keys(runs[0]).map((name) => {
      const ratio = Math.max(...runs.map((run) => run[name].ratio));
      const noise = Math.max(...runs.map((run) => run[name].noise));
      return [name, { ratio: Number(ratio.toPrecision(3)), noise: Number(noise.toPrecision(2)) }];
    }),
  );
}

/** @param {readonly Case[]} chosen @param {(text: string) => void} progress */
export async function record(chosen, progress) {
  const runs = [];
  for (let run = 1; run <= 3; run++) {
    const { ratios, failures } = await measure(chosen, (text) => progress(`run ${run} of 3, ${text}`));
    if (failures.length > 0) return { ratios: {}, failures };
    runs.push(ratios);
  }
  return { ratios: combine(runs), failures: [] };
}

/**
 * How far above the record a ratio may be: twice the combined noise, and never less than this share, since processes
 * differ in the placement of their memory, which turns within one process do not show.
 */
const LEAST = 0.15;
/** @param {Measured} recorded @param {Measured} now */
export const margin = (recorded, now) => Math.max(LEAST, 2 * Math.hypot(recorded.noise, now.noise));

/** Cases that are slower than recorded by more than the noise. @param {Ratios} recorded @param {Ratios} now @returns {Worse[]} */
export function worse(recorded, now) {
  return Object.entries(now)
    .filter(([name]) => recorded[name])
    .map(([name, ratio]) => ({
      name,
      recorded: recorded[name],
      now: ratio,
      allowed: recorded[name].ratio * (1 + margin(recorded[name], ratio)),
    }))
    .filter((each) => each.now.ratio > each.allowed);
}

/**
 * Cases that got slower: one that looks slower is measured twice more, in new processes, and must look slower each
 * time.
 * @param {readonly Case[]} chosen @param {Ratios} recorded @param {(text: string) => void} progress
 */
export async function check(chosen, recorded, progress) {
  const { ratios, failures } = await measure(chosen, progress);
  let suspects = worse(recorded, ratios);
  for (let again = 0; again < 2 && suspects.length > 0; again++) {
    const names = new Set(suspects.map(({ name }) => name));
    const some = chosen
      .map((one) => ({ ...one, passes: one.passes.filter((pass) => names.has(nameOf(one, pass))) }))
      .filter(({ passes }) => passes.length > 0);
    suspects = worse(recorded, (await measure(some, (text) => progress(`again, ${text}`))).ratios);
  }
  const unrecorded = Object.keys(ratios).filter((name) => !recorded[name]);
  return { measured: Object.keys(ratios).length, suspects, unrecorded, failures };
}
