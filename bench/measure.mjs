/** One run: contestants are validated, then timed in turns, so that whatever else the machine does affects all of them. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { bytesMoved, EPSILON, GROUPS, isPeer, nameOf, sizeOf, takesPart } from "./cases.mjs";
import { expectedOf, inputsOf, TOLERANCE, worstError } from "./inputs.mjs";
import { Player } from "./player.mjs";
import { percentiles, quantile } from "./statistics.mjs";

/**
 * @typedef {import("./cases.mjs").Case} Case
 * @typedef {import("./cases.mjs").Pass} Pass
 * @typedef {{ median: number, p20: number, p80: number, error: number, turns: number[] }} Timed ms of one call
 * @typedef {{ skipped: string } | { notOffered: string } | { invalid: string } | { failed: string } | { missing: string }} Absent
 * @typedef {{ error: number, losses: Float32Array }} Valid worst error; losses of a training step
 * @typedef {object} Row
 * @property {Case} one
 * @property {Pass} pass
 * @property {string} name
 * @property {number} bytes that must move
 * @property {Record<string, Valid>} valid contestants that may be timed
 * @property {Record<string, Timed | Absent>} results
 * @typedef {{ turns: number, budget: number }} Effort at most so many turns, and ms for the turns of one contestant
 */

/** Shortest turn in ms, so that neither the resolution of the clock nor waking up shows. */
const TURN = 2;
/** ms of calls before the first turn, while engines compile hot code. */
const WARM = 100;
/** ms after a turn on several threads until its waiting threads have stopped spinning. */
const REST = 6;
/** ms that one call may take, judging by earlier cases. */
const LONGEST_CALL = 1500;
/** Fewest turns of the contestants between which ratios are taken, however slow, ... */
const FEWEST_TURNS = 9;
/** ... and of the others. */
const FEWEST_SLOW = 5;
/** Relative tolerance of a training step's loss: float32 sums in another order, over three steps. */
const LOSS_TOLERANCE = 1e-3;
/** Inputs rotate through this many bytes, so that no call finds its input in a cache ... */
const ROTATION = 64 << 20;
/** ... and at most this many arrays. */
const MOST_COPIES = 1024;

/** The contestants of one run. */
export class Field {
  /** @param {readonly string[]} ids @param {Effort} effort */
  constructor(ids, effort) {
    this.players = ids.map((id) => new Player(id));
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
    const inputs = inputsOf(one);
    /** @type {Record<string, string>} */
    const files = {};
    for (const [name, values] of Object.entries(inputs)) {
      files[name] = join(this.folder, `input-${name}`);
      writeFileSync(files[name], values);
    }
    const expected = one.norm === "transformer" ? undefined : await expectedOf(one, inputs);
    const copies = Math.min(MOST_COPIES, Math.max(1, Math.ceil(ROTATION / inputs.x.byteLength)));
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
    const data = { folder: this.folder, files, copies, expected, copied: inputs.x };
    for (const player of this.players) await validate(player, one, rows, data);
    for (const row of rows) {
      if (!expected) agree(row);
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
      const pace = await warmUp(player, pass);
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
      const copied = player.id === "memcpy" ? bytes / (2 * 4 * sizeOf(one.shape)) : 1;
      const ms = turns.map((time) => time * copied);
      results[player.id] = { ...percentiles(ms), error: valid[player.id].error, turns: ms };
      const [key, size] = [`${one.norm} ${pass}`, sizeOf(one.shape)];
      if (size < (player.known[key]?.size ?? 0)) continue;
      player.known[key] = { size, ms: percentiles(turns).median, name: nameOf(one) };
    }
  }
}

/**
 * Has a contestant prepare a case and run each of its passes once; what is wrong with it goes to the results.
 * @param {Player} player @param {Case} one @param {Row[]} rows
 * @param {{ folder: string, files: Record<string, string>, copies: number, copied: Float32Array,
 *   expected?: Awaited<ReturnType<typeof expectedOf>> }} data
 */
async function validate(player, one, rows, { folder, files, copies, copied, expected }) {
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
  const task = { ...one, passes: open.map(({ pass }) => pass), epsilon: EPSILON, groups: GROUPS };
  const ready = await player.ask({ do: "prepare", task, inputs: files, copies });
  const own = join(folder, id);
  mkdirSync(own, { recursive: true });
  for (const row of open) {
    const { outputs, notOffered, failed } =
      ready.failed || ready.notOffered
        ? ready
        : await player.ask({ do: "validate", pass: row.pass, folder: own, layout: one.layout });
    if (!outputs) {
      row.results[id] = notOffered ? { notOffered } : { failed: failed ?? "gave no results" };
      continue;
    }
    const arrays = Object.fromEntries(Object.entries(outputs).map(([name, file]) => [name, floats(file)]));
    const wanted = id === "memcpy" ? { y: { values: copied, scale: 1 } } : (expected?.[row.pass] ?? {});
    const { invalid, error } = check(arrays, wanted);
    if (invalid) row.results[id] = { invalid };
    else row.valid[id] = { error, losses: arrays.losses };
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
    if (!(error <= TOLERANCE)) {
      return { error, invalid: `${name} is off by ${error.toPrecision(2)}, allowed ${TOLERANCE}` };
    }
    worst = Math.max(worst, error);
  }
  return { error: worst };
}

/** A training step has no reference but the others: the losses of its first steps must match the median. @param {Row} row */
function agree({ valid, results }) {
  const all = Object.values(valid).map(({ losses }) => losses);
  for (const [id, { losses }] of Object.entries(valid)) {
    const errors = Array.from(losses, (loss, step) => {
      const usual = quantile(
        all.map((each) => each[step]),
        0.5,
      );
      return Math.abs(loss - usual) / usual;
    });
    const error = Math.max(...errors);
    if (error <= LOSS_TOLERANCE) valid[id].error = error;
    else {
      results[id] = {
        invalid: `losses ${Array.from(losses)} are off by ${error.toPrecision(2)}, allowed ${LOSS_TOLERANCE}`,
      };
      delete valid[id];
    }
  }
}

/** Calls a pass until the engine has compiled it, and finds how many calls make a turn. @param {Player} player @param {Pass} pass */
async function warmUp(player, pass) {
  let [times, total, ms] = [1, 0, 0];
  while (total < WARM) {
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
