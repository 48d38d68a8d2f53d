/** The editor in browsers: what one types, drags and chooses, and what one is shown of it. */
import { describe, expect, it } from "vitest";
import { axe, browsers, openPage, type Page, type PageOptions, schemes, served } from "../support/browser.ts";

const site = await served();
type Name = (typeof browsers)[number];

async function open(browser: Name, norm: string, hash = "", options: PageOptions = {}): Promise<Page> {
  const page = await openPage(browser, `${site.url}norms/${norm}/${hash}`, options);
  await page.waitForSelector(".editor .outputs .cell");
  return page;
}

/** The arrays of the page by name, each as its elements at full precision. */
const arrays = (page: Page): Promise<Record<string, number[]>> =>
  page.evaluate(() => {
    const found: Record<string, number[]> = {};
    for (const sheets of document.querySelectorAll(".flow .sheets")) {
      const name = sheets.closest(".part, .block")?.querySelector("b")?.textContent ?? "";
      found[name] ??= [...sheets.querySelectorAll<HTMLElement>(".cell")].map((cell) =>
        Number(cell.dataset.value),
      );
    }
    return found;
  });

/** What differs, by index. */
const moved = (before: number[], after: number[]) =>
  after.flatMap((value, i) => (value === before[i] ? [] : [i]));

/** Replaces what stands in a cell, by its label: `x[0, 1, 2]`. */
async function type(page: Page, label: string, text: string) {
  await page.$eval(`input[aria-label="${label}"]`, (input) => {
    (input as HTMLInputElement).focus();
    (input as HTMLInputElement).select();
  });
  await page.keyboard.type(text);
}

const textOf = (page: Page, selector: string) =>
  page.$eval(selector, (element) => element.textContent?.trim() ?? "");

const until = (page: Page, selector: string, text: string) =>
  page.waitForFunction(
    (selector, text) => document.querySelector(selector)?.textContent?.includes(text),
    {},
    selector,
    text,
  );

