/** The visitor's own data in the built page: read, questioned, and compared as the command line does. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { reason } from "@evenkeel/lab/errors";
import { loadDataset } from "@evenkeel/lab/node/datasets";
import type { Comparison } from "@evenkeel/lab/results";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Server } from "../../build/server.ts";
import { axe, browsers, openPage, type Page, type PageOptions, served } from "../support/browser.ts";

const root = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const cli = root("lab/dist/cli.js");
const folder = mkdtempSync(join(tmpdir(), "evenkeel-data-"));
afterAll(() => rmSync(folder, { recursive: true }));

let site: Server;
beforeAll(async () => {
  site = await served();
});

/** Numbers from 0 to 1, always the same. */
function generator() {
  let at = 1;
  return () => {
    at = (at * 48271) % 2147483647;
    return at / 2147483647;
  };
}

function written(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** Two classes that are told apart by a sum, and a column of nothing but numbers of rows. */
function table(rows: number, header = "id,first,second,third,colour,label"): string {
  const next = generator();
  const lines = Array.from({ length: rows }, (_, i) => {
    const [a, b, c, d] = [next(), next(), next(), next()];
    const label = a + b + 0.2 * c > 1.1 ? "yes" : "no";
    return `${i + 1},${a.toFixed(4)},${b.toFixed(3)},${(1e4 * c).toFixed(1)},${d < 0.4 ? "red" : "blue"},${label}`;
  });
  return `${[header, ...lines].join("\n")}\n`;
}

const open = (browser: (typeof browsers)[number], hash = "", options: PageOptions = {}) =>
  openPage(browser, `${site.url}data/${hash}`, options);

async function drop(page: Page, path: string): Promise<void> {
  const input = await page.waitForSelector("input[type=file]");
  await (input as unknown as { uploadFile(path: string): Promise<void> }).uploadFile(path);
}

async function untilState(page: Page, ...states: string[]): Promise<string> {
  await page.waitForFunction(
    (wanted) => wanted.includes(document.documentElement.dataset.state ?? ""),
    { timeout: 100_000 },
    states,
  );
  return page.evaluate(() => document.documentElement.dataset.state ?? "");
}

async function press(page: Page, label: string): Promise<void> {
  await page.evaluate((text) => {
    const found = [...document.querySelectorAll("button")].find((each) => each.textContent?.trim() === text);
    if (!found) throw new Error(`there is no button ${text}`);
    found.click();
  }, label);
}

/** What a control of the page is set to. */
async function choose(page: Page, name: string, value: string): Promise<void> {
  await page.waitForSelector(`#set-${name}`);
  await page.$eval(
    `#set-${name}`,
    (control, chosen) => {
      (control as HTMLInputElement).value = chosen;
      control.dispatchEvent(new Event("change", { bubbles: true }));
    },
    value,
  );
}

const textOf = async (page: Page, selector: string): Promise<string> =>
  page.$eval(selector, (found) => found.textContent?.replace(/\s+/g, " ").trim() ?? "");

/** Waits until what was read is that. */
async function understood(page: Page, expected: RegExp): Promise<void> {
  await page
    .waitForFunction(
      (source) => {
        const text = document.getElementById("data")?.textContent?.replace(/\s+/g, " ") ?? "";
        return document.documentElement.dataset.state === "read" && new RegExp(source).test(text);
      },
      { timeout: 30_000 },
      expected.source,
    )
    .catch(() => {});
  expect(await textOf(page, "#data")).toMatch(expected);
}

/** Keeps what the page saves, by the name of its file. */
function keepSaved(): void {
  const saved: Record<string, string> = {};
  Object.assign(globalThis, { saved });
  const urls = new Map<string, Blob>();
  const create = URL.createObjectURL.bind(URL);
  URL.createObjectURL = (blob: Blob) => {
    const url = create(blob);
    urls.set(url, blob);
    return url;
  };
  HTMLAnchorElement.prototype.click = function () {
    urls
      .get(this.href)
      ?.text()
      .then((text) => {
        saved[this.download] = text;
      });
  };
}

async function saved(page: Page, label: string, name: string): Promise<string> {
  await press(page, label);
  const found = await page.waitForFunction(
    (file) => (globalThis as unknown as { saved: Record<string, string> }).saved[file],
    {},
    name,
  );
  return (await found.jsonValue()) as string;
}

/** Without what differs from run to run and from machine to machine. */
function numbersOf(json: string) {
  const { date, command, machine, wallSeconds, trials, summaries, ...same } = JSON.parse(json) as Comparison;
  return {
    ...same,
    data: { ...same.data, provenance: "" },
    trials: trials.map(({ stepMs, epochs, ...trial }) => ({
      ...trial,
      epochs: epochs.map(({ seconds, ...epoch }) => epoch),
    })),
    summaries: summaries.map(({ stepMs, ...summary }) => summary),
  };
}

/** A part of the report as text. */
const partOf = (html: string, id: string): string =>
  (new RegExp(`<section id="${id}">.*?</section>`, "s").exec(html)?.[0] ?? "").replace(/<[^>]*>/g, " ");

/** What the command line makes of a file. */
async function command() {
  const path = written("own data.csv", table(150));
  const args = "--norms none,batch --seeds 2 --depth 2 --width 8 --epochs 2 --batch-size 16";
  const out = join(folder, "out");
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [cli, "compare", "--data", path, ...args.split(" "), "--json", "--out", out],
    { maxBuffer: 1e8 },
  );
  const report = readFileSync(join(out, "report.html"), "utf8").replaceAll(`${folder}/`, "");
  return { path, args, numbers: stdout, report };
}

