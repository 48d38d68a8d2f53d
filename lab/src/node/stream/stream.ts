/** `evenkeel stream`: standardizes, watches and learns what comes without end. */
import { randomUUID } from "node:crypto";
import { realpathSync } from "node:fs";
import { resolve } from "node:path";
import { count, duration, printable, quote } from "@evenkeel/report/format";
import { UsageError } from "../../errors.js";
import type { NormName } from "../../norms.js";
import type { Drift } from "../../online/history.js";
import { checkNorm } from "../../online/learner.js";
import { type Online, openOnline } from "../../online/online.js";
import { checkSettings, type OnlineSettings, usualOnline } from "../../online/settings.js";
import type { OptimizerName } from "../../settings.js";
import { stopOnSignals } from "../signals.js";
import { writeWhole } from "../whole-file.js";
import type { BytePosition } from "./cutter.js";
import { driftLine, errorText, noteLine, openStreamDisplay } from "./display.js";
import type { TextFormat } from "./predicted.js";
import type { Reading } from "./reader.js";
import { type Batch, type Layout, TroubleCounter } from "./records.js";
import { isRedis, redisSink, redisSource, shownStream, streamUrl } from "./redis.js";
import { openFileSink, ReaderGone, type Sink, type SinkPosition, standardOutput } from "./sinks.js";
import { byteSource, type RedisPosition, type Source } from "./sources.js";
import { readState, type State, type StateSettings, stateWriter } from "./state.js";

/** The options of the command line, already checked. */
export interface StreamOptions {
  /** "-", a file, or the URL of a stream of Redis. */
  from: string;
  columns?: string[];
  ignore?: string[];
  learn?: string;
  classes?: string[];
  time?: string;
  header?: boolean;
  delimiter?: string;
  forgetting?: number;
  /** Records after which a value counts half. */
  halfLife?: number;
  norm?: NormName;
  depth?: number;
  width?: number;
  optimizer?: OptimizerName;
  learningRate?: number;
  batchSize?: number;
  seed?: number;
  /** Learn without normalization too. */
  compare: boolean;
  driftChance?: number;
  driftBlock?: number;
  out: string;
  format?: TextFormat;
  state?: string;
  saveEvery: SaveEvery;
  goesOn: boolean;
  report?: string | true;
  limit?: number;
  group: string;
  consumer: string;
  claimAfter: number;
  stopAtEnd: boolean;
}

export type SaveEvery = { records: number } | { seconds: number };

const PAGE = "stream.html";
/** Records that are taken at once: after each the signals and the screen have their turn. */
const MOST = 1024;
/** Of a network, a step for each few of which takes a millisecond. */
const MOST_LEARNED = 256;
/** ms after which a stream that is stopped waits for nobody any more. */
const PATIENCE = 5000;

/** Runs until the source ends or it is stopped, and returns the exit code. */
export async function stream(options: StreamOptions): Promise<number> {
  const stop = stopOnSignals();
  checkOptions(options);
  // refused before anything is written
  refusing(() => checkOnline(onlineSettings(options, ["a"])));
  const settings = settingsOf(options);
  const before = options.state === undefined ? undefined : readState(options.state, settings);
  const giveUp = new AbortController();
  const patience = () => setTimeout(() => giveUp.abort(), PATIENCE).unref();
  stop.signal.addEventListener("abort", patience, { once: true });
  const run = new Run(options, settings, before, { stop: stop.signal, giveUp: giveUp.signal });
  try {
    await run.toEnd();
  } finally {
    await stop.letGo();
    await run.close();
  }
  // that the output could not be written was told where it failed
  return stop.exitCode() ?? Number(process.exitCode ?? 0);
}

/** One stream, from where it was to its end. */
class Run {
  readonly #source: Source;
  #sink: Sink | undefined;
  #online: Online | undefined;
  readonly #troubles: TroubleCounter;
  readonly #display: ReturnType<typeof openStreamDisplay>;
  readonly #write: ((state: State) => void) | undefined;
  readonly #id: string;
  readonly #began = performance.now();
  #lastDrift: Drift | undefined;
  /** Records that were there before this run, and those at the last save. */
  #found = 0;
  #saved = 0;
  #savedAt = performance.now();
  /** Whether what has been taken is in the output too. */
  #isWhole = true;

