/** The report, and the page of an inspection, in a real browser: they fit desktop and phone, are readable in light and dark, and their switches work without a script. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { serverDocument } from "@evenkeel/report/server-document";
import type { Checkpoint } from "evenkeel/checkpoints";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launch } from "../../../test/support/chromium.js";
import { inspect } from "../../src/inspection.js";
import type { NormName } from "../../src/norms.js";
import { renderReport } from "../../src/report/html.js";
import { renderInspection } from "../../src/report/inspection.js";
import type { Comparison } from "../../src/results.js";
import {
  batchNorm,
  checkpointOf,
  layerNorm,
  manyBatchNorms,
  sickLayers,
} from "../support/synthetic-checkpoint.js";
import { recipes, syntheticComparison } from "../support/synthetic-comparison.js";

const NORMS: NormName[] = [
  ...["none", "layer", "rms", "batch", "group", "instance"],
  ...["batch-renorm", "dynamic-tanh", "filter-response", "local-response", "ada"],
];
const SMALLEST_TEXT_PX = 11;

const REPORTS: Record<string, Comparison> = {
  "six norms": syntheticComparison(),
  "eight norms, most of them others": syntheticComparison({
    norms: [
      "none",
      "layer",
      "batch",
      "batch-renorm",
      "dynamic-tanh",
      "filter-response",
      "local-response",
      "ada",
    ],
  }),
  "long words": syntheticComparison({
    norms: ["none", "batch"],
    seeds: [1],
    epochs: 3,
    depth: 50,
    diverging: { none: 3 },
    dataName: `${"a-very-long-file-name-without-a-space-".repeat(4)}.csv`,
  }),
  "everything at once": syntheticComparison({
    ...recipes["decisions and warnings"],
    norms: ["none", "layer", "batch"],
    baseline: "layer",
    seeds: [1, 2, 3, 4],
    learningRates: [0.01, 0.03, 0.1, 0.3],
    sweep: ["learning-rate", [0.001, 0.01, 0.1, 1]],
  }),
  "every norm": syntheticComparison({ ...recipes["every norm"], depth: 4, epochs: 6 }),
  "hostile names": syntheticComparison({ ...recipes["hostile names"], norms: ["none", "batch"] }),
  "1,000 classes, 500 columns": syntheticComparison(recipes["1,000 classes, 500 columns"]),
  "one of everything": syntheticComparison({
    norms: ["layer"],
    seeds: [1],
    epochs: 1,
    depth: 1,
    metric: "R²",
  }),
};

const INSPECTIONS: Record<string, Checkpoint> = {
  "inspection of 52 batch norms": checkpointOf(manyBatchNorms()),
  "inspection with every finding": checkpointOf(sickLayers),
  "inspection of long words": checkpointOf(
    [layerNorm, batchNorm, layerNorm].map((norm, i) =>
      norm(`${"a-very-long-name-of-a-layer-".repeat(5)}.${i}`, 8),
    ),
    { file: `${"a-very-long-file-name-without-a-space-".repeat(4)}.pt` },
  ),
};

/** Markup by name. */
const PAGES = new Map(
  Object.entries(REPORTS).map(([name, report]) => [name, renderReport(report, serverDocument)]),
);
for (const [name, checkpoint] of Object.entries(INSPECTIONS)) {
  PAGES.set(name, renderInspection(await inspect(checkpoint, "0"), serverDocument));
}

let browser: Browser;
let folder: string;

beforeAll(async () => {
  browser = await launch();
  folder = await mkdtemp(join(tmpdir(), "evenkeel-report-"));
});

afterAll(async () => {
  await browser?.close();
  if (folder) await rm(folder, { recursive: true });
});

interface Visit {
  page: Page;
  /** What the browser complained about: console errors, exceptions, and requests other than for the file. */
  complaints: string[];
}

async function visit(name: string, size: [number, number], scheme: "light" | "dark"): Promise<Visit> {
  const file = join(folder, `${name}.html`);
  await writeFile(file, PAGES.get(name) ?? "");
  const page = await browser.newPage({ viewport: { width: size[0], height: size[1] }, colorScheme: scheme });
  const complaints: string[] = [];
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => {
    if (request.url() !== pathToFileURL(file).href) complaints.push(`requested ${request.url()}`);
  });
  await page.goto(pathToFileURL(file).href);
  return { page, complaints };
}

