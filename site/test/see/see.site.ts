/** "See it work": the numbers are the command line's, each control does what it says, and no worker outlives its page. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Comparison } from "@evenkeel/lab/results";
import { afterAll, describe, expect, it } from "vitest";
import { axe, browsers, openPage, type Page, schemes, served } from "../support/browser.ts";

const cli = fileURLToPath(new URL("../../../lab/dist/cli.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "evenkeel-see-"));
afterAll(() => rmSync(folder, { recursive: true }));

const site = served();
/** A comparison of a second or two. */
const QUICK = "data=breast-cancer&norms=none,layer&depth=2&width=8&epochs=2&rate=0.05";

/** The state that the page says it is in. */
const reaches = (page: Page, ...states: string[]) =>
  page.waitForFunction(
    (wanted) => wanted.includes(document.documentElement.dataset.state ?? ""),
    { timeout: 100_000 },
    states,
  );

/** What "Save the numbers" saves. */
async function numbersOf(page: Page): Promise<Comparison> {
  const text = await page.evaluate(async () => {
    const { createObjectURL } = URL;
    const { click } = HTMLAnchorElement.prototype;
    HTMLAnchorElement.prototype.click = () => {};
    const saved = new Promise<Blob>((resolve) => {
      URL.createObjectURL = (blob) => {
        resolve(blob as Blob);
        return createObjectURL(blob);
      };
    });
    const button = [...document.querySelectorAll("button")].find(
      ({ textContent }) => textContent === "Save the numbers",
    );
    button?.click();
    const blob = await saved;
    URL.createObjectURL = createObjectURL;
    HTMLAnchorElement.prototype.click = click;
    return blob.text();
  });
  return JSON.parse(text);
}

/** What a comparison is of, without times and machines. */
const scoresOf = ({ trials }: Comparison) =>
  trials.map(({ norm, seed, learningRate, scores, epochs }) => ({
    ...{ norm, seed, learningRate, scores },
    epochs: epochs.map(({ seconds, ...epoch }) => epoch),
  }));

/** The same by the command that the page shows. */
async function byCommand(page: Page): Promise<Comparison> {
  const command = await page.$eval(".command code", ({ textContent }) => textContent ?? "");
  const [, ...args] = command.split(" ");
  const out = mkdtempSync(join(folder, "out-"));
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [cli, ...args, "--json", "--out", join(out, "r")],
    {
      maxBuffer: 2 ** 26,
    },
  );
  return JSON.parse(stdout);
}

it("opens with the deep network of npm start, and ends with the command line's numbers", async () => {
  const page = await openPage("chromium", (await site).url);
  await page.waitForFunction(() => document.querySelectorAll(".live svg").length === 4);
  await reaches(page, "finished");
  const [here, there] = [await numbersOf(page), await byCommand(page)];
  expect(here.data).toEqual(there.data);
  expect(here.model).toEqual(there.model);
  expect(here.training).toEqual(there.training);
  expect(scoresOf(here)).toEqual(scoresOf(there));
  // what one reads is that, too
  const rows = await page.$$eval(".outcome tbody tr[data-norm]", (found) =>
    found.map((row) => [
      row.getAttribute("data-norm"),
      row.querySelector(".value")?.textContent?.replace("\u00a0", " "),
    ]),
  );
  expect(rows).toEqual(
    there.summaries.map(({ norm, metric }) => [norm, `${((metric.median ?? 0) * 100).toFixed(1)} %`]),
  );
});

/** A control, what is done to it, and what must be so in the numbers of the comparison that follows. */
const controls: [string, (page: Page) => Promise<unknown>, (comparison: Comparison) => unknown, unknown][] = [
  ["depth", (page) => slide(page, "depth", 2), ({ model }) => model.depth, 3],
  ["batch size", (page) => slide(page, "batch", 6), ({ training }) => training.batchSize, 64],
  [
    "offset",
    (page) => slide(page, "offset", 6),
    ({ data }) => data.decisions.at(-1)?.what,
    "10,000 is added to every input, after it was standardized",
  ],
  ["learning rate ×", (page) => slide(page, "times", 4), ({ training }) => training.learningRates, [0.5]],
  ["one more norm", (page) => press(page, "norm-rms"), norms, ["none", "layer", "rms"]],
  ["another norm", (page) => page.select("[name=add-norm]", "ada"), norms, ["none", "layer", "rms", "ada"]],
  ["one norm less", (page) => press(page, "norm-layer"), norms, ["none", "rms", "ada"]],
  ["width", (page) => type(page, "width", "6"), ({ model }) => model.width, 6],
  ["activation", (page) => page.select("[name=activation]", "tanh"), ({ model }) => model.activation, "tanh"],
  [
    "optimizer",
    (page) => page.select("[name=optimizer]", "adam"),
    ({ training }) => training.optimizer,
    "adam",
  ],
  ["rate", (page) => type(page, "rate", "0.01"), ({ training }) => training.learningRates, [0.1]],
  ["epochs", (page) => type(page, "epochs", "1"), ({ training }) => training.epochs, 1],
  [
    "network",
    (page) => page.select("[name=model]", "residual-mlp"),
    ({ model }) => model.kind,
    "residual-mlp",
  ],
  ["seeds", (page) => type(page, "seeds", "2"), ({ training }) => training.seeds, [1, 2]],
  ["data", (page) => page.select("[name=data]", "vehicle"), ({ data }) => data.name, "vehicle"],
  [
    "rate of its own",
    (page) => page.select("[name=rate-how]", "tuned"),
    ({ training }) => training.learningRates.length,
    3,
  ],
];