  constructor(
    private readonly options: StreamOptions,
    settings: StateSettings,
    private readonly before: State | undefined,
    private readonly ends: { stop: AbortSignal; giveUp: AbortSignal },
  ) {
    this.#display = openStreamDisplay(
      () => ({
        records: this.#records,
        errors: this.#online?.errors ?? [],
        lastDrift: this.#lastDrift,
      }),
      options.out === "-" && process.stdout.isTTY === true,
    );
    const say = (line: string) => this.#display.say(line);
    this.#troubles = new TroubleCounter(before?.went?.troubles, (line) => say(`! ${line}`));
    this.#write = options.state === undefined ? undefined : stateWriter(options.state, settings);
    this.#id = before?.run ?? randomUUID();
    this.#source = sourceOf(options, this.#troubles, (line) => say(`- ${line}`), ends, before?.went);
  }

  get #records(): number {
    return this.#online?.records ?? 0;
  }

  async toEnd(): Promise<void> {
    const { options, ends } = this;
    const say = (line: string) => this.#display.say(line);
    this.#sink = await sinkOf(
      options,
      this.#id,
      () => this.#format,
      (line) => say(`! ${line}`),
      ends,
      this.before && (this.before.went?.output ?? { bytes: 0 }),
    );
    this.#announce();
    if (this.before?.went !== undefined) await this.#open(this.before.went.layout);
    // what is written from here on can be told from what another stream wrote
    else this.#write?.({ run: this.#id });
    this.#found = this.#records;
    this.#saved = this.#records;
    try {
      for (;;) {
        const most = Math.min(
          (options.limit ?? Number.POSITIVE_INFINITY) - this.#records,
          options.learn === undefined ? MOST : MOST_LEARNED,
        );
        if (most <= 0) break;
        const batch = await this.#source.next(most);
        if (batch === undefined) break;
        if (batch.records > 0) await this.#take(batch);
        if (this.#isDue()) await this.#save();
      }
    } catch (error) {
      if (error instanceof ReaderGone) this.#isWhole = false;
      else if (!(ends.stop.aborted && isAbort(error))) throw error;
    }
    if (this.#isWhole)
      await this.#save().catch(
        unlessGivenUp(ends.giveUp, () =>
          say("! ended without an answer: what was taken is acknowledged after a restart"),
        ),
      );
    await this.#finish();
  }

  async close(): Promise<void> {
    this.#display.close();
    await this.#source.close();
    await this.#sink?.close();
    this.#online?.dispose();
  }

  get #format(): TextFormat {
    return this.options.format ?? (this.#source.layout?.format === "csv" ? "csv" : "ndjson");
  }

  async #open(layout: Layout): Promise<Online> {
    const settings = onlineSettings(this.options, layout.inputs);
    if (settings.learn !== undefined) {
      const { startTensorFlow } = await import("../tensorflow.js");
      await startTensorFlow();
    }
    this.#online = refusing(() => openOnline(settings, this.before?.went?.online));
    return this.#online;
  }

  async #take(batch: Batch): Promise<void> {
    const layout = this.#source.layout as Layout;
    const online = this.#online ?? (await this.#open(layout));
    const pushed = online.push(batch.rows, batch.targets.length > 0 ? batch.targets : undefined);
    this.#isWhole = false;
    await this.#sink?.write({
      first: pushed.first + 1,
      batch,
      pushed,
      columns: layout.inputs,
      classes: this.options.classes,
    });
    this.#isWhole = true;
    for (const note of pushed.notes) this.#display.say(`! ${noteLine(note)}`);
    for (const drift of pushed.drifts) {
      this.#lastDrift = drift;
      this.#display.say(driftLine(drift, batch.times[drift.found - pushed.first]));
    }
  }

  #isDue(): boolean {
    if (this.#source.urgent) return true;
    const { saveEvery } = this.options;
    if ("records" in saveEvery) return this.#records - this.#saved >= saveEvery.records;
    return performance.now() - this.#savedAt >= 1000 * saveEvery.seconds;
  }

  /** Position, statistics, weights and the end of the output, together; then what was taken need not be given again. */
  async #save(): Promise<void> {
    const output = (await this.#sink?.sync()) ?? null;
    const { layout } = this.#source;
    if (this.#write !== undefined && this.#online !== undefined && layout !== undefined) {
      this.#write({
        run: this.#id,
        went: {
          layout,
          position: this.#source.position(),
          output,
          troubles: { ...this.#troubles.counts },
          online: this.#online.save(),
          seconds: (this.before?.went?.seconds ?? 0) + (performance.now() - this.#began) / 1000,
        },
      });
    }
    await this.#source.settled();
    this.#saved = this.#records;
    this.#savedAt = performance.now();
  }

  #announce(): void {
    const { options, before } = this;
    const title = "evenkeel stream";
    const learns =
      options.learn === undefined
        ? ""
        : `, learns ${quote(options.learn)} (${options.norm ?? usualOnline.norm})`;
    this.#display.say(
      `${title}  ${printable(this.#source.name)} → ${printable(this.#sink?.name ?? "")}${learns}`,
      { text: title, style: "bold" },
    );
    if (before?.went !== undefined)
      this.#display.say(`- goes on where ${quote(options.state ?? "", 200)} was saved`);
  }

  /** What is told at the end, and the page. */
  async #finish(): Promise<void> {
    const { options } = this;
    const online = this.#online;
    this.#display.close();
    const say = (line: string) => this.#display.say(line);
    const seconds = (performance.now() - this.#began) / 1000;
    const taken = this.#records - this.#found;
    const per = Math.round(taken / Math.max(seconds, 1e-3)).toLocaleString("en-US");
    const all = this.#found > 0 ? ` (${this.#records.toLocaleString("en-US")} with those before)` : "";
    const drifts = options.driftChance === 0 ? "" : `, ${count(online?.drifts ?? 0, "drift")}`;
    say(`${count(taken, "record")}${all} in ${duration(seconds)}, ${per}/s${drifts}`);
    const blind = (online?.watched ?? []).filter(({ ready }) => !ready).length;
    if (blind > 0) {
      const all = online?.watched.length ?? 0;
      say(
        `- drift could not be seen yet in ${blind.toLocaleString("en-US")} of ${count(all, "column")}: there is too little to compare with`,
      );
    }
    const names: Record<string, string> = {
      network: options.norm === "none" ? "the network" : "with normalization",
      plain: "without",
      mean: "always the mean",
      majority: "always the commonest",
      last: "always the last one",
    };
    const errors = (online?.history().overall ?? []).filter(({ count: n }) => n > 0);
    if (errors.length > 0) {
      const word = options.classes === undefined ? "mean absolute error" : "wrong";
      say(`${word}: ${errors.map((each) => `${names[each.of]} ${errorText(each)}`).join(", ")}`);
    }
    for (const line of this.#troubles.summary()) say(`! ${line}`);
    if (options.report !== undefined && online === undefined)
      say("- there was no record: no page is written");
    else if (options.report !== undefined && online !== undefined) {
      const path = options.report === true ? PAGE : options.report;
      const { renderStream } = await import("../../report/stream.js");
      const { serverDocument } = await import("@evenkeel/report/server-document");
      writeWhole(path, renderStream(online.history(), serverDocument), "--report");
      this.#display.say(`Report  ${path}`, { text: path, style: "underline" });
    }
  }
}