describe.each(browsers)("in %s", (browser) => {
  it("an edit of x changes y, and an edit of dy changes dx", async () => {
    const page = await open(browser, "layerNorm");
    const before = await arrays(page);
    await type(page, "x[0, 1, 2]", "5");
    const after = await arrays(page);
    expect(after.x[8]).toBe(5);
    expect(moved(before.y, after.y), "the row that it is in").toEqual([6, 7, 8, 9, 10, 11]);
    await type(page, "dy[0, 0, 0]", "-3");
    const last = await arrays(page);
    expect(last.y).toEqual(after.y);
    expect(moved(after.dx, last.dx)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it("dx is that of finite differences of the y that is shown", async () => {
    const page = await open(browser, "groupNorm");
    const { x, dy, dx } = await arrays(page);
    const step = 2 ** -14;
    const shown = async (value: number) => {
      await type(page, "x[0, 1, 2]", String(value));
      return (await arrays(page)).y;
    };
    const [above, below] = [await shown(x[8] + step), await shown(x[8] - step)];
    const expected = dy.reduce((sum, each, i) => sum + (each * (above[i] - below[i])) / (2 * step), 0);
    expect(above).toHaveLength(72);
    expect(Math.abs(dx[8] - expected)).toBeLessThan(1e-6);
  });

  it("works by keyboard: arrows go from cell to cell, and keys change a number", async () => {
    const page = await open(browser, "batchNorm");
    const label = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label"));
    await page.focus('input[aria-label="x[0, 0, 0]"]');
    for (const key of ["ArrowRight", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown"] as const) {
      await page.keyboard.press(key);
    }
    expect(await label(), "past the last row is the next table").toBe("x[1, 0, 1]");
    await page.keyboard.press("End");
    expect(await label()).toBe("x[1, 0, 5]");
    const before = (await arrays(page)).x[29];
    await page.keyboard.press("PageUp");
    expect((await arrays(page)).x[29]).toBeCloseTo(before + 1, 12);
    await page.keyboard.press("Tab");
    expect((await label()) ?? "", "one tab leaves the array").not.toMatch(/^x\[/);
    await page.focus('.outputs .cell[tabindex="0"]');
    await page.keyboard.press("ArrowRight");
    expect(await page.evaluate(() => (document.activeElement as HTMLElement).dataset.element)).toBe("1");
  });

  it("what is pointed at lights what it depends on, and a sentence says so", async () => {
    const page = await open(browser, "groupNorm");
    await page.focus('.outputs .cell[tabindex="0"]');
    await page.waitForSelector(".inputs .cell.lit");
    const lit = await page.$$eval(".inputs .block:first-child .cell.lit", (cells) =>
      cells.map((cell) => Number((cell as HTMLElement).dataset.element)),
    );
    expect(lit).toEqual([0, 1, 2, 6, 7, 8, 12, 13, 14, 18, 19, 20]);
    const sentence = await textOf(page, ".editor .sentence");
    expect(sentence).toContain("depends on 12 elements of x: positions and 3 of 6 channels of one example");
    // spoken once it has settled
    await until(page, ".editor .unseen[role=status]", "12 elements");
    expect(await textOf(page, ".editor .unseen[role=status]")).toBe(sentence);
  });

  it("the address has what was changed, and restores it", async () => {
    const page = await open(browser, "unitNorm");
    await type(page, "x[0, 0, 1]", "42.5");
    await page.select(".editor .controls label:last-child select", '"length"');
    const hash = "#x=1:42.5&option.guard=length";
    await page.waitForFunction((hash) => location.hash === hash, {}, hash);
    const shown = await arrays(page);
    const again = await open(browser, "unitNorm", hash);
    expect(await arrays(again)).toEqual(shown);
    await again.click(".editor .presets > .button");
    await again.waitForFunction(() => location.hash === "");
    expect((await arrays(again)).x[1]).not.toBe(42.5);
  });

  it("an option that does not fit says why, and what fitted stays", async () => {
    const page = await open(browser, "groupNorm", "#option.groups=3");
    const before = await arrays(page);
    await page.click(".editor .controls input[type=number]", { count: 3 });
    await page.keyboard.type("4");
    await page.keyboard.press("Tab");
    await until(page, ".editor .problem", "groups must divide the 6 channels");
    expect(await arrays(page)).toEqual(before);
  });

  it("two normalizations stand side by side on the same numbers", async () => {
    const page = await open(browser, "layerNorm", "#with=rmsNorm&x=0:3");
    expect(await textOf(page, ".pairs .note")).toMatch(/^72 of 72 elements of y differ/);
    const hash = "#with=positionNorm&option.scale=false&option.center=false";
    const same = await open(browser, "layerNorm", hash);
    expect(await textOf(same, ".pairs .note")).toBe("y is the same, to nine digits.");
  });

  it("compares dx with finite differences when it is asked", async () => {
    const page = await open(browser, "switchableNorm");
    await page.click(".downstream > button");
    await until(page, ".downstream", "dx is that, to within");
    const held = await open(browser, "adaNorm");
    await held.click(".downstream > button");
    await until(held, ".downstream", "holds constant");
  });

  it("has the program for each host", async () => {
    const page = await open(browser, "adaptiveLayerNorm", "#option.zero=true");
    await until(page, ".editor .code pre", "adaptiveLayerNorm({ zero: true }), [x, condition], weights");
    for (const [i, from] of ["evenkeel/tfjs", "@jax-js/jax"].entries()) {
      await page.click(`.editor .code label:nth-of-type(${i + 2}) input`);
      await until(page, ".editor .code pre", from);
    }
  });
});

it("a number that is dragged follows", async () => {
  const page = await open("chromium", "layerNorm");
  const input = await page.waitForSelector('input[aria-label="x[0, 0, 3]"]');
  await input?.scrollIntoView();
  const box = await input?.boundingBox();
  const [left, top] = [(box?.x ?? 0) + 20, (box?.y ?? 0) + 10];
  const before = await arrays(page);
  await page.mouse.move(left, top);
  await page.mouse.down();
  await page.mouse.move(left + 50, top, { steps: 5 });
  await page.mouse.up();
  await page.mouse.move(left + 90, top);
  const after = await arrays(page);
  expect(after.x[3]).toBeCloseTo(before.x[3] + 1, 10);
  expect(moved(before.y, after.y)).toEqual([0, 1, 2, 3, 4, 5]);
});

describe.each(schemes)("in %s colours", (scheme) => {
  it.each(["layerNorm", "layerNormLSTM", "spectralNorm", "spatiallyAdaptiveNorm"])(
    "%s has no violation, on a phone",
    async (norm) => {
      const page = await open("chromium", norm, "#with=batchNorm", { scheme, width: 390 });
      await page.focus('.outputs .cell[tabindex="0"]');
      await page.waitForSelector(".inputs .cell.lit");
      expect(await axe(page)).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
    },
  );
});

it("fits 320 pixels", async () => {
  const page = await open("chromium", "normalizedAttention", "", { width: 320 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
});
