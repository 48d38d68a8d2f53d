/** Streams from file to file: what is written, and that an end at any record and a restart change none of it. */
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { momentsOf } from "evenkeel";
import { afterAll, beforeEach, expect, test, vi } from "vitest";
import { type StreamOptions, stream } from "../../../src/node/stream/stream.js";
import { rows, scattered } from "../../support/tables.js";

const workplace = mkdtempSync(join(tmpdir(), "evenkeel-stream-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));
const at = (name: string) => join(workplace, name);
const read = (name: string) => readFileSync(at(name), "utf8");

let said = "";
beforeEach(() => {
  said = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += text;
    return true;
  });
});

const usual: StreamOptions = {
  from: "-",
  out: "-",
  compare: false,
  saveEvery: { records: 7 },
  goesOn: false,
  group: "evenkeel",
  consumer: "me",
  claimAfter: 60,
  stopAtEnd: false,
};
const run = (options: Partial<StreamOptions>) => stream({ ...usual, ...options });

const N = 40;
const values = rows(N, (i) => [100 + 3 * scattered(i), i % 9 === 4 ? Number.NaN : 7 * scattered(i, Math.E)]);
const csv = ["a,b,y,day", ...values.map(([a, b], i) => `${a},${Number.isNaN(b) ? "" : b},${2 * a},d${i}`)]
  .map((line) => `${line}\n`)
  .join("");
writeFileSync(at("in.csv"), csv);
writeFileSync(
  at("in.ndjson"),
  values.map(([a, b], i) => `${JSON.stringify({ a, b, y: 2 * a, day: `d${i}` })}\n`).join(""),
);

test("each record is standardized by those before it, and written in its order", async () => {
  expect(await run({ from: at("in.csv"), out: at("plain.csv"), ignore: ["y"], time: "day" })).toBe(0);
  const [header, ...lines] = read("plain.csv")
    .trimEnd()
    .split("\n")
    .map((line) => line.split(","));
  expect(header).toEqual(["record", "time", "a", "b", "drift"]);
  expect(lines.map(([record, time]) => [record, time])).toEqual(rows(N, (i) => [String(i + 1), `d${i}`]));
  for (let i = 2; i < N; i++) {
    for (const j of [0, 1]) {
      const before = momentsOf(
        values
          .slice(0, i)
          .map((row) => row[j])
          .filter((value) => !Number.isNaN(value)),
      );
      const expected = (values[i][j] - before.mean) / Math.sqrt(before.m2 / before.count);
      if (Number.isNaN(expected)) expect(lines[i][2 + j]).toBe("");
      else expect(Number(lines[i][2 + j])).toBeCloseTo(expected, 9);
    }
  }
});

test("NDJSON gives the numbers of CSV, each format of the other too", async () => {
  await run({ from: at("in.ndjson"), out: at("a.ndjson"), ignore: ["y", "day"] });
  await run({ from: at("in.csv"), out: at("b.ndjson"), ignore: ["y", "day"], format: "ndjson" });
  await run({ from: at("in.ndjson"), out: at("c.csv"), ignore: ["y", "day"], format: "csv" });
  const lines = read("a.ndjson").trimEnd().split("\n");
  expect(read("b.ndjson")).toBe(read("a.ndjson"));
  const [, ...records] = read("c.csv").trimEnd().split("\n");
  for (const [i, line] of lines.entries()) {
    const { record, standardized, ...rest } = JSON.parse(line);
    expect(rest).toEqual({});
    expect(records[i]).toBe(`${record},${standardized.a},${standardized.b ?? ""},`);
  }
});

test("a prediction, and of classes the chance of each; names of the output's own stay its own", async () => {
  const network = { depth: 1, width: 4, batchSize: 8 };
  await run({
    from: at("in.csv"),
    out: at("y.ndjson"),
    learn: "y",
    ignore: ["day"],
    format: "ndjson",
    ...network,
  });
  const numbers = read("y.ndjson")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(Object.keys(numbers[20])).toEqual(["record", "prediction", "standardized"]);
  expect(Object.keys(numbers[20].standardized)).toEqual(["a", "b"]);
  expect(Number.isFinite(numbers[20].prediction)).toBe(true);
  writeFileSync(
    at("classes.csv"),
    `record,x,kind\n${rows(40, (i) => `${i},${scattered(i)},${["no", "yes, or"][i % 2]}`.replace("yes, or", '"yes, or"')).join("\n")}\n`,
  );
  await run({
    from: at("classes.csv"),
    out: at("k.csv"),
    learn: "kind",
    classes: ["no", "yes, or"],
    ...network,
  });
  const [header, ...lines] = read("k.csv").trimEnd().split("\n");
  expect(header).toBe('record,prediction,prediction=no,"prediction=yes, or",standardized record,x,drift');
  expect(lines[30]).toMatch(/^31,(?:no|"yes, or"),0\.\d+,0\.\d+,/);
  expect(said).toMatch(/wrong: with normalization \d+\.\d %/);
});