/** What is said of the settings is said of the options. */
function refusing<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof RangeError)
      throw new UsageError(error.message.replace(/^openOnline: (\w+)/, "stream: --$1"));
    throw error;
  }
}

const isAbort = (error: unknown): boolean => error instanceof Error && error.name === "AbortError";

const unlessGivenUp = (giveUp: AbortSignal, tell: () => void) => (error: unknown) => {
  if (!giveUp.aborted || !isAbort(error)) throw error;
  tell();
};

function sourceOf(
  options: StreamOptions,
  troubles: TroubleCounter,
  say: (line: string) => void,
  ends: { stop: AbortSignal; giveUp: AbortSignal },
  went: State["went"],
): Source {
  const { from, columns, ignore, learn, classes, time, header, delimiter, goesOn } = options;
  const asked: Reading = { columns, ignore, learn, classes, time, header, delimiter };
  if (isRedis(from)) {
    const { group, consumer, claimAfter, stopAtEnd } = options;
    const who = { group, consumer, stopAtEnd, claimAfter: 1000 * claimAfter };
    return redisSource(
      streamUrl(from, "--from"),
      who,
      asked,
      troubles,
      say,
      ends,
      went && { position: went.position as RedisPosition, layout: went.layout },
    );
  }
  const before = went && { position: went.position as BytePosition, layout: went.layout };
  return byteSource(from, asked, troubles, say, ends.stop, before, goesOn);
}

async function sinkOf(
  { out }: StreamOptions,
  run: string,
  format: () => TextFormat,
  say: (line: string) => void,
  ends: { giveUp: AbortSignal },
  position: SinkPosition | undefined,
): Promise<Sink> {
  if (out === "-") return standardOutput(format);
  return isRedis(out)
    ? redisSink(streamUrl(out, "--out"), run, say, ends.giveUp)
    : openFileSink(out, format, position);
}

