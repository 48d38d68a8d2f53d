/** Your model: files are dropped and chosen, and the page shows what `evenkeel inspect` says of them. */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { ElementHandle } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Server } from "../../build/server.ts";
import {
  axe,
  browsers,
  type Name,
  openPage,
  type Page,
  type PageOptions,
  schemes,
  served,
} from "../support/browser.ts";
import { saved } from "../support/saved.ts";

const run = promisify(execFile);
const pathOf = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const cli = pathOf("../../../lab/dist/cli.js");
const fixtures = pathOf("../../../test/fixtures/checkpoints");
const scratch = mkdtempSync(join(tmpdir(), "evenkeel-model-"));
afterAll(() => rm(scratch, { recursive: true }));

let site: Server;
beforeAll(async () => {
  site = await served();
});

const openModel = (browser: Name, options: PageOptions & { hash?: string } = {}): Promise<Page> =>
  openPage(browser, `${site.url}model/index.html${options.hash ?? ""}`, options);

/** Chooses files of this machine, as a visitor does. */
async function choose(page: Page, files: string[], folder = false): Promise<void> {
  const input = (await page.$(
    folder ? "input[webkitdirectory]" : "input[type=file]:not([webkitdirectory])",
  )) as ElementHandle<HTMLInputElement>;
  // what was told of the last one goes when this one comes
  await page.$$eval(ANSWERS, (all) => {
    for (const each of all) each.setAttribute("data-of-last", "");
  });
  await input.uploadFile(...files.map((file) => join(fixtures, file)));
}

const ANSWERS = ".inspection h1, .problem";

/** Until it has answered, and read no more. */
async function settled(page: Page): Promise<void> {
  await page.waitForFunction(
    (answers) =>
      !document.querySelector("[role=status]")?.textContent?.endsWith("…") &&
      [...document.querySelectorAll(answers)].some((each) => !each.hasAttribute("data-of-last")),
    {},
    ANSWERS,
  );
}

/** The name and text of what it saves. */
async function savedText(page: Page, label: string): Promise<{ name: string; text: string }> {
  const { name, bytes } = await saved(page, label);
  return { name, text: bytes.toString() };
}

interface Told {
  stdout: string;
  stderr: string;
  /** What `--html` wrote. */
  page?: string;
}

const known = new Map<string, Promise<Told>>();

/** What the command line says of the file, from the folder in which the page has it; each once for all browsers. */
function told(file: string, folder = dirname(file)): Promise<Told> {
  const ask = async (): Promise<Told> => {
    const page = join(scratch, `${known.size}.html`);
    const args = [cli, "inspect", relative(folder, file), "--json", "--html", page];
    const options = { cwd: join(fixtures, folder), maxBuffer: 2 ** 28 };
    const { stdout, stderr } = await run(process.execPath, args, options).catch((error) => error);
    return { stdout, stderr, page: existsSync(page) ? readFileSync(page, "utf8") : undefined };
  };
  const asked = known.get(file) ?? ask();
  known.set(file, asked);
  return asked;
}

const shownNames = (page: Page): Promise<string[]> =>
  page.$$eval("#all tbody th", (heads) =>
    heads.map((head) => (head.textContent ?? "").slice(head.querySelector("small")?.textContent?.length)),
  );

const problemOf = (page: Page): Promise<string> => page.$eval(".problem", (each) => each.textContent ?? "");