function norms({ summaries }: Comparison): string[] {
  return summaries.map(({ norm }) => norm);
}

async function slide(page: Page, name: string, value: number) {
  await page.$eval(
    `input[type=range][name=${name}]`,
    (input, at) => {
      (input as HTMLInputElement).value = String(at);
      input.dispatchEvent(new Event("input", { bubbles: true }));
    },
    value,
  );
}

/** By keyboard, wherever a control stands by then. */
async function press(page: Page, name: string) {
  await page.focus(`[name=${name}]`);
  await page.keyboard.press("Space");
}

async function type(page: Page, name: string, value: string) {
  const selector = `input[name=${name}]`;
  await page.focus(selector);
  await page.$eval(selector, (input) => (input as HTMLInputElement).select());
  await page.keyboard.type(value);
  await page.keyboard.press("Tab");
}

it("each control does what it says, and the address keeps it", { timeout: 240_000 }, async () => {
  const { url } = await site;
  const page = await openPage("chromium", `${url}#${QUICK}`);
  await reaches(page, "finished");
  for (const [name, act, of, expected] of controls) {
    await page.evaluate(() => {
      document.documentElement.dataset.state = "to be seen";
    });
    await act(page);
    await reaches(page, "finished", "problem");
    const comparison = await numbersOf(page);
    expect([name, of(comparison)]).toEqual([name, expected]);
  }
  // whoever opens the address sees the same numbers
  const other = await openPage("chromium", page.url());
  await reaches(other, "finished");
  expect(scoresOf(await numbersOf(other))).toEqual(scoresOf(await numbersOf(page)));
  expect(await other.$eval("[name=seeds]", (input) => (input as HTMLInputElement).value)).toBe(
    await page.$eval("[name=seeds]", (input) => (input as HTMLInputElement).value),
  );
});

describe.each(browsers)("in %s", (browser) => {
  it("pauses, takes one step, and goes on to the same numbers", async () => {
    const { url } = await site;
    const page = await openPage(browser, `${url}#${QUICK.replace("epochs=2", "epochs=15")}`);
    const press = (text: string) =>
      page.evaluate((wanted) => {
        [...document.querySelectorAll("button")].find(({ textContent }) => textContent === wanted)?.click();
      }, text);
    const done = () =>
      page.$$eval(".trials progress", (found) => found.map((each) => (each as HTMLProgressElement).value));
    await page.waitForFunction(() => document.querySelector(".trials progress"));
    await press("Pause");
    // turns that were given end
    const settled = async () => {
      let last: number[];
      do {
        last = await done();
        await new Promise((resolve) => setTimeout(resolve, 900));
      } while (String(last) !== String(await done()));
      return last;
    };
    const before = await settled();
    expect(await page.$eval("[role=status]", ({ textContent }) => textContent?.trim())).toBe("Paused.");
    await press("One step");
    const after = await settled();
    expect(after.some((value, i) => value > before[i])).toBe(true);
    // a step of each, of 15 epochs
    expect(Math.max(...after.map((value, i) => value - before[i]))).toBeLessThan(0.02);
    await press("Go on");
    await reaches(page, "finished");
    const paused = await numbersOf(page);
    await press("Again");
    await reaches(page, "running");
    await reaches(page, "finished");
    expect(scoresOf(await numbersOf(page))).toEqual(scoresOf(paused));
  });

  it.each(schemes)("has no violation in %s, on a phone too", async (scheme) => {
    const page = await openPage(browser, `${(await site).url}#${QUICK}`, { width: 390, scheme });
    await reaches(page, "finished");
    expect(await axe(page)).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  });

  it("tells what cannot be, in the command line's words", async () => {
    const page = await openPage(browser, `${(await site).url}#${QUICK}&batch=100000`);
    await reaches(page, "problem");
    expect(await page.$eval(".problem", ({ textContent }) => textContent)).toBe(
      "--batch-size: must be at most the 364 training examples, got 100000; use 364 or less",
    );
  });
});