let made: ReturnType<typeof command> | undefined;
const commanded = (): ReturnType<typeof command> => {
  made ??= command();
  return made;
};

describe.each(browsers)("in %s", (browser) => {
  it("trains as the command that it shows, to the same numbers and report", async () => {
    const settings = "norms=none,batch&seeds=2&depth=2&width=8&epochs=2&batch=16";
    const page = await open(browser, `#file=own+data.csv&${settings}`, { before: keepSaved });
    const { path, args, numbers, report } = await commanded();
    await drop(page, path);
    await understood(page, /Classification: “label” \(2 classes\) from 5 inputs of 4 columns/);
    expect(await textOf(page, "#data")).toMatch(/id: left out/);
    // a visitor looks first
    expect(await page.$$eval(".trials", (found) => found.length)).toBe(0);
    await press(page, "Compare");
    await untilState(page, "finished");
    // the view comes before it is drawn
    await page.waitForSelector(".findings li");
    expect((await textOf(page, ".command code")).split(/ (?=--)/).sort()).toEqual(
      `evenkeel compare --data 'own data.csv' ${args}`.split(/ (?=--)/).sort(),
    );
    const json = await saved(page, "Save the numbers", "evenkeel-own-data.json");
    const html = await saved(page, "Save the report", "evenkeel-own-data.html");
    expect(numbersOf(json)).toEqual(numbersOf(numbers));
    for (const id of ["numbers", "differences", "data"]) expect(partOf(html, id)).toBe(partOf(report, id));
    expect(html).toMatch(/Every number is in comparison.json, which the page that this was made on saves/);
    expect(report).toMatch(/Every number is in comparison.json, beside this file\./);
    const [, findings = ""] = /<ul class="findings">(.*?)<\/ul>/s.exec(report) ?? [];
    const lines = [...findings.matchAll(/<li>(.*?)<\/li>/g)].map(([, line]) => line.replace(/<[^>]*>/g, ""));
    expect(await page.$$eval(".findings li", (all) => all.map(({ textContent }) => textContent))).toEqual(
      lines,
    );
  });

  it("reads an address’s file again with its options, and says which it is", async () => {
    const path = written("again.csv", table(120));
    const first = await open(browser);
    await drop(first, path);
    await untilState(first, "read");
    await choose(first, "target", "colour");
    await understood(first, /“colour”/);
    await choose(first, "ignore", "third");
    await understood(first, /from 4 inputs of 3 columns/);
    await choose(first, "seeds", "2");
    const hash = new URL(first.url()).hash;
    expect(hash).toMatch(/^#file=again\.csv&size=\d+&target=colour&ignore=third&seeds=2$/);

    const page = await open(browser, hash);
    expect(await textOf(page, ".awaited")).toMatch(/comparison on again\.csv \(3\.8 kB\), but no data/);
    await drop(page, path);
    await understood(page, /“colour” \(2 classes\) from 4 inputs/);
    expect(await textOf(page, ".command code")).toBe(
      "evenkeel compare --data again.csv --target colour --ignore third --seeds 2",
    );
    expect(new URL(page.url()).hash).toBe(hash);
  });
});

describe("a file that cannot be read", () => {
  const parquet = readFileSync(root("lab/test/fixtures/people.parquet"));
  const broken: [string, string | Uint8Array][] = [
    ["empty.csv", ""],
    ["header.csv", "a,b,c\n"],
    ["one.csv", "a\n1\n2\n"],
    ["cut.json", '[{"a": 1, "b": 2}, {"a": '],
    ["cut.parquet", parquet.subarray(0, parquet.length - 40)],
    ["paper.pdf", "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"],
    ["rows.csv", "id,a\n1,x\n2,x\n3,x\n4,x\n"],
  ];

  it("is told of in the words of the command line", async () => {
    const page = await open("chromium");
    for (const [name, content] of broken) {
      const path = written(name, content);
      const message = await loadDataset(path, {}).then(() => "it was read", reason);
      await drop(page, path);
      expect([name, await untilState(page, "problem", "read")]).toEqual([name, "problem"]);
      expect(await page.$eval(".problem", (found) => found.textContent)).toBe(
        message.replaceAll(`${folder}/`, ""),
      );
      await press(page, "Other data …");
      await untilState(page, "empty");
    }
    // how the command line shows it
    const own = promisify(execFile)(process.execPath, [cli, "compare", "--data", join(folder, "header.csv")]);
    const { stderr } = await own.catch((error: { stderr: string }) => error);
    const told = await loadDataset(join(folder, "header.csv"), {}).catch(reason);
    expect(stderr.replace(/\s+/g, " ").trim()).toBe(`error: ${told}`);
  });

  it("leaves its controls, which mend it", async () => {
    const page = await open("chromium", "#file=mended.csv&target=nothing");
    await drop(page, written("mended.csv", table(60)));
    await untilState(page, "problem");
    expect(await textOf(page, ".problem")).toMatch(/^--target: there is no column "nothing"/);
    const targets = await page.$$eval("#set-target option", (all) =>
      all.map(({ textContent }) => textContent),
    );
    expect(targets).toEqual(["as found", "nothing", "id", "first", "second", "third", "colour", "label"]);
    expect(await textOf(page, "label[for=set-target]")).toBe("Target --target");
    await choose(page, "target", "first");
    await understood(page, /Regression: “first”/);
    expect(await page.$$(".problem")).toEqual([]);
  });
});

it("reads what the lab reads", async () => {
  const page = await open("chromium");
  const files: [string, RegExp][] = [
    [root("lab/data/credit-g.arff"), /“class” \(2 classes\) from 61 inputs of 20 columns/],
    [root("lab/data/sentiment-yelp.json"), /up to \d+ words/],
    [root("lab/data/digits-8x8.csv.gz"), /1,797, all used/],
    [root("lab/test/fixtures/people.parquet"), /Regression: “height”/],
    [root("lab/test/fixtures/book.xlsx"), /Regression: “share”/],
    [root("lab/data/electricity-half-hourly.csv"), /Forecasting/],
    [root("lab/test/fixtures/types.arrow"), /Regression: “y”/],
    [written("tabs.tsv", table(60).replaceAll(",", "\t")), /“label” \(2 classes\) from 5 inputs/],
  ];
  for (const [path, expected] of files) {
    await drop(page, path);
    await understood(page, expected);
    await press(page, "Other data …");
    await untilState(page, "empty");
  }
});

it("reads as its controls say, those that have a place in the task", async () => {
  const page = await open("chromium");
  await drop(page, written("options.csv", table(90)));
  await untilState(page, "read");
  const steps: [string, string, RegExp][] = [
    ["target", "third", /Regression: “third”/],
    ["ignore", "colour", /from 4 inputs of 3 columns/],
    ["keep", "id", /from 5 inputs of 4 columns/],
    ["limit", "40", /90 in the file, 40 used/],
    ["parts", "50,25,25", /20 examples to train on, 10 to validate, 10 held out/],
  ];
  for (const [name, value, expected] of steps) {
    await choose(page, name, value);
    await understood(page, expected);
  }
  expect(await page.$("#set-horizon")).toBe(null);
  await choose(page, "task", "forecasting");
  await page.waitForSelector("#set-horizon");
  expect(await page.$("#set-group")).toBe(null);
  expect(await textOf(page, ".field label[for=set-horizon] small")).toBe("--horizon");
  // a button takes a column back
  await page.waitForSelector(".columns button");
  const taken = await page.$$eval(".columns button", (all) => all.map((each) => each.textContent));
  expect(taken).toEqual(["Leave out: take back colour ×", "Keep: take back id ×"]);
});

it("does not freeze while 50 MB are read, and can be stopped", async () => {
  const page = await open("chromium", "#file=big.csv&limit=1000");
  const lines = table(20_000).split("\n");
  const block = `${lines.slice(1, -1).join("\n")}\n`;
  const path = written("big.csv", `${lines[0]}\n${block.repeat(Math.ceil(50e6 / block.length))}`);
  await page.evaluate(() => {
    const long: number[] = [];
    Object.assign(globalThis, { long });
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) long.push(duration);
    }).observe({ type: "longtask" });
  });
  await drop(page, path);
  await understood(page, /1,\d{3},\d{3} in the file, 1,000 used/);
  // all of it, which takes longer
  await choose(page, "limit", "");
  await untilState(page, "reading");
  expect(page.workers().length).toBe(1);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await press(page, "Stop");
  expect(await untilState(page, "stopped", "read")).toBe("stopped");
  // frozen would be seconds: it is the worker that reads
  const longest = await page.evaluate(() =>
    Math.max(0, ...(globalThis as unknown as { long: number[] }).long),
  );
  expect(longest).toBeLessThan(500);
  await page.waitForFunction(() => document.activeElement?.id === "source");
  await expect.poll(() => page.workers().length).toBe(0);
  await choose(page, "limit", "500");
  await understood(page, /500 used/);
});

