/** `evenkeel stream` as its user meets it: pipes, kills, signals, slow readers and readers that leave. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { cli, evenkeel, type Outcome, start } from "../../support/evenkeel.js";

const workplace = mkdtempSync(join(tmpdir(), "evenkeel-stream-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));
const at = (name: string) => join(workplace, name);

/** Numbers that look random, the same each time. */
function generator(): () => number {
  let seed = 7;
  return () => {
    seed = (seed * 16807) % 2147483647;
    return seed / 2147483647;
  };
}

const random = generator();
const columns = "abcdefgh".split("");
const csvOf = (records: number) =>
  `${columns.join()},y\n${Array.from({ length: records }, (_, i) => {
    const values = columns.map((_, j) => 100 * j + 10 * random());
    const target = values[0] - values[1] / 3 + (i % 7);
    return `${values.map((value) => value.toFixed(3)).join()},${target.toFixed(3)}\n`;
  }).join("")}`;
const RECORDS = 60_000;
writeFileSync(at("long.csv"), csvOf(RECORDS));
writeFileSync(at("short.csv"), csvOf(4000));
const ndjson = readFileSync(at("long.csv"), "utf8")
  .trimEnd()
  .split("\n")
  .slice(1)
  .map(
    (line) =>
      `${JSON.stringify(Object.fromEntries(line.split(",").map((value, i) => [[...columns, "y"][i], Number(value)])))}\n`,
  )
  .join("");
writeFileSync(at("long.ndjson"), ndjson);

/** Runs it with a file as standard input; killed after some ms, its code is null. */
function fed(input: string, line: string[], killAfter?: number): Promise<Outcome> {
  const stdin = openSync(at(input), "r");
  const child = spawn(process.execPath, [cli, "stream", ...line], {
    cwd: workplace,
    stdio: [stdin, "pipe", "pipe"],
  });
  closeSync(stdin);
  const outcome: Outcome = { code: null, stdout: "", stderr: "" };
  child.stdout?.on("data", (text) => {
    outcome.stdout += text;
  });
  child.stderr?.on("data", (text) => {
    outcome.stderr += text;
  });
  const timer = killAfter === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), killAfter);
  return new Promise((resolve) => {
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ ...outcome, code });
    });
  });
}

test.each([
  ["CSV", "long.csv", ["--ignore", "y", "--save-every", "2000"]],
  ["NDJSON", "long.ndjson", ["--ignore", "y", "--save-every", "0.05s", "--half-life", "500"]],
  ["learning", "short.csv", ["--learn", "y", "--depth", "1", "--width", "8", "--save-every", "100"]],
])("%s: killed at any moment, again and again, it writes the same bytes", async (name, input, line) => {
  const began = performance.now();
  const whole = await fed(input, [...line, "--out", `${name}-whole`]);
  expect(whole.code, whole.stderr).toBe(0);
  const took = performance.now() - began;
  const options = [...line, "--out", name, "--state", `${name}.state`];
  let kills = 0;
  let ends: Outcome;
  do {
    ends = await fed(input, options, kills < 8 ? took * (0.3 + 0.6 * random()) : undefined);
    if (ends.code === null) kills++;
    else expect(ends.code, ends.stderr).toBe(0);
  } while (ends.code === null);
  expect(kills).toBeGreaterThanOrEqual(1);
  expect(readFileSync(at(name)).equals(readFileSync(at(`${name}-whole`)))).toBe(true);
});

/** A stream that this test writes to and reads from. */
function open(...line: string[]): { child: ChildProcessWithoutNullStreams; ended: Promise<Outcome> } {
  const { child, ended } = start(workplace, "stream", ...line);
  child.stdin.on("error", () => {});
  return { child, ended };
}