it("webgl trains the same networks, and a backend that is not there is told", async () => {
  const { url } = await site;
  const curves = async (backend: string) => {
    const page = await openPage("chromium", `${url}#${QUICK}&backend=${backend}`);
    await reaches(page, "finished");
    const { trials, machine } = await numbersOf(page);
    expect(machine.backend).toContain(backend);
    return trials.flatMap(({ epochs }) => epochs.map(({ heldOutLoss }) => heldOutLoss ?? Number.NaN));
  };
  const [wasm, webgl] = [await curves("wasm"), await curves("webgl")];
  for (const [i, loss] of webgl.entries()) expect(loss).toBeCloseTo(wasm[i], 4);

  const page = await openPage("chromium", `${url}#${QUICK}&backend=webgpu`);
  await reaches(page, "problem");
  expect(await page.$eval(".problem", ({ textContent }) => textContent)).toBe(
    "webgpu does not run in this browser; choose another backend",
  );
});

it("of what is asked for in quick turns, the last is done alone", async () => {
  const page = await openPage("chromium", `${(await site).url}#${QUICK}`);
  await reaches(page, "finished");
  await page.evaluate(() => {
    document.documentElement.dataset.state = "to be seen";
    const hash = location.hash;
    // each begins at once
    for (const seeds of [2, 3, 4, 5]) {
      history.replaceState(null, "", `${hash}&seeds=${seeds}`);
      dispatchEvent(new HashChangeEvent("hashchange"));
    }
  });
  await reaches(page, "finished");
  const comparison = await numbersOf(page);
  expect(comparison.training.seeds).toEqual([1, 2, 3, 4, 5]);
  expect(comparison.trials.length).toBe(10);
  expect(comparison.interrupted).toBe(false);
  // what took no time since takes none
  const { wallSeconds } = comparison;
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect((await numbersOf(page)).wallSeconds).toBe(wallSeconds);
});

it("a recipe is asked, and answered", async () => {
  const page = await openPage("chromium", `${(await site).url}#${QUICK}`);
  await reaches(page, "finished");
  await page.evaluate(() => {
    document.documentElement.dataset.state = "to be seen";
    [...document.querySelectorAll("button")]
      .find(({ textContent }) => /breast masses/.test(textContent ?? ""))
      ?.click();
  });
  await reaches(page, "finished");
  expect(page.url()).toContain("#recipe=healthcare");
  expect(await page.$eval(".verdict", ({ textContent }) => textContent)).toMatch(
    /(Held|Did not hold|Not shown): better with layer normalization than without normalization/,
  );
});

it("no worker is left when a comparison is changed, or its page is gone, and memory comes back", async () => {
  const { url } = await site;
  const page = await openPage("chromium", `${url}#${QUICK}`);
  const client = await page.createCDPSession();
  const workers = new Set<string>();
  let opened = 0;
  // workers of workers too
  const attach = async (session: typeof client) => {
    session.on("Target.attachedToTarget", async ({ sessionId, targetInfo }) => {
      if (targetInfo.type === "worker") {
        workers.add(targetInfo.targetId);
        opened++;
      }
      const own = client.connection()?.session(sessionId);
      if (own) await attach(own as typeof client).catch(() => {});
    });
    session.on("Target.detachedFromTarget", ({ targetId }) => targetId && workers.delete(targetId));
    await session.send("Target.setAutoAttach", {
      autoAttach: true,
      waitForDebuggerOnStart: false,
      flatten: true,
    });
  };
  await attach(client);
  const heap = async () => {
    // the report of what is finished is held too, as soon as it is there
    await page.waitForFunction(
      () => document.querySelector("[role=status]")?.textContent?.trim() === "Finished.",
    );
    await client.send("HeapProfiler.collectGarbage");
    const { usedSize } = await client.send("Runtime.getHeapUsage");
    return usedSize;
  };
  const again = async () => {
    await page.evaluate(() => {
      document.documentElement.dataset.state = "to be seen";
      [...document.querySelectorAll("button")].find(({ textContent }) => textContent === "Again")?.click();
    });
    await reaches(page, "finished");
  };
  await reaches(page, "finished");
  await again();
  const first = await heap();
  for (let i = 0; i < 3; i++) await again();
  // of all that ran, the desk alone is left
  await expect.poll(() => workers.size).toBe(1);
  expect(opened).toBeGreaterThan(8);
  expect(await heap()).toBeLessThan(1.1 * first);
  await again();
  await page.goto("about:blank");
  await expect.poll(() => workers.size).toBe(0);
});
