/** One run: contestants are validated, then timed in turns, so that whatever else the machine does affects all of them. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  arraysOf,
  bytesMoved,
  EPSILON,
  GROUPS,
  hasReference,
  isPeer,
  nameOf,
  provenOn,
  sizeOf,
  takesPart,
} from "./cases.mjs";
import { copiesOf, expectedOf, inputsOf, TOLERANCE, worstError } from "./inputs.mjs";
import { Player } from "./player.mjs";
import { percentiles, quantile } from "./statistics.mjs";

/**
 * @typedef {import("./cases.mjs").Case} Case
 * @typedef {import("./cases.mjs").Pass} Pass
 * @typedef {{ median: number, p20: number, p80: number, error: number, turns: number[] }} Timed ms of one call
 * @typedef {{ skipped: string } | { notOffered: string } | { invalid: string } | { failed: string } | { missing: string }} Absent
 * @typedef {{ error: number, given: Float32Array }} Valid worst error; what it gave, where there is no reference
 * @typedef {object} Row
 * @property {Case} one
 * @property {Pass} pass
 * @property {string} name
 * @property {number} bytes that must move
 * @property {Record<string, Valid>} valid contestants that may be timed
 * @property {Record<string, Timed | Absent>} results
 * @typedef {{ turns: number, budget: number, warm?: number }} Effort at most so many turns, and ms for the turns of one contestant and
 *   for its calls before them
 */

/** Shortest turn in ms, so that neither the resolution of the clock nor waking up shows. */
const TURN = 2;
/** ms of calls before the first turn, while engines compile hot code. */
const WARM = 100;
/** ms after a turn on several threads until its waiting threads have stopped spinning. */
const REST = 6;
/** ms that one call may take, judging by earlier cases ... */
const LONGEST_CALL = 2500;
/** ... of at least so many values: smaller ones tell what a call costs, not what a value does. */
const TELLING = 1 << 14;
/** Fewest turns of the contestants between which ratios are taken, however slow, ... */
const FEWEST_TURNS = 9;
/** ... and of the others. */
const FEWEST_SLOW = 5;
/** What losses and predictions may differ by, relative to the largest: float32 sums in another order, over three steps or a model. */
const AGREEMENT = 1e-3;
/** Inputs rotate through this many bytes, so that no call finds its input in a cache ... */
const ROTATION = 64 << 20;
/** ... and at most this many arrays. */
const MOST_COPIES = 1024;

/** The contestants of one run. */
export class Field {
  /** @param {readonly string[]} ids @param {Effort} effort @param {string} [python] the Python that has PyTorch */
  constructor(ids, effort, python) {
    this.players = ids.map((id) => new Player(id, python));
    this.effort = effort;
    this.folder = mkdtempSync(join(tmpdir(), "evenkeel-bench-"));
    process.once("exit", () => this.stop());
  }

  /** Versions of those that took part, reasons why the others could not. */
  about() {
    return Object.fromEntries(
      this.players.map(({ id, about, missing }) => [id, missing ? { missing } : { about }]),
    );
  }

