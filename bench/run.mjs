/** `npm run bench`: what is measured, and where the results go. `--help` lists the options. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { duration, formatNumber, wrap } from "@evenkeel/report/format";
import { cases, choose, contestants, modelCase, nameOf, sizeOf } from "./cases.mjs";
import { check, guarded, kindOf, record } from "./guard.mjs";
import { formulaBytes, machine, openMs, packageBytes } from "./machine.mjs";
import { Field } from "./measure.mjs";
import { renderPage } from "./page.mjs";
import { pythonOf } from "./player.mjs";
import { barText, readmeSection, speedSection, tensorflowSection, terminal, withSection } from "./report.mjs";

const ids = Object.keys(contestants);
/** Values of the largest array of a quick run: 8 MiB. */
const QUICK = 1 << 21;
const INDENT = " ".repeat(26);
const HELP = `npm run bench -- [options]

Times every contestant in every case, in turns. A complete run writes
bench/results/ (results.json, index.html) and sections of the README and of
docs/speed.md; any other run writes to bench/results/partial/ only.

  --only TEXT,...         cases whose name contains one of these texts, such as
                          "layer 512x768 forward", "rms+residual", "+mask",
                          "8x14x14x256 channelsLast", "dynamic", "transformer"
  --contestants NAME,...  those whose names start with one of these:
${INDENT}${wrap(ids.join(", "), 54).replaceAll("\n", `\n${INDENT}`)}
  --python PATH           the Python whose PyTorch takes part; default: python3,
                          then /usr/bin/python3. torch.compile needs PyTorch 2
                          and a C++ compiler, and the first run takes some
                          minutes longer: what it makes is kept in the system's
                          folder for temporary files
  --model FOLDER          also times a layers model of TensorFlow.js: the folder
                          of its model.json
  --turns N               at most N turns for each contestant (default 21)
  --quick                 at most 9 turns, a third of the time for them, and no
                          array of more than 8 MiB
  --out FOLDER            writes results.json and index.html there instead
  --install-peers         first installs the libraries of bench/peers (npm ci,
                          no install scripts)
  --bars                  measures nothing: states each target, what the last
                          results (of --out) were, and whether it holds
  --check                 fails if the time of Evenkeel relative to memcpy got
                          worse than bench/results/ratios.json records
  --record                records those ratios for this kind of engine
  --help
`;

const root = fileURLToPath(new URL("..", import.meta.url));
const RATIOS = join(root, "bench/results/ratios.json");
const progress = (/** @type {string} */ text) => void process.stderr.write(`${text} ...\n`);

for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) {
  process.on(signal, () => {
    process.stderr.write("\nstopped; nothing was written\n");
    process.exit(130);
  });
}

const options = readOptions();
if (options.installPeers) installPeers();
process.exit(await run());

function run() {
  if (options.bars) return runBars();
  if (options.check) return runCheck();
  return options.record ? runRecord() : runBench();
}

// ---- options ----

function parse() {
  return parseArgs({
    options: {
      only: { type: "string" },
      contestants: { type: "string" },
      python: { type: "string" },
      model: { type: "string" },
      turns: { type: "string" },
      quick: { type: "boolean" },
      out: { type: "string" },
      "install-peers": { type: "boolean" },
      bars: { type: "boolean" },
      check: { type: "boolean" },
      record: { type: "boolean" },
      help: { type: "boolean" },
    },
  }).values;
}

/** @param {string} message @returns {never} */
function fail(message) {
  process.stderr.write(`bench: ${message}; npm run bench -- --help lists the options\n`);
  process.exit(2);
}