/** Of each framework and format, the file that is opened first, and those that come with it. */
const families: [string, string[]][] = [
  ["a state dict of PyTorch", ["pytorch/images.state.pt"]],
  ["a state dict before 1.6", ["pytorch/features.state.legacy.pt"]],
  ["a module of PyTorch", ["pytorch/volumes.module.pt"]],
  ["TorchScript", ["pytorch/images.script.pt"]],
  ["safetensors", ["safetensors/network.safetensors"]],
  [
    "safetensors in shards",
    [
      "safetensors/sharded/model.safetensors.index.json",
      "safetensors/sharded/model-00001-of-00002.safetensors",
      "safetensors/sharded/config.json",
      "safetensors/sharded/model-00002-of-00002.safetensors",
    ],
  ],
  ["fastai", ["fastai/export.pkl"]],
  ["HDF5 of Keras 1", ["keras1/images.h5"]],
  [".keras of Keras 2", ["keras2/normalizations.keras"]],
  ["weights of Keras 3", ["keras3/normalizations.weights.h5"]],
  [
    "a checkpoint of TensorFlow",
    ["tensorflow/keras2/training-1.index", "tensorflow/keras2/training-1.data-00000-of-00001"],
  ],
  [
    "TensorFlow.js",
    [
      "tensorflowjs/layers/model.json",
      "tensorflowjs/layers/group1-shard2of2.bin",
      "tensorflowjs/layers/group1-shard1of2.bin",
    ],
  ],
  ["MXNet", ["mxnet/exported-0008.params", "mxnet/exported-symbol.json"]],
  ["ONNX", ["onnx/norms-23.onnx"]],
  ["ONNX with external data", ["onnx/external.onnx", "onnx/external.data"]],
  ["NumPy, without normalizations", ["npz/arrays.npz"]],
];

