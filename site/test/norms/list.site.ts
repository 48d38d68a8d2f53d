/** The list of the normalizations: searched by keyboard, kept in the address, and there without scripts. */
import { describe, expect, it } from "vitest";
import { axe, browserOf, browsers, openPage, type Page, schemes, served } from "../support/browser.ts";

const site = await served();
const LIST = `${site.url}norms/index.html`;

const titles = (page: Page) =>
  page.$$eval(".found a", (links) => links.map(({ textContent }) => textContent));
const focused = (page: Page) =>
  page.evaluate(() => document.activeElement?.textContent || document.activeElement?.id);
const found = (page: Page, title: string) =>
  page.waitForFunction((expected) => document.querySelector(".found a")?.textContent === expected, {}, title);

describe.each(browsers)("in %s", (browser) => {
  it("finds what one types, says how much when one has stopped, and keeps it in the address", async () => {
    const page = await openPage(browser, LIST);
    await page.evaluate(() => {
      const status = document.querySelector("[role=status]") as HTMLElement;
      const said: string[] = [];
      Object.assign(globalThis, { said });
      new MutationObserver(() => status.textContent && said.push(status.textContent)).observe(status, {
        childList: true,
        characterData: true,
        subtree: true,
      });
    });
    await page.type("#query", "nn.GroupNorm");
    await found(page, "Group normalization");
    expect(await page.$eval(".found li", ({ textContent }) => textContent)).toContain(
      "nn.GroupNorm (PyTorch)",
    );
    expect(await page.$eval("#list", (list) => (list as HTMLElement).hidden)).toBe(true);
    await page.waitForFunction(() => document.querySelector("[role=status]")?.textContent !== "");
    const said = await page.evaluate(() => (globalThis as unknown as { said: string[] }).said);
    expect(said).toEqual([expect.stringMatching(/^\d+ normalizations for “nn.GroupNorm”\.$/)]);
    expect(new URL(page.url()).hash).toBe("#q=nn.GroupNorm");
  });

  it("is moved through by arrows, cleared by Escape, and opened by Enter", async () => {
    const page = await openPage(browser, `${LIST}#q=batch`);
    await found(page, "Batch normalization");
    const all = await titles(page);
    await page.focus("#query");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    expect(await focused(page)).toBe(all[1]);
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("ArrowUp");
    expect(await focused(page)).toBe("query");
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => !(document.getElementById("list") as HTMLElement).hidden);
    expect(new URL(page.url()).hash).toBe("");
    await page.keyboard.type("DyT");
    await found(page, "Dynamic tanh");
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    expect(await page.$eval("h1", ({ textContent }) => textContent)).toBe("Dynamic tanh");
  });
});

it("loads the index when it is first asked", async () => {
  const own = await served();
  const page = await openPage("chromium", `${own.url}norms/index.html`);
  await page.waitForNetworkIdle({ idleTime: 200 });
  const indexed = () => own.requests.some((path) => path.includes("virtual_search"));
  expect(indexed()).toBe(false);
  await page.focus("#query");
  await page.waitForNetworkIdle({ idleTime: 200 });
  expect(indexed()).toBe(true);
});

it("says so where nothing is found", async () => {
  const page = await openPage("chromium", `${LIST}#q=zqxjk`);
  await page.waitForSelector(".count");
  expect(await page.$eval(".count", ({ textContent }) => textContent)).toBe("Nothing is found for “zqxjk”.");
});

it("is a list of links without scripts", async () => {
  const context = await (await browserOf("chromium")).createBrowserContext();
  const page = await context.newPage();
  await page.setJavaScriptEnabled(false);
  await page.goto(LIST);
  // the article of a page too, with its formula
  expect(await page.$$eval("#list li a", (links) => links.length)).toBeGreaterThan(51);
  await page.goto(`${site.url}norms/groupNorm/index.html`);
  expect(await page.$$eval(".formula math", (formulas) => formulas.length)).toBe(1);
  await context.close();
});

describe.each(schemes)("in the %s theme", (scheme) => {
  it.each([390, 768, 1280])("results are without fault and fit %i pixels", async (width) => {
    const page = await openPage("chromium", `${LIST}#q=layer`, { scheme, width });
    await page.waitForSelector(".found a");
    expect(await axe(page)).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
  });

  it.each(["docs/recipes/", "docs/checkpoints/"])("%s is without fault", async (path) => {
    const page = await openPage("chromium", site.url + path, { scheme, width: 390 });
    expect(await axe(page)).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
  });
});
