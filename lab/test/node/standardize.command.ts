/** `evenkeel standardize` as its user meets it: a process, signals, full disks, folders. */
import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cli, evenkeel, type Outcome, start } from "../support/evenkeel.js";

const workplace = mkdtempSync(join(tmpdir(), "evenkeel-standardize-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));
const at = (...names: string[]) => join(workplace, ...names);
const PART = ".evenkeel-standardize.part";

beforeAll(async () => {
  const connection = await (await DuckDBInstance.create(":memory:", { memory_limit: "512MB" })).connect();
  // a few seconds of writing
  await connection.run(
    `COPY (SELECT i, ${Array.from({ length: 8 }, (_, j) => `random() AS x${j}`).join(", ")} FROM range(3000000) t(i)) TO '${at("large.parquet")}' (FORMAT parquet)`,
  );
  connection.closeSync();
  writeFileSync(at("small.csv"), "name,a,b\nx,1,2\ny,3,\n");
});

/** When the tables are being written. */
async function writing(out: string): Promise<void> {
  while (!existsSync(at(out, PART, "large.parquet"))) await wait(10);
}

test("a small table: screen, files, exit code", async () => {
  const { code, stdout, stderr } = await evenkeel(workplace, "standardize", "small.csv", "--out", "small");
  expect(code).toBe(0);
  expect(stdout).toBe(
    [
      "",
      "column  type    count  missing  mean  std. dev.",
      "a       number      2        0  2.00       1.00",
      "b       number      1        1  2.00          0  constant",
      "",
    ].join("\n"),
  );
  expect(stderr).toBe(
    [
      "evenkeel standardize  2 rows in 1 CSV file, 20 bytes",
      '- left as it is (VARCHAR): "name"',
      "",
      "Tables       small/small.parquet",
      "Standardizer small/standardizer.json",
      "",
    ].join("\n"),
  );
  expect(readdirSync(at("small")).sort()).toEqual(["small.parquet", "standardizer.json"]);
  const json = await evenkeel(workplace, "standardize", "small.csv", "--json");
  expect(json.stdout).toBe(readFileSync(at("small", "standardizer.json"), "utf8"));
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const)("%s while tables are written leaves nothing", async (signal, expected) => {
  const out = `by ${signal}`;
  const { child, ended } = start(workplace, "standardize", "large.parquet", "--out", out);
  await writing(out);
  child.kill(signal);
  const { code, stderr } = await ended;
  expect(stderr).toBe("Stopped; nothing was written.\n");
  expect(code).toBe(expected);
  expect(existsSync(at(out))).toBe(false);
});

test("killed, it leaves what is not whole under a name of its own, and the next one says so", async () => {
  const { child, ended } = start(workplace, "standardize", "large.parquet", "--out", "killed");
  await writing("killed");
  // while one is at work, another is refused and changes nothing
  const beside = await evenkeel(workplace, "standardize", "small.csv", "--out", "killed");
  expect(beside.code).toBe(2);
  child.kill("SIGKILL");
  await ended;
  expect(readdirSync(at("killed"))).toEqual([PART]);
  const { code, stderr } = await evenkeel(workplace, "standardize", "small.csv", "--out", "killed");
  expect(code).toBe(2);
  expect(stderr.replaceAll(/\s+/g, " ")).toBe(
    `error: --out: in the folder "killed" another evenkeel standardize is at work, or was killed; wait for it, or remove ${PART} there `,
  );
  rmSync(at("killed", PART), { recursive: true });
  expect((await evenkeel(workplace, "standardize", "small.csv", "--out", "killed")).code).toBe(0);
});

test("where files cannot grow, nothing is left and the exit code is 1", async () => {
  const { code, stderr } = await new Promise<Outcome>((resolve) => {
    const line = [cli, "standardize", "large.parquet", "--out", "full"];
    const shell = spawn("bash", ["-c", `ulimit -f 2000; exec "$0" "$@"`, process.execPath, ...line], {
      cwd: workplace,
    });
    const outcome = { code: null, stdout: "", stderr: "" } as Outcome;
    shell.stderr.on("data", (text) => {
      outcome.stderr += text;
    });
    shell.on("close", (code) => resolve({ ...outcome, code }));
  });
  expect(code).toBe(1);
  expect(stderr).toBe(
    "error: standardize: the table cannot be written (File too large); free space, allow it, or name another folder with --out\n",
  );
  expect(existsSync(at("full"))).toBe(false);
});

test("a folder that is there is used; what was in it is not touched by what fails", async () => {
  mkdirSync(at("there"));
  writeFileSync(at("words.csv"), "a\nx\n");
  expect((await evenkeel(workplace, "standardize", "words.csv", "--out", "there")).code).toBe(2);
  expect(readdirSync(at("there"))).toEqual([]);
  expect((await evenkeel(workplace, "standardize", "small.csv", "--out", "there")).code).toBe(0);
  const before = readFileSync(at("there", "standardizer.json"), "utf8");
  const again = await evenkeel(workplace, "standardize", "large.parquet", "--out", "there");
  expect([again.code, readFileSync(at("there", "standardizer.json"), "utf8")]).toEqual([2, before]);
});

test("too little memory is told with what gives more", async () => {
  const { code, stderr } = await evenkeel(
    workplace,
    ...["standardize", "large.parquet", "--out", "poor", "--memory", "10MB"],
  );
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^error: standardize: the table needs more memory than it was given .*; give more with --memory/,
  );
  expect(existsSync(at("poor"))).toBe(false);
});

test("a table larger than its memory: the process stays near what DuckDB was given", async () => {
  const { code, stderr } = await new Promise<Outcome>((resolve) => {
    const tell = 'process.on("exit", () => process._rawDebug("peak", process.resourceUsage().maxRSS))';
    const line = ["standardize", "large.parquet", "--out", "bounded", "--memory", "128MB"];
    const child = spawn(process.execPath, [`--import=data:text/javascript,${tell}`, cli, ...line], {
      cwd: workplace,
    });
    const outcome = { code: null, stdout: "", stderr: "" } as Outcome;
    child.stderr.on("data", (text) => {
      outcome.stderr += text;
    });
    child.on("close", (code) => resolve({ ...outcome, code }));
  });
  expect(code, stderr).toBe(0);
  const peak = Number(/peak (\d+)/.exec(stderr)?.[1]);
  expect(peak).toBeGreaterThan(0);
  // 216 MB of doubles; KiB of DuckDB's, and of Node and the two libraries
  expect(peak).toBeLessThan((128 + 250) * 1024);
});