/** Runs in the page: WCAG contrast of colours against the page's background, and what is too small or does not fit. */
function measure(norms: string[]) {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const luminance = (colour: string): number => {
    if (!context) throw new Error("no canvas");
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r = 0, g = 0, b = 0] = [...context.getImageData(0, 0, 1, 1).data].map((byte) => {
      const share = byte / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a: string, b: string): number => {
    const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const backgroundOf = (element: Element): string => {
    for (let at: Element | null = element; at; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      if (backgroundColor !== "rgba(0, 0, 0, 0)") return backgroundColor;
    }
    return "white";
  };
  const textContrast = [
    "h1",
    "h2",
    ".eyebrow",
    ".deck",
    ".findings li",
    ".how p",
    ".note",
    "caption",
    "thead small",
    "tbody th",
    "td .value",
    "td small",
    "td em",
    "h3",
    ".warnings p",
    ".warnings li",
    ".guess *",
    "summary",
    ".plain :is(th,td,caption)",
    ".confusion td.right",
    ".confusion td:not(.right)",
    ".decisions :is(b,small,code,.why)",
    ".switches button",
    ".switches label",
    "figcaption",
    "figcaption span",
    "dt",
    "dd",
    "pre",
    "footer",
  ].flatMap((selector) =>
    [...document.querySelectorAll(selector)]
      .filter((element) => !element.closest("details:not([open])"))
      .slice(0, 40)
      .map((element): [string, number] => [
        selector,
        contrast(getComputedStyle(element).color, backgroundOf(element)),
      ]),
  );
  const svgText = [...document.querySelectorAll("svg[role=img] text")].map((element): [string, number] => [
    `svg text ${element.textContent}`,
    contrast(getComputedStyle(element).fill, backgroundOf(element)),
  ]);
  const seriesContrast = norms.flatMap((norm) =>
    [
      ...document.querySelectorAll(
        `.s-${norm}[data-part=line] [stroke], .s-${norm}[data-part=line][stroke], .swatch line[stroke*=${norm}]`,
      ),
    ]
      .filter((element) => getComputedStyle(element).stroke !== "none")
      .map((element): [string, number] => [
        norm,
        contrast(getComputedStyle(element).stroke, backgroundOf(element)),
      ]),
  );
  const figures = [...document.querySelectorAll("svg[role=img]")].map((element) => {
    const { width, height, left, right } = element.getBoundingClientRect();
    return { width, height, left, right };
  });
  const textHeights = [...document.querySelectorAll<SVGTextElement>("svg[role=img] text")].map((element) => {
    const scale = element.getScreenCTM()?.a ?? 0;
    return Number.parseFloat(getComputedStyle(element).fontSize) * scale;
  });
  const clipped = [...document.querySelectorAll("svg[role=img] text")]
    .filter((element) => {
      const text = element.getBoundingClientRect();
      const frame = element.closest("svg")?.getBoundingClientRect();
      return (
        frame &&
        (text.left < frame.left - 1 || text.right > frame.right + 1 || text.bottom > frame.bottom + 1)
      );
    })
    .map((element) => element.textContent);
  const squeezed = [...document.querySelectorAll("tbody th, tbody td, .switches label")]
    .filter((element) => element.scrollWidth > element.clientWidth + 1)
    .map((element) => element.textContent);
  return {
    squeezed,
    text: [...textContrast, ...svgText],
    series: seriesContrast,
    figures,
    textHeights,
    clipped,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    background: getComputedStyle(document.body).backgroundColor,
  };
}

const SIZES: Record<string, [number, number]> = { desktop: [1280, 900], phone: [390, 844] };

describe.each([...PAGES.keys()])("%s", (name) => {
  describe.each(Object.entries(SIZES))("on a %s", (_, size) => {
    test.each(["light", "dark"] as const)("%s", async (scheme) => {
      const { page, complaints } = await visit(name, size, scheme);
      const seen = await page.evaluate(measure, NORMS);
      await page.close();
      expect(complaints).toEqual([]);
      expect(seen.overflow).toBeLessThanOrEqual(0);
      expect(seen.figures.length).toBeGreaterThan(8);
      for (const { width, height, left, right } of seen.figures) {
        expect(width).toBeGreaterThan(120);
        expect(height).toBeGreaterThan(20);
        expect(left).toBeGreaterThanOrEqual(0);
        expect(right).toBeLessThanOrEqual(size[0]);
      }
      expect(Math.min(...seen.textHeights)).toBeGreaterThanOrEqual(SMALLEST_TEXT_PX);
      expect(seen.clipped).toEqual([]);
      expect(seen.squeezed).toEqual([]);
      expect(seen.text.filter(([, ratio]) => ratio < 4.5)).toEqual([]);
      expect(seen.series.length).toBeGreaterThan(0);
      expect(seen.series.filter(([, ratio]) => ratio < 3)).toEqual([]);
    });
  });
});

test.each(["everything at once", "every norm", "hostile names", "1,000 classes, 500 columns"])(
  "%s: what is folded away fits a phone too, once it is opened",
  async (name) => {
    const { page } = await visit(name, [390, 844], "light");
    await page.evaluate(() => {
      for (const details of document.querySelectorAll("details")) details.open = true;
    });
    const { overflow, squeezed } = await page.evaluate(measure, NORMS);
    const captions = await page.evaluate(
      () =>
        [...document.querySelectorAll(".plain caption:not(.unseen)")].filter(
          (caption) => caption.getBoundingClientRect().right > innerWidth,
        ).length,
    );
    await page.close();
    expect(overflow).toBeLessThanOrEqual(0);
    expect(squeezed).toEqual([]);
    expect(captions).toBe(0);
  },
);

test("values appear under the pointer, and go with the switch of their normalization", async () => {
  const { page } = await visit("six norms", [1280, 900], "light");
  const tip = page.locator("#learning figure:nth-child(3) .tip").nth(9);
  const said = tip.locator("g");
  const visible = () => said.evaluate((element) => getComputedStyle(element).visibility);
  expect(await visible()).toBe("hidden");
  await tip.locator("> rect").hover();
  expect(await visible()).toBe("visible");
  expect(await said.locator("tspan").first().textContent()).toBe("epoch 10");
  const line = said.locator("tspan.s-batch");
  expect(await line.textContent()).toMatch(/^batch [\d.]+\s% \([\d.]+ – [\d.]+\s%\)$/);
  await page.getByRole("checkbox", { name: "batch" }).uncheck();
  expect(await line.evaluate((element) => getComputedStyle(element).display)).toBe("none");
  await page.close();
});

test("a switch that is pointed at or has the keyboard fades the others, and one button shows all again", async () => {
  const { page } = await visit("six norms", [1280, 900], "light");
  const opacity = (norm: NormName) =>
    page.evaluate((name) => {
      const mark = document.querySelector(`#learning g.s-${name}[data-part=line]`);
      // where the transition ends
      for (const animation of document.getAnimations()) animation.finish();
      return mark && getComputedStyle(mark).opacity;
    }, norm);
  await page.locator("label", { hasText: "batch" }).hover();
  expect([await opacity("batch"), await opacity("layer")]).toEqual(["1", "0.12"]);
  await page.mouse.move(0, 0);
  expect(await opacity("layer")).toBe("1");
  await page.getByRole("checkbox", { name: "none" }).focus();
  await page.keyboard.press("Tab");
  expect([await opacity("layer"), await opacity("batch")]).toEqual(["1", "0.12"]);
  for (const name of ["none", "layer", "RMS"]) await page.getByRole("checkbox", { name }).uncheck();
  await page.getByRole("button", { name: "Show all" }).click();
  expect(await page.locator(".switches input:checked").count()).toBe(6);
  await page.close();
});

test("the schemes differ", async () => {
  const backgrounds = await Promise.all(
    (["light", "dark"] as const).map(async (scheme) => {
      const { page } = await visit("one of everything", [800, 600], scheme);
      const { background } = await page.evaluate(measure, NORMS);
      await page.close();
      return background;
    }),
  );
  expect(new Set(backgrounds).size).toBe(2);
});

test("a switch hides its normalization in every figure, and no other", async () => {
  const { page } = await visit("six norms", [1280, 900], "light");
  const shown = (norm: NormName) =>
    page.evaluate(
      (name) =>
        [...document.querySelectorAll(`.s-${name}, .p-${name}`)].filter(
          (mark) => mark.getBoundingClientRect().width > 0,
        ).length,
      norm,
    );
  const before = { batch: await shown("batch"), layer: await shown("layer") };
  expect(before.batch).toBeGreaterThan(8);
  await page.getByRole("checkbox", { name: "batch" }).uncheck();
  expect(await shown("batch")).toBe(0);
  expect(await shown("layer")).toBe(before.layer);
  expect(await page.locator("#numbers tr[data-norm=batch]").first().isVisible()).toBe(true);
  await page.getByRole("checkbox", { name: "batch" }).check();
  expect(await shown("batch")).toBe(before.batch);
  await page.close();
});