function readOptions() {
  /** @type {ReturnType<typeof parse>} */
  let values;
  try {
    values = parse();
  } catch (error) {
    return fail(/** @type {Error} */ (error).message);
  }
  if (values.help) {
    process.stdout.write(HELP);
    process.exit();
  }
  const modes = /** @type {const} */ (["bars", "check", "record"]).filter((mode) => values[mode]);
  if (modes.length > 1)
    fail(`--${modes[0]}: expected one of --bars, --check and --record, got ${modes.length}`);
  // not trimmed: "layer " leaves out "layer+residual"
  const list = (/** @type {string | undefined} */ text) => text?.split(",").filter(Boolean);
  const [only, named] = [list(values.only), list(values.contestants)];
  for (const name of named ?? []) {
    if (!ids.some((id) => id.startsWith(name)))
      fail(`--contestants: expected some of ${ids.join(", ")}, got "${name}"`);
  }
  const turns = values.turns === undefined ? (values.quick ? 9 : 21) : Number(values.turns);
  if (!Number.isInteger(turns) || turns < 3)
    fail(`--turns: expected an integer of at least 3, got "${values.turns}"`);
  if (values.python !== undefined && !pythonOf([values.python]))
    fail(`--python: expected a Python that imports torch, got "${values.python}"`);
  const all = values.check || values.record ? guarded : [...cases, ...modelOf(values.model)];
  const most = values.quick ? QUICK : Number.POSITIVE_INFINITY;
  const chosen = (only ? choose(all, only) : all).filter(({ shape }) => sizeOf(shape) <= most);
  if (chosen.length === 0)
    fail(`--only: expected a part of a case's name, such as "layer 512x768", got "${values.only}"`);
  const everything = !only && !named && !values.quick && values.turns === undefined;
  return {
    chosen,
    contestants: named ? ids.filter((id) => named.some((name) => id.startsWith(name))) : ids,
    effort: { turns, budget: values.quick ? 100 : 300, warm: values.quick ? 40 : 100 },
    python: values.python,
    everything,
    // the last complete run, unless another is asked for
    out: values.out ?? join(root, "bench/results", everything || values.bars ? "" : "partial"),
    given: process.argv.length > 2 ? ` -- ${withoutPaths(process.argv.slice(2)).map(quoted).join(" ")}` : "",
    installPeers: values["install-peers"],
    bars: values.bars,
    check: values.check,
    record: values.record,
  };
}

/** The case of a model, if one is asked for. @param {string | undefined} folder */
function modelOf(folder) {
  if (folder === undefined) return [];
  try {
    return [modelCase(resolve(folder), JSON.parse(readFileSync(join(folder, "model.json"), "utf8")))];
  } catch (error) {
    return fail(
      `--model: expected the folder of a layers model's model.json, got "${folder}" (${/** @type {Error} */ (error).message})`,
    );
  }
}

/** Results say nothing of the places of this machine. @param {string[]} words */
function withoutPaths(words) {
  const placeOf = (/** @type {string | undefined} */ option) =>
    ({ "--python": "PATH", "--model": "FOLDER", "--out": "FOLDER" })[option ?? ""];
  return words.map((word, i) => {
    const [option, value] = word.split("=");
    return placeOf(words[i - 1]) ?? (value && placeOf(option) ? `${option}=${placeOf(option)}` : word);
  });
}

/** As one types it in a shell. @param {string} word */
function quoted(word) {
  return /^[\w=,./-]+$/.test(word) ? word : `"${word}"`;
}

function installPeers() {
  progress("installing bench/peers (npm ci, no install scripts)");
  execFileSync("npm", ["ci", "--ignore-scripts", "--no-fund", "--no-audit"], {
    cwd: join(root, "bench/peers"),
    stdio: ["ignore", "ignore", "inherit"],
    shell: process.platform === "win32",
  });
}

// ---- the run ----