test("a reader that stops reading stops the source, and nothing is lost or piled up", async () => {
  const records = 500_000;
  const child = spawn(process.execPath, [cli, "stream", "--from", "-"], { cwd: workplace });
  child.stderr.resume();
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  let written = 0;
  let accepted = 0;
  const feed = (async () => {
    child.stdin.write("a,b,c,d,e,f,g,h\n");
    while (written < records) {
      let text = "";
      for (const last = Math.min(records, written + 1000); written < last; written++) {
        text += `${written},${written % 7},3.25,${written % 11},5,6.125,7,${written % 3}\n`;
      }
      if (!child.stdin.write(text)) await new Promise((go) => child.stdin.once("drain", go));
      accepted = written;
    }
    child.stdin.end();
  })();
  // nobody reads yet: what the pipes and the program hold is all that is taken
  let before = -1;
  while (accepted !== before || accepted === 0) {
    before = accepted;
    await wait(1000);
  }
  expect(accepted).toBeLessThan(30_000);
  let lines = 0;
  let most = 0;
  let chunks = 0;
  const memory = () => {
    const found = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"));
    most = Math.max(most, Number(found?.[1] ?? 0));
  };
  let tail = "";
  for await (const chunk of child.stdout) {
    for (const byte of chunk) if (byte === 10) lines++;
    tail = (tail + chunk).slice(-200);
    if (++chunks % 50 === 0) {
      if (process.platform === "linux" && child.exitCode === null) memory();
      await wait(2);
    }
  }
  await feed;
  expect(await ended).toBe(0);
  expect(lines).toBe(records + 1);
  expect(tail).toMatch(/\n500000,[^\n]*\n$/);
  // kB; what it needs for a few records alone is about 100,000
  if (process.platform === "linux") {
    expect(most).toBeGreaterThan(10_000);
    expect(most).toBeLessThan(300_000);
  }
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const)("%s saves, writes the page, and the rest goes on", async (signal, code) => {
  const text = readFileSync(at("long.csv"), "utf8");
  const cut = text.indexOf("\n", text.length / 3) + 1;
  const out = `out-${signal}`;
  const line = ["--ignore", "y", "--out", out, "--state", `${out}.state`, "--report", `${out}.html`];
  const { child, ended } = open(...line);
  child.stdin.write(text.slice(0, cut + 10));
  const lines = text.slice(0, cut).split("\n").length - 1;
  while (!existsSync(at(out)) || readFileSync(at(out), "utf8").split("\n").length - 1 < lines) await wait(50);
  child.kill(signal);
  const stopped = await ended;
  expect(stopped.code, stopped.stderr).toBe(code);
  expect(stopped.stderr.replaceAll(/\s+/g, " ")).toContain(
    `${(lines - 1).toLocaleString("en-US")} records in`,
  );
  expect(readFileSync(at(`${out}.html`), "utf8")).toMatch(/<\/html>\s*$/);
  const rest = await fed("long.csv", line);
  expect(rest.code, rest.stderr).toBe(0);
  expect(readFileSync(at(out)).equals(readFileSync(at("CSV-whole")))).toBe(true);
});

test("a second Ctrl-C ends it at once, whoever it waits for", async () => {
  const { child, ended } = open("--out", "-");
  child.stdout.pause();
  child.stdin.write(ndjson);
  await wait(2000);
  child.kill("SIGINT");
  await wait(300);
  child.kill("SIGINT");
  const began = performance.now();
  child.stdout.resume();
  const { code } = await ended;
  expect(code).toBe(130);
  expect(performance.now() - began).toBeLessThan(3000);
});

test("a reader that has seen enough ends it without a word", async () => {
  const { child, ended } = open("--ignore", "y");
  child.stdin.write(ndjson);
  await new Promise((go) => child.stdout.once("data", go));
  child.stdout.destroy();
  child.stdin.end();
  const { code, stderr } = await ended;
  expect(code).toBe(0);
  expect(stderr).not.toMatch(/error|EPIPE/i);
});

test.runIf(existsSync("/dev/full"))("an output that cannot be written is a failure", async () => {
  const full = openSync("/dev/full", "w");
  const child = spawn(process.execPath, [cli, "stream", "--from", at("short.csv")], {
    stdio: ["ignore", full, "pipe"],
  });
  closeSync(full);
  let stderr = "";
  child.stderr?.on("data", (text) => {
    stderr += text;
  });
  const code = await new Promise((go) => child.on("close", go));
  expect(code).toBe(1);
  expect(stderr).toContain("error: cannot write to standard output (ENOSPC");
});

test("each record is answered as it comes", async () => {
  const { child, ended } = open("--ignore", "y");
  for (let i = 1; i <= 3; i++) {
    child.stdin.write(`{"a":${i}}\n`);
    const [answer] = await Promise.all([new Promise<string>((go) => child.stdout.once("data", go))]);
    expect(JSON.parse(answer)).toMatchObject({ record: i });
  }
  child.stdin.end();
  expect((await ended).code).toBe(0);
});

test("standard input that goes on by itself is not given again", async () => {
  const [header, ...lines] = readFileSync(at("short.csv"), "utf8").trimEnd().split("\n");
  const line = ["stream", "--ignore", "y", "--out", "on", "--state", "on.state", "--goes-on"];
  for (const [index, part] of [lines.slice(0, 1500), lines.slice(1500)].entries()) {
    const { child, ended } = start(workplace, ...line);
    child.stdin.end(`${index === 0 ? `${header}\n` : ""}${part.join("\n")}\n`);
    expect((await ended).code).toBe(0);
  }
  await fed("short.csv", ["--ignore", "y", "--out", "on-whole"]);
  expect(readFileSync(at("on"), "utf8")).toBe(readFileSync(at("on-whole"), "utf8"));
});

test("two streams of one state do not both write it", async () => {
  const line = ["--ignore", "y", "--out", "two", "--state", "two.state", "--save-every", "1"];
  const first = open(...line);
  first.child.stdin.write('{"a":1}\n');
  while (!existsSync(at("two.state")) || !readFileSync(at("two.state"), "utf8").includes("weights"))
    await wait(50);
  const second = open(...line);
  second.child.stdin.end('{"a":1}\n{"a":2}\n');
  expect((await second.ended).code).toBe(0);
  first.child.stdin.end('{"a":3}\n');
  const { code, stderr } = await first.ended;
  expect(code).toBe(1);
  expect(stderr.replaceAll(/\s+/g, " ")).toContain(
    'error: --state: another stream has written "two.state" since this one did',
  );
});

test("what it says fits the screen, and none of it is on standard output", async () => {
  writeFileSync(
    at("odd.csv"),
    `city,${"very long name of a column ".repeat(6)},b,y\nRome,1,2,3\nParis,x,2,3\n1,2\nOslo,1,2,4\n`,
  );
  const { code, stdout, stderr } = await evenkeel(
    workplace,
    "stream",
    "--from",
    "odd.csv",
    "--learn",
    "y",
    "--depth",
    "1",
  );
  expect(code, stderr).toBe(0);
  expect(stdout.split("\n")).toHaveLength(5);
  expect(Math.max(...stderr.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  const told = stderr.replaceAll(/\s+/g, " ");
  expect(told).toContain('evenkeel stream odd.csv → standard output, learns "y" (layer)');
  expect(told).toContain('- "city": left out (no number in the first record); --columns names the inputs');
  expect(told).toContain("! line 4 is no record: expected 4 fields, got 2");
  expect(told).toMatch(
    /3 records in .*, \d+\/s, 0 drifts - drift could not be seen yet in 2 of 2 columns: .* mean absolute error: with normalization/,
  );
  expect(told).toContain("! 1 line that was no record ! 1 value that was no number");
});

test.each([
  [["--save-every", "soon"], /Expected a number of records, or of seconds such as 10s/],
  [["--forgetting", "1.5"], /Expected a factor above 0 and at most 1, such as 0\.999/],
  [["--report", "x.csv"], /Expected a name that ends in \.html/],
  [["--norm", "layer-norm-lstm", "--learn", "y"], /stream: --norm must be one of features or weights/],
  [
    ["--norm", "nonsense", "--learn", "y"],
    /stream: --norm must be one .* got "nonsense"; "layer" and "online" do/,
  ],
])("%s is refused", async (line, message) => {
  const { code, stdout, stderr } = await fed("short.csv", line);
  expect({ code, stdout }, stderr).toEqual({ code: 2, stdout: "" });
  expect(stderr.replaceAll(/\s+/g, " ")).toMatch(message);
  expect(stderr).not.toContain("fault of Evenkeel");
});