test("columns called as those of the output have names of their own", async () => {
  writeFileSync(
    at("names.csv"),
    "record,standardized record,drift,standardized standardized record\n1,2,3,4\n",
  );
  await run({ from: at("names.csv"), out: at("names-out.csv") });
  const [header] = read("names-out.csv").split("\n");
  expect(header).toBe(
    "record,standardized standardized standardized record,standardized record,standardized drift,standardized standardized record,drift",
  );
});

test("ended after any number of records and started again, it writes the same bytes", async () => {
  for (const [name, options] of Object.entries({
    plain: { ignore: ["y"], time: "day", forgetting: 0.9 },
    learning: { learn: "y", ignore: ["day"], depth: 1, width: 4, batchSize: 8, compare: true },
  })) {
    await run({ ...options, from: at("in.csv"), out: at(`${name}-whole`) });
    for (const limits of [
      [1, 2, 11],
      [7, 14, 40],
      [33, 33],
    ]) {
      const out = `${name}-${limits.join("-")}`;
      const files = { from: at("in.csv"), out: at(out), state: at(`${out}.state`) };
      for (const limit of limits) {
        expect(await run({ ...options, ...files, limit })).toBe(0);
        // what was written and not saved, as after a kill
        appendFileSync(at(out), "999,half a li");
      }
      await run({ ...options, ...files });
      expect(read(out)).toBe(read(`${name}-whole`));
    }
  }
  expect(said).toMatch(/- goes on where ".*" was saved/);
});

test("what was read to the end goes on where more has come", async () => {
  const lines = csv.split(/(?<=\n)/);
  const files = { from: at("grows.csv"), out: at("grown"), state: at("grows.state"), ignore: ["y", "day"] };
  writeFileSync(files.from, lines.slice(0, 20).join(""));
  await run(files);
  await run(files);
  appendFileSync(files.from, lines.slice(20).join(""));
  await run(files);
  await run({ from: at("in.csv"), out: at("grown-whole"), ignore: ["y", "day"] });
  expect(read("grown")).toBe(read("grown-whole"));
});

test("begun, and ended before there was a record, it begins anew in its own file", async () => {
  writeFileSync(at("empty.csv"), "a,b\n");
  const files = { from: at("empty.csv"), out: at("begun"), state: at("begun.state") };
  expect(await run({ ...files, report: at("begun.html") })).toBe(0);
  expect(said).toContain("there was no record: no page is written");
  appendFileSync(at("begun"), "1,2,3");
  appendFileSync(at("empty.csv"), "1,2\n");
  await run(files);
  expect(read("begun")).toBe("record,a,b,drift\n1,0,0,\n");
  expect(said).toContain("0 records in ");
});

test("what a run that was killed left of its state is removed, and nothing else", async () => {
  const left = [".a+b.state.abcdefghijkl.part", ".aab.state.abcdefghijkl.part"];
  for (const name of left) {
    writeFileSync(at(name), "half of");
    utimesSync(at(name), 1, 1);
  }
  await run({ from: at("in.csv"), out: at("a+b"), state: at("a+b.state"), ignore: ["y", "day"] });
  expect(left.map((name) => existsSync(at(name)))).toEqual([false, true]);
});

const files = { from: at("in.csv"), out: at("kept"), state: at("kept.state"), ignore: ["y", "day"] };