// the command line starts anew for each file
describe.each(browsers)("in %s", { timeout: 180_000 }, (browser) => {
  it("shows of each format what the command line says, and saves both byte by byte", async () => {
    const page = await openModel(browser);
    // how a file is read is the same code: what is the browser's are files in ranges, several, and what is deflated
    const some = browser === "chromium" ? families : families.filter((_, i) => i % 3 === 2);
    for (const [family, files] of some) {
      const { stdout, page: written } = await told(files[0]);
      // the order in which files come says nothing
      await choose(page, files.toReversed());
      await settled(page);
      const { normalizations, file } = JSON.parse(stdout);
      expect(await page.$$eval(".problem", (all) => all.map((each) => each.textContent))).toEqual([]);
      expect(await savedText(page, "Save the numbers"), family).toEqual({
        name: `${file}.inspection.json`,
        text: stdout,
      });
      expect(await savedText(page, "Save this page"), family).toEqual({
        name: `${file}.inspection.html`,
        text: written,
      });
      expect(await shownNames(page), family).toEqual(
        normalizations.map((each: { name: string }) => each.name),
      );
      expect(await page.$eval(".further pre", (pre) => pre.textContent)).toBe(`evenkeel inspect ${file}`);
      const links = await page.$$eval(".further a", (all) => all.map((each) => each.getAttribute("href")));
      const kinds = new Set(normalizations.map((each: { kind: string }) => each.kind));
      expect(links).toEqual([...kinds].map((kind) => `../norms/${kind}/index.html`));
    }
  });

  it("opens what is dropped", async () => {
    const page = await openModel(browser);
    const bytes = [...readFileSync(join(fixtures, "onnx/norms-23.onnx"))];
    await page.evaluate((all) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([Uint8Array.from(all)], "a model's name.onnx"));
      const drop = document.querySelector(".drop") as HTMLElement;
      drop.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    }, bytes);
    await settled(page);
    expect(await page.$eval(".further pre", (pre) => pre.textContent)).toBe(
      `evenkeel inspect 'a model'\\''s name.onnx'`,
    );
    expect((await shownNames(page)).length).toBeGreaterThan(0);
    expect(await page.title()).toMatch(/^a model's name\.onnx · Your model/);
  });

  it("says what is wrong, as the command line does", async () => {
    const whole = readFileSync(join(fixtures, "pytorch/features.state.pt"));
    // alone in a folder, as it is alone in the page
    const wrong: [string, string | Uint8Array, RegExp][] = [
      ["notes.txt", "some notes", /^notes\.txt \(unknown\): expected one of Keras \(HDF5\), .*; convert it/],
      ["config.json", "{}", /JSON that describes none; open the file of the weights/],
      [
        "group1-shard1of2.bin",
        whole.subarray(9, 99),
        /open the model\.json beside it, whose weights it holds$/,
      ],
      [
        "model.json",
        readFileSync(join(fixtures, "tensorflowjs/layers/model.json")),
        /^model\.json \(TensorFlow\.js\): .*group1-shard1of2\.bin/,
      ],
      ["empty.pt", "", /^empty\.pt \(unknown\): the file is empty; fetch or write it again$/],
      [
        "cut.pt",
        whole.subarray(0, whole.length / 2),
        /^cut\.pt \(PyTorch.*\): .*damaged: fetch or write it again$/,
      ],
    ];
    const page = await openModel(browser);
    for (const [name, content, problem] of wrong) {
      const folder = join(scratch, browser, name.replace(".", "-"));
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, name), content);
      const path = relative(fixtures, join(folder, name));
      await choose(page, [path]);
      await settled(page);
      const text = await problemOf(page);
      expect(text).toMatch(problem);
      const { stderr } = await told(path);
      expect(stderr.replace(/\s+/g, " ").trim()).toBe(`error: ${text}`);
    }
    // and the next is opened
    await choose(page, ["onnx/norms-23.onnx"]);
    await settled(page);
    expect(await page.$$(".problem")).toHaveLength(0);
    expect((await shownNames(page)).length).toBeGreaterThan(0);
  });

  it("opens a sample, which the address restores, and which a file of one's own puts out of it", async () => {
    const before = site.requests.length;
    const page = await openModel(browser);
    // whose first view is light
    const asked = () => site.requests.slice(before).some((path) => path.includes("inspector"));
    expect(asked()).toBe(false);
    await page.click("::-p-text(A sick layer)");
    await settled(page);
    expect(asked()).toBe(true);
    expect(await page.evaluate(() => location.hash)).toBe("#sample=sick");
    const verdict =
      "The only normalization is sick: BatchNorm1d, running statistics never updated: every mean is 0, every variance 1";
    expect(await page.$eval("h1", (h1) => h1.textContent)).toBe(verdict);
    const again = await openModel(browser, { hash: "#sample=sick" });
    await settled(again);
    expect(await again.$eval("h1", (h1) => h1.textContent)).toBe(verdict);
    // another address in the same page
    await again.evaluate(() => {
      location.hash = "#sample=keras";
    });
    await again.waitForFunction(
      () => document.querySelector("h1")?.textContent === "21 normalizations, all well",
    );
    await choose(again, ["onnx/norms-23.onnx"]);
    await again.waitForFunction(() =>
      document.querySelector("[role=status]")?.textContent?.startsWith("norms-23"),
    );
    expect(await again.evaluate(() => location.hash)).toBe("");
  });

  it.each(schemes)("is for everyone, %s", async (scheme) => {
    for (const hash of ["", "#sample=keras", "#sample=sick"]) {
      const page = await openModel(browser, { hash, scheme, width: 390 });
      if (hash !== "") await settled(page);
      // what is folded away too
      await page.$$eval("details", (all) => {
        for (const each of all) each.open = true;
      });
      expect(await axe(page), hash).toEqual([]);
      expect(await page.$$("h1")).toHaveLength(1);
      for (const width of [320, 390, 780, 1020, 1280]) {
        await page.setViewport({ width, height: 800 });
        const over = await page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        expect(over, `${hash} at ${width}`).toBe(0);
      }
    }
  });

  it("is operated by keyboard, which stays where it was", async () => {
    const page = await openModel(browser);
    const focused = () => page.evaluate(() => document.activeElement?.textContent ?? "");
    const until = async (label: string) => {
      for (let i = 0; i < 30 && (await focused()) !== label; i++) await page.keyboard.press("Tab");
      expect(await focused()).toBe(label);
    };
    await until("Choose files …");
    await until("Choose a folder …");
    await until("PyTorch");
    await page.keyboard.press("Enter");
    await settled(page);
    expect(await focused()).toBe("PyTorch");
    await until("Save this page");
    await until("Save the numbers");
    await until("evenkeel inspect images.state.pt");
    await until("batch normalization");
    expect(await page.$eval("[role=status]", (each) => each.textContent)).toBe(
      "images.state.pt: 4 normalizations, all well.",
    );
  });

  it("reads of gigabytes what it needs", async () => {
    const huge = join(scratch, "huge.safetensors");
    const header = JSON.stringify({
      "norm.weight": { dtype: "F32", shape: [4], data_offsets: [5e9, 5e9 + 16] },
      "norm.bias": { dtype: "F32", shape: [4], data_offsets: [5e9 + 16, 5e9 + 32] },
      "embedding.weight": { dtype: "F32", shape: [5e6, 250], data_offsets: [0, 5e9] },
    });
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(huge, Buffer.concat([length, Buffer.from(header)]));
    truncateSync(huge, 8 + header.length + 5e9 + 32);
    const page = await openModel(browser);
    await choose(page, [relative(fixtures, huge)]);
    await settled(page);
    expect(await shownNames(page)).toEqual(["norm"]);
    expect(await page.$eval(".inspection .deck", (deck) => deck.textContent)).toMatch(
      /^huge\.safetensors: 5\.00 GB, .*1,250,000,008 parameters/,
    );
  });
});