/** Names that would be markup, or are as long as a page; as many columns as a page has no room for. */
function hostile(): string {
  const next = generator();
  const names = [
    "<b>bold</b>",
    "<img src=x onerror=alert(1)>",
    '"quoted"" & </script><script>alert(2)</script>"',
    `a name ${"that goes on ".repeat(30)}`,
    "x".repeat(190),
    ...Array.from({ length: 195 }, (_, i) => `measurement ${i + 1}`),
    "label",
  ];
  const rows = Array.from({ length: 60 }, () => [
    ...names.slice(1).map(() => next().toFixed(3)),
    next() < 0.5 ? "<i>a</i>" : "b",
  ]);
  return `${[names, ...rows].map((row) => row.join(",")).join("\n")}\n`;
}

it.each([
  ["light", 1280],
  ["dark", 390],
] as const)("is accessible, and as wide as its window: %s, %d px", async (scheme, width) => {
  const name = `a-file-whose-name-${"goes-on-".repeat(20)}.csv`;
  const page = await open("chromium", `#file=${name}&norms=none,layer&epochs=1&seeds=1&depth=2&width=4`, {
    scheme,
    width,
  });
  const checked = async () => {
    expect(await axe(page)).toEqual([]);
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(beyond).toBeLessThanOrEqual(0);
  };
  await checked();
  await drop(page, written(name, hostile()));
  await untilState(page, "read");
  await choose(page, "ignore", "x".repeat(190));
  await understood(page, /from 199 inputs/);
  await page.$$eval("details", (all) => {
    for (const each of all) each.open = true;
  });
  await checked();
  // names of columns are no markup; the page's own are none of these
  expect(await page.$$("#main :is(i, img, script)")).toEqual([]);
  expect(
    await page.$$eval("#main b", (all) => all.filter(({ textContent }) => textContent === "bold")),
  ).toEqual([]);
  await press(page, "Compare");
  await untilState(page, "finished");
  await page.waitForSelector(".findings li, .outcome table");
  await checked();
});

it("is used by keyboard alone", async () => {
  const page = await open("chromium");
  await page.focus(".offers li:nth-child(1) button");
  await page.keyboard.press("Enter");
  await untilState(page, "read");
  expect(await page.evaluate(() => document.activeElement?.id)).toBe("source");
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Other data …");
  await page.focus("#set-target");
  await page.keyboard.type("mean radius");
  await understood(page, /Regression: “mean radius”/);
});

it("takes rows that are pasted", async () => {
  const page = await open("chromium");
  await page.evaluate(
    (rows) => {
      const clipboardData = new DataTransfer();
      clipboardData.setData("text/plain", rows);
      document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
    },
    table(50).replaceAll(",", "\t"),
  );
  await untilState(page, "read");
  expect(await textOf(page, "#source")).toMatch(/^pasted\.tsv 1\.6 kB$/);
});