test.each<[string, Partial<StreamOptions>, () => void, RegExp]>([
  [
    "other options",
    { forgetting: 0.5 },
    () => {},
    /^--state: the stream of ".*" has "1" as --forgetting, got "0\.5"; take the options/,
  ],
  ["a network that it did not have", { learn: "b" }, () => {}, /has nothing as --learn, got "b"/],
  ["another source", { from: at("in.ndjson") }, () => {}, /has ".*in\.csv" as --from, got ".*in\.ndjson"/],
  [
    "a source that begins otherwise",
    {},
    () => writeFileSync(files.from, csv.replace("100", "101")),
    /^--state: .*in\.csv does not begin with the [\d,]+ bytes that were read of it before; give it again/,
  ],
  [
    "a source that is shorter",
    {},
    () => writeFileSync(files.from, csv.slice(0, 50)),
    /read of it before, it has 50; give it again/,
  ],
  [
    "an output that is shorter",
    {},
    () => truncateSync(files.out, 5),
    /^--out: ".*kept" has 5 bytes, fewer than the [\d,]+ that were written/,
  ],
  ["an output that is gone", {}, () => rmSync(files.out), /^--out: cannot write ".*kept" \(ENOENT/],
  [
    "a state that is damaged",
    {},
    () => writeFileSync(files.state, readFileSync(files.state, "utf8").replace('"lines":', '"lines": 1')),
    /^--state: ".*kept\.state" is not as a stream wrote it/,
  ],
  [
    "a state of another version",
    {},
    () => {
      writeFileSync(files.state, "{}");
    },
    /is not as a stream wrote it/,
  ],
])("%s: refused, and nothing is changed", async (_, options, damage, message) => {
  writeFileSync(files.from, csv);
  rmSync(files.out, { force: true });
  rmSync(files.state, { force: true });
  await run({ ...files, limit: 40 });
  damage();
  const before = statSync(files.state).mtimeMs;
  await expect(run({ ...files, ...options })).rejects.toThrow(message);
  expect(statSync(files.state).mtimeMs).toBe(before);
});

test.each<[string, Partial<StreamOptions>, string | RegExp]>([
  [
    "a file that is there",
    { out: at("in.ndjson") },
    /^--out: ".*in\.ndjson" is there already, and is not overwritten/,
  ],
  ["a folder", { out: workplace }, /^--out: cannot write/],
  [
    "what is read from",
    { out: at("in.csv") },
    /^--out: ".*in\.csv" is that of --from too; name another file$/,
  ],
  ["two of one file", { state: at("x"), out: at("x") }, /^--state: ".*x" is that of --out too/],
  [
    "no source",
    { from: at("none") },
    /^--from: ".*none" is not there; expected a file, - for standard input/,
  ],
  [
    "two ways to forget",
    { forgetting: 0.5, halfLife: 3 },
    "stream: --forgetting and --half-life say the same",
  ],
  [
    "a network without a target",
    { depth: 3 },
    "--depth: belongs to what is learned; name the column with --learn",
  ],
  [
    "one class",
    { learn: "y", classes: ["a"] },
    '--classes: expected at least two names that differ, got "a"',
  ],
  ["classes of one name", { learn: "y", classes: ["a", "a"] }, "--classes: expected at least two names"],
  ["going on in a file", { goesOn: true, state: at("s") }, "--goes-on: is of standard input alone"],
  ["going on from nothing", { goesOn: true, from: "-" }, "--goes-on: there is nothing to go on from"],
  [
    "no stream",
    { out: "redis://host" },
    '--out: expected the URL of a stream such as redis://host:6379/0/stream, got "redis://host"',
  ],
  [
    "a name or a password that is not written as in a URL",
    { from: "redis://me:a%zz@host/0/x" },
    '--from: expected the URL of a stream such as redis://host:6379/0/stream, got "redis://me:***@host/0/x"',
  ],
  [
    "what is read from, in another spelling",
    { from: "redis://me@host/x", out: "redis://host:6379/0/x" },
    "--out: is what is read from; name another stream",
  ],
  ["a delimiter of several bytes", { delimiter: "é" }, '--delimiter: expected one ASCII character, got "é"'],
])("%s is refused before anything is read", async (_, options, message) => {
  await expect(run({ from: at("in.csv"), out: at("refused"), ...options })).rejects.toThrow(message);
});

test("a shift is told on the record at which it was found, and on standard error", async () => {
  let seed = 7;
  const random = () => {
    seed = (seed * 16807) % 2147483647;
    return seed / 2147483647;
  };
  const shifted = rows(3000, (i) => `${random() + (i < 1500 ? 0 : 3)},${random()}`);
  writeFileSync(at("shift.csv"), `a,b\n${shifted.join("\n")}\n`);
  await run({ from: at("shift.csv"), out: at("shift.ndjson"), format: "ndjson", driftBlock: 16 });
  const found = read("shift.ndjson")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter(({ drift }) => drift);
  expect(found).not.toEqual([]);
  const [{ record, drift }] = found;
  expect(drift[0]).toMatchObject({ column: "a", of: "mean" });
  expect(Math.abs(drift[0].since - 1500)).toBeLessThan(130);
  expect(record).toBeGreaterThan(1500);
  expect(said.replaceAll(/\s+/g, " ")).toMatch(
    /drift "a": mean −?0\.\d+ → 3\.\d+ since about record 1,\d+, found at 1,\d+/,
  );
  await run({ from: at("shift.csv"), out: at("shift-out.csv"), driftBlock: 16 });
  const line = read("shift-out.csv").split("\n")[record];
  expect(line).toMatch(/,a: mean/);
});