  stop() {
    for (const player of this.players) player.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /**
   * Validates and times one case, pass by pass.
   * @param {Case} one @returns {Promise<Row[]>}
   */
  async run(one) {
    /** @type {Row[]} */
    const rows = one.passes.map((pass) => ({
      one,
      pass,
      name: nameOf(one, pass),
      bytes: bytesMoved(one, pass),
      valid: {},
      results: {},
    }));
    for (const player of this.players) {
      // the memory that it holds from earlier cases would disturb the others
      if (!one.passes.some((pass) => takesPart(player.entry, one, pass))) player.stop();
    }
    /** @type {Map<string, Task>} The case, what yardsticks do in its place, and what they are validated on. */
    const tasks = new Map();
    for (const player of this.players) await validate(player, one, rows, this.folder, tasks);
    for (const name of tasks.keys()) rmSync(join(this.folder, name), { recursive: true, force: true });
    tasks.clear();
    for (const row of rows) {
      if (!hasReference(one)) agree(row);
      await this.time(row);
    }
    for (const player of this.players) {
      if (player.child) await player.ask({ do: "close" });
    }
    return rows;
  }

  /** Rounds of turns of all that are valid. @param {Row} row */
  async time({ one, pass, bytes, valid, results }) {
    const entries = [];
    for (const player of this.players.filter(({ id }) => id in valid)) {
      const pace = await warmUp(player, pass, this.effort.warm ?? WARM);
      if ("failed" in pace) results[player.id] = pace;
      else entries.push({ player, turns: /** @type {number[]} */ ([]), ...pace });
    }
    // those between which ratios are taken have a turn in every round; slow ones in some
    const affordable = (/** @type {number} */ ms) => Math.floor(this.effort.budget / Math.max(ms, TURN));
    const core = entries.filter(({ player }) => !isPeer(player.id));
    const most = Math.min(
      this.effort.turns,
      ...(core.length > 0 ? core : entries).map(({ ms }) => affordable(ms)),
    );
    const rounds = Math.max(FEWEST_TURNS, most);
    const random = randomFrom(1);
    for (let round = 0; round < rounds; round++) {
      for (const entry of shuffled(entries, random)) {
        const { player, turns, times, warm, ms } = entry;
        const share = core.includes(entry) ? 1 : Math.min(1, Math.max(FEWEST_SLOW, affordable(ms)) / rounds);
        if (Math.floor((round + 1) * share) === Math.floor(round * share) || player.id in results) continue;
        const answer = await player.turn(pass, warm, times);
        if ("failed" in answer) results[player.id] = answer;
        else turns.push(answer.ms);
        if (player.entry.threads > 1) await sleep(REST);
      }
    }
    for (const { player, turns } of entries) {
      if (player.id in results) continue;
      const scale = scaleOf(player, one, pass, bytes);
      const ms = turns.map((time) => time * scale);
      results[player.id] = { ...percentiles(ms), error: valid[player.id].error, turns: ms };
      const [key, size] = [`${one.norm} ${pass}`, sizeOf(one.shape)];
      if (size < (player.known[key]?.size ?? TELLING)) continue;
      player.known[key] = { size, ms: percentiles(turns).median, name: nameOf(one) };
    }
  }
}

/** What the time of a copy is scaled by, to the bytes of the pass. @param {Player} player @param {Case} one @param {Pass} pass @param {number} bytes */
function scaleOf({ entry }, one, pass, bytes) {
  if (!entry.copies) return 1;
  const { forward, backward } = arraysOf(one);
  const ways = pass === "both" ? [forward, backward] : [pass === "backward" ? backward : forward];
  const arrays = ways.reduce((sum, { reads, writes }) => sum + reads + writes, 0);
  return bytes / ((entry.copies === "memcpy" ? 2 : arrays) * 4 * sizeOf(one.shape));
}

/**
 * @typedef {object} Task what a contestant is to do: the case, or what it does in its place
 * @property {Case} one
 * @property {import("./inputs.mjs").Inputs} inputs
 * @property {Record<string, string>} files of the inputs
 * @property {number} copies
 * @property {import("./inputs.mjs").ExpectedPasses} [expected] once something was held against it
 */

/** @param {Case} one @param {string} folder @returns {Task} */
function taskOf(one, folder) {
  const inputs = inputsOf(one);
  /** @type {Record<string, string>} */
  const files = {};
  const own = join(folder, nameOf(one));
  mkdirSync(own, { recursive: true });
  for (const [name, values] of Object.entries(inputs)) {
    files[name] = join(own, name);
    writeFileSync(files[name], values);
  }
  const bytes = inputs.x.byteLength / (one.storage ? 2 : 1);
  const copies = Math.min(MOST_COPIES, Math.max(1, Math.ceil(ROTATION / bytes)));
  return { one, inputs, files, copies };
}

/**
 * Has a contestant prepare a case and run each of its passes once; what is wrong with it goes to the results.
 * @param {Player} player @param {Case} one @param {Row[]} rows @param {string} folder for files
 * @param {Map<string, Task>} tasks those that were made for others, by name
 */
async function validate(player, one, rows, folder, tasks) {
  const { id, entry } = player;
  const mine = rows.filter(({ pass }) => takesPart(entry, one, pass));
  if (mine.length === 0) return;
  await player.start();
  for (const row of mine) {
    if (player.missing) row.results[id] = { missing: player.missing };
    const skipped = tooLong(player, row);
    if (skipped) row.results[id] ??= { skipped };
  }
  const open = mine.filter(({ results }) => !results[id]);
  if (open.length === 0) return;
  const does = entry.instead?.(one) ?? one;
  const passes = open.map(({ pass }) => pass);
  const made = (/** @type {Case} */ wanted) => {
    const task = tasks.get(nameOf(wanted)) ?? taskOf(wanted, folder);
    tasks.set(nameOf(wanted), task);
    return task;
  };
  const prepare = (/** @type {Task} */ { one, files }, /** @type {number} */ copies) =>
    player.ask({
      do: "prepare",
      task: { ...one, passes, epsilon: EPSILON, groups: GROUPS },
      inputs: files,
      copies,
    });
  const proof = made(provenOn(does));
  if (hasReference(does) && !entry.copies) proof.expected ??= await expectedOf(proof.one, proof.inputs);
  const wanted = entry.copies ? copiesOf(entry.copies, proof.one, proof.inputs) : proof.expected;
  const whole = nameOf(proof.one) === nameOf(does);
  const ready = await prepare(proof, whole ? proof.copies : 1);
  const own = join(folder, id);
  mkdirSync(own, { recursive: true });
  for (const row of open) {
    const { outputs, notOffered, failed } =
      ready.failed || ready.notOffered
        ? ready
        : await player.ask({ do: "validate", pass: row.pass, folder: own, layout: does.layout });
    if (!outputs) {
      row.results[id] = notOffered ? { notOffered } : { failed: failed ?? "gave no results" };
      continue;
    }
    const arrays = Object.fromEntries(Object.entries(outputs).map(([name, file]) => [name, floats(file)]));
    const { invalid, error } = check(arrays, wanted?.[row.pass] ?? {});
    if (invalid) row.results[id] = { invalid };
    else row.valid[id] = { error, given: Object.values(arrays)[0] };
  }
  if (whole) return;
  await player.ask({ do: "close" });
  const task = made(does);
  const { failed } = await prepare(task, task.copies);
  for (const { pass, results, valid } of open.filter((row) => row.valid[id])) {
    // a first call, which may compile
    const first = failed ? { failed } : await player.turn(pass, 0, 1);
    if (!("failed" in first)) continue;
    results[id] = first;
    delete valid[id];
  }
}

/**
 * Whether every expected array is present and correct.
 * @param {Record<string, Float32Array>} arrays @param {Record<string, import("./inputs.mjs").Expected>} expected
 * @returns {{ error: number, invalid?: string }}
 */
function check(arrays, expected) {
  let worst = 0;
  for (const [name, values] of Object.entries(expected)) {
    if (!arrays[name]) return { error: Number.NaN, invalid: `gives no ${name}` };
    const error = worstError(arrays[name], values);
    const { tolerance = TOLERANCE } = values;
    if (!(error <= tolerance)) {
      return { error, invalid: `${name} is off by ${error.toPrecision(2)}, allowed ${tolerance}` };
    }
    worst = Math.max(worst, error);
  }
  return { error: worst };
}

/** Training steps and models have no reference but the others: losses and predictions must match the median. @param {Row} row */
function agree({ valid, results }) {
  const all = Object.values(valid).map(({ given }) => given);
  if (all.length === 0) return;
  const usual = Array.from(all[0], (_, i) =>
    quantile(
      all.map((each) => each[i]),
      0.5,
    ),
  );
  const largest = Math.max(...usual.map(Math.abs));
  for (const [id, { given }] of Object.entries(valid)) {
    const error = Math.max(...usual.map((value, i) => Math.abs(given[i] - value) / largest));
    if (error <= AGREEMENT) valid[id].error = error;
    else {
      const first = Array.from(given.slice(0, 3));
      results[id] = {
        invalid: `gives ${first}, off by ${error.toPrecision(2)} of the others, allowed ${AGREEMENT}`,
      };
      delete valid[id];
    }
  }
}

/** Calls a pass until the engine has compiled it, and finds how many calls make a turn. @param {Player} player @param {Pass} pass @param {number} least ms */
async function warmUp(player, pass, least) {
  let [times, total, ms] = [1, 0, 0];
  while (total < least) {
    const answer = await player.turn(pass, 0, times);
    if ("failed" in answer) return answer;
    ms = answer.ms;
    total += Math.max(ms * times, 0.1);
    times = Math.max(1, Math.ceil(TURN / Math.max(ms, 1e-6)));
  }
  if (player.entry.threads > 1) await sleep(REST);
  // a turn begins with some untimed calls, which wake up its threads
  return { ms, times, warm: ms < TURN ? Math.ceil(times / 4) : 0 };
}

/** Why a case would take too long, judging by the largest one before it. @param {Player} player @param {Row} row */
function tooLong({ known }, { one, pass }) {
  const before = known[`${one.norm} ${pass}`];
  if (!before) return;
  const ms = (before.ms * sizeOf(one.shape)) / before.size;
  if (ms <= LONGEST_CALL) return;
  return `about ${Math.round(ms / 1000)} s a call, going by ${before.ms.toPrecision(3)} ms at ${before.name}`;
}

/** @param {string} file */
function floats(file) {
  const bytes = readFileSync(file);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** @param {number} seed */
function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** @template T @param {readonly T[]} items @param {() => number} random */
function shuffled(items, random) {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