/** Throws UsageError for what does not go together. */
function checkOptions(options: StreamOptions): void {
  const { from, out, state, report, learn, classes, forgetting, halfLife, goesOn, format, delimiter } =
    options;
  const refuse = (text: string): never => {
    throw new UsageError(text);
  };
  if (forgetting !== undefined && halfLife !== undefined) {
    refuse("stream: --forgetting and --half-life say the same, expected one of them; leave the other out");
  }
  if (learn === undefined) {
    const { norm, depth, width, optimizer, learningRate, batchSize, seed } = options;
    const given = {
      classes,
      norm,
      depth,
      width,
      optimizer,
      "learning-rate": learningRate,
      "batch-size": batchSize,
      seed,
    };
    for (const [name, value] of Object.entries(given)) {
      if (value !== undefined)
        refuse(`--${name}: belongs to what is learned; name the column with --learn, or leave it out`);
    }
  }
  if (classes !== undefined && (new Set(classes).size < 2 || new Set(classes).size < classes.length)) {
    refuse(
      `--classes: expected at least two names that differ, got ${quote(classes.join(","))}; the values of --learn, such as --classes no,yes`,
    );
  }
  if (delimiter !== undefined && !/^[\0-\x7f]$/.test(delimiter)) {
    refuse(`--delimiter: expected one ASCII character, got ${quote(delimiter)}`);
  }
  if (goesOn && from !== "-") refuse("--goes-on: is of standard input alone; leave it out");
  if (goesOn && state === undefined) refuse("--goes-on: there is nothing to go on from; name a --state");
  if (isRedis(out) && format !== undefined)
    refuse("--format: is of text, and --out is a stream of Redis; leave it out");
  if (isRedis(from)) streamUrl(from, "--from");
  if (isRedis(out)) streamUrl(out, "--out");
  if (
    isRedis(from) &&
    isRedis(out) &&
    shownStream(streamUrl(from, "--from")) === shownStream(streamUrl(out, "--out"))
  ) {
    refuse("--out: is what is read from; name another stream");
  }
  for (const [name, value] of Object.entries({ out, from })) {
    if (value.trim() === "") refuse(`--${name}: expected the name of a file, got ""`);
  }
  const files = new Map<string, string>();
  const named = {
    from: isRedis(from) || from === "-" ? undefined : from,
    out: isRedis(out) || out === "-" ? undefined : out,
    state,
    report: report === true ? PAGE : report,
  };
  for (const [name, path] of Object.entries(named)) {
    if (path === undefined) continue;
    const real = realOf(path);
    const other = files.get(real);
    if (other !== undefined)
      refuse(`--${name}: ${quote(path, 200)} is that of --${other} too; name another file`);
    files.set(real, name);
  }
}

function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}

/** A place as the state has it: the same from any folder, and without a password. */
function placeOf(text: string, option: string): string {
  if (text === "-") return text;
  return isRedis(text) ? shownStream(streamUrl(text, option)) : resolve(text);
}

/** Whatever decides a number of the output, or belongs to the position. */
function settingsOf(options: StreamOptions): StateSettings {
  const { columns, ignore, classes, header } = options;
  return {
    from: placeOf(options.from, "--from"),
    out: placeOf(options.out, "--out"),
    format: options.format ?? null,
    columns: columns?.join() ?? null,
    ignore: ignore?.join() ?? null,
    time: options.time ?? null,
    header: header === undefined ? null : header ? "yes" : "no",
    delimiter: options.delimiter ?? null,
    learn: options.learn ?? null,
    classes: classes?.join() ?? null,
    forgetting: forgettingOf(options),
    ...(options.learn !== undefined && networkOf(options)),
    "drift-chance": options.driftChance ?? usualOnline.drift.chance,
    "drift-block": options.driftBlock ?? usualOnline.drift.block,
    group: isRedis(options.from) ? options.group : null,
  };
}

const forgettingOf = ({ forgetting, halfLife }: StreamOptions): number =>
  forgetting ?? (halfLife === undefined ? usualOnline.forgetting : 0.5 ** (1 / halfLife));

/** By option. */
const networkOf = (options: StreamOptions) => ({
  norm: options.norm ?? usualOnline.norm,
  depth: options.depth ?? usualOnline.depth,
  width: options.width ?? usualOnline.width,
  optimizer: options.optimizer ?? usualOnline.optimizer,
  "learning-rate": options.learningRate ?? usualOnline.learningRate,
  "batch-size": options.batchSize ?? usualOnline.batchSize,
  seed: options.seed ?? usualOnline.seed,
  compare: options.compare,
});

function checkOnline(settings: OnlineSettings): void {
  checkSettings(settings);
  if (settings.learn !== undefined) checkNorm(settings, settings.learn);
}

function onlineSettings(options: StreamOptions, columns: string[]): OnlineSettings {
  const { learn, classes } = options;
  const {
    norm,
    depth,
    width,
    optimizer,
    "learning-rate": learningRate,
    "batch-size": batchSize,
    seed,
  } = networkOf(options);
  return {
    ...usualOnline,
    columns,
    ...(learn !== undefined && {
      learn: {
        column: learn,
        kind: classes === undefined ? ("number" as const) : ("classes" as const),
        ...(classes && { classes }),
      },
    }),
    forgetting: forgettingOf(options),
    ...{ norm, depth, width, optimizer, learningRate, batchSize, seed },
    compared: learn !== undefined && options.compare && norm !== "none",
    drift: {
      chance: options.driftChance ?? usualOnline.drift.chance,
      block: options.driftBlock ?? usualOnline.drift.block,
    },
  };
}