async function runBench() {
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1000;
  const field = new Field(options.contestants, options.effort, options.python);
  const rows = [];
  for (const [i, one] of options.chosen.entries()) {
    progress(`${duration(elapsed())}, ${i + 1}/${options.chosen.length}: ${nameOf(one)}`);
    rows.push(...(await field.run(one)));
  }
  field.stop();
  const about = field.about();
  /** @type {import("./report.mjs").Results} */
  const results = {
    date: new Date().toISOString(),
    evenkeel: JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version,
    command: `npm run bench${options.given}`,
    seconds: Math.round(elapsed()),
    machine: machine(),
    contestants: Object.fromEntries(
      options.contestants.map((id) => {
        const { label, threads, how } = contestants[id];
        return [id, { label, threads, how, ...about[id] }];
      }),
    ),
    packageBytes: await packageBytes(),
    formulaBytes: await formulaBytes(),
    openMs: openMs(),
    cases: rows.map(({ one: { passes: _, model: __, ...one }, pass, name, bytes, results }) => {
      const timed = options.contestants.filter((id) => results[id]).map((id) => [id, rounded(results[id])]);
      return { name, ...one, pass, bytes, results: Object.fromEntries(timed) };
    }),
  };
  write(join(options.out, "results.json"), `${JSON.stringify(results)}\n`);
  write(join(options.out, "index.html"), renderPage(results));
  if (options.everything) {
    const readme = join(root, "README.md");
    const started = withSection(readFileSync(readme, "utf8"), readmeSection(results));
    write(readme, withSection(started, tensorflowSection(results), "bench:tensorflow"));
    const speed = join(root, "docs/speed.md");
    write(speed, withSection(readFileSync(speed, "utf8"), speedSection(results)));
  }
  process.stdout.write(`${terminal(results)}\n${relative(process.cwd(), join(options.out, "index.html"))}\n`);
  return 0;
}

/** Rounded to four digits. @param {import("./measure.mjs").Timed | import("./measure.mjs").Absent} result */
function rounded(result) {
  if (!("median" in result)) return result;
  const four = (/** @type {number} */ value) => Number(value.toPrecision(4));
  const { median, p20, p80, error, turns } = result;
  return {
    median: four(median),
    p20: four(p20),
    p80: four(p80),
    error: Number(error.toPrecision(2)),
    turns: turns.length,
  };
}

/** Writes a file completely or not at all. @param {string} file @param {string} text */
function write(file, text) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.part`, text);
  renameSync(`${file}.part`, file);
}

function runBars() {
  const file = join(options.out, "results.json");
  if (!existsSync(file)) fail(`--bars: expected results in ${file}, got none; a run writes them`);
  process.stdout.write(barText(JSON.parse(readFileSync(file, "utf8"))));
  return 0;
}

// ---- the guard ----

/** @returns {import("./guard.mjs").Records} */
function records() {
  return existsSync(RATIOS) ? JSON.parse(readFileSync(RATIOS, "utf8")) : {};
}

async function runRecord() {
  const here = machine();
  const { ratios, failures } = await record(options.chosen, progress);
  if (failures.length > 0) {
    process.stdout.write(`${failures.join("\n")}\nnothing was recorded\n`);
    return 1;
  }
  const all = records();
  const kind = kindOf(here);
  all[kind] = {
    date: new Date().toISOString(),
    processor: here.processor,
    ratios: { ...all[kind]?.ratios, ...ratios },
  };
  write(RATIOS, `${JSON.stringify(all, null, 1)}\n`);
  process.stdout.write(`${Object.keys(ratios).length} ratios recorded for ${kind}\n`);
  return 0;
}

async function runCheck() {
  const kind = kindOf(machine());
  const recorded = records()[kind];
  if (!recorded) {
    process.stderr.write(
      `bench: --check: expected a record for ${kind} in bench/results/ratios.json, got ${Object.keys(records()).join(", ") || "none"}; ` +
        "npm run bench -- --record makes one, from code that is known to be good\n",
    );
    return 1;
  }
  const { measured, suspects, unrecorded, failures } = await check(options.chosen, recorded.ratios, progress);
  const lines = [
    ...unrecorded.map((name) => `${name}: not recorded; npm run bench -- --record --only "${name}" adds it`),
    ...failures,
    ...suspects.map(
      ({ name, now, recorded: { ratio }, allowed }) =>
        `${name}: ${formatNumber(now.ratio)} times memcpy, recorded ${formatNumber(ratio)}, allowed ${formatNumber(allowed)}`,
    ),
    `${suspects.length || "none"} of ${measured} slower than recorded for ${kind}${failures.length > 0 ? `; ${failures.length} failed` : ""}`,
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
  return suspects.length + failures.length > 0 ? 1 : 0;
}