describe("in Chromium", () => {
  it("opens folders, and lets one choose among their files", async () => {
    const page = await openModel("chromium");
    await choose(page, ["tensorflow/keras3"], true);
    await settled(page);
    const { text } = await savedText(page, "Save the numbers");
    expect(text).toBe((await told("tensorflow/keras3/saved_model.pb", "tensorflow")).stdout);
    const opened = () => page.$eval(".choice select", (each) => (each as HTMLSelectElement).value);
    expect(await opened()).toBe("keras3/saved_model.pb");
    await page.select(".choice select", "keras3/variables/variables.index");
    await settled(page);
    expect(await opened()).toBe("keras3/variables/variables.index");
    expect(await page.$eval(".inspection .deck", (deck) => deck.textContent)).toMatch(
      /TensorFlow checkpoint/,
    );
    await choose(page, ["onnx"], true);
    await settled(page);
    expect(await opened()).toMatch(/^onnx\/.*\.onnx$/);
    // a folder of none
    const none = mkdtempSync(join(scratch, "none-"));
    writeFileSync(join(none, "readme.md"), "# nothing");
    await choose(page, [relative(fixtures, none)], true);
    await settled(page);
    expect(await problemOf(page)).toMatch(
      /^none-\w+ \(source\): expected a file, got a folder without a model's entry; name a file in it$/,
    );
  });

  it("writes a file to disk", async () => {
    const page = await openModel("chromium", { hash: "#sample=pytorch" });
    await settled(page);
    const cdp = await page.createCDPSession();
    const done = new Promise<void>((resolve) => {
      cdp.on("Browser.downloadProgress", ({ state }) => state === "completed" && resolve());
    });
    await cdp.send("Browser.setDownloadBehavior", {
      behavior: "allow",
      downloadPath: scratch,
      browserContextId: page.browserContext().id,
      eventsEnabled: true,
    });
    await page.click("::-p-text(Save this page)");
    await done;
    expect(readFileSync(join(scratch, "images.state.pt.inspection.html"), "utf8")).toMatch(
      /^<!doctype html>[\s\S]*4 normalizations, all well[\s\S]*<\/html>\n$/,
    );
  });

  it("ends the worker when it has read, when it is stopped, and when another file comes", async () => {
    // sorting so many takes long enough
    const many = 1.6e7;
    const slow = join(scratch, "slow.safetensors");
    const header = JSON.stringify({
      "norm.weight": { dtype: "F32", shape: [many], data_offsets: [0, 4 * many] },
      "norm.bias": { dtype: "F32", shape: [many], data_offsets: [4 * many, 8 * many] },
    });
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(slow, Buffer.concat([length, Buffer.from(header)]));
    truncateSync(slow, 8 + header.length + 8 * many);
    const page = await openModel("chromium");
    const workers = () => page.workers().filter((worker) => worker.url().includes("inspector")).length;
    const count = async (expected: number) => expect.poll(workers, { timeout: 5000 }).toBe(expected);
    const own = relative(fixtures, slow);
    await choose(page, [own]);
    await count(1);
    await page.click("::-p-text(Stop)");
    await count(0);
    expect(await page.$eval("[role=status]", (each) => each.textContent)).toBe("");
    await choose(page, [own]);
    await count(1);
    await choose(page, [own]);
    await count(1);
    await choose(page, ["pytorch/images.state.pt"]);
    await settled(page);
    expect(await page.$eval("[role=status]", (each) => each.textContent)).toMatch(/^images\.state\.pt: /);
    await count(0);
  });
});
