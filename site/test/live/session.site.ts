/** What a page does where workers cannot be had, and when one comes back to it. */
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, inject, it } from "vitest";
import { openPage, type Page, served } from "../support/browser.ts";

const folder = mkdtempSync(join(tmpdir(), "evenkeel-workers-"));
afterAll(() => rmSync(folder, { recursive: true }));

const SETTINGS = "data=breast-cancer&norms=none,layer&depth=2&width=8&rate=0.05&epochs=2";

const reaches = (page: Page, state: string) =>
  page.waitForFunction((wanted) => document.documentElement.dataset.state === wanted, {}, state);

async function press(page: Page, text: string) {
  await page.evaluate((wanted) => {
    const buttons = [...document.querySelectorAll("button")];
    buttons.find(({ textContent }) => textContent?.trim() === wanted)?.click();
  }, text);
}

it.each(["desk-", "trial-worker-"])(
  "a %s that does not come is told, and comes when it is there",
  async (name) => {
    const own = join(folder, name);
    cpSync(inject("site"), own, { recursive: true });
    const assets = join(own, "assets");
    for (const file of readdirSync(assets).filter((each) => each.startsWith(name)))
      rmSync(join(assets, file));
    const site = await served({ folder: own });
    const page = await openPage("chromium", `${site.url}#${SETTINGS}`);
    await reaches(page, "problem");
    expect(await page.$eval(".problem", ({ textContent }) => textContent)).toContain(
      "a part of this page could not be loaded; try again, or reload the page",
    );
    cpSync(inject("site"), own, { recursive: true });
    await press(page, "Again");
    await reaches(page, "finished");
  },
);

it("says where it can train, on a page without https", async () => {
  const site = await served();
  const page = await openPage("chromium", `${site.url.replace("localhost", "insecure.test")}#${SETTINGS}`);
  await reaches(page, "problem");
  expect(await page.$eval(".problem", ({ textContent }) => textContent)).toBe(
    "this page trains on https:// or localhost only; open it there",
  );
});

it.each(["", "data/"])("what has finished on /%s is there when one comes back", async (path) => {
  const site = await served();
  const page = await openPage("chromium", `${site.url}${path}#${SETTINGS}`);
  if (path === "data/") {
    await reaches(page, "read");
    await press(page, "Compare");
  }
  await reaches(page, "finished");
  await page.waitForFunction(() => document.querySelector(".status")?.textContent === "Finished.");
  await page.goto(`${site.url}model/`);
  await page.goBack();
  expect(await page.evaluate(() => document.documentElement.dataset.state)).toBe("finished");
  await page.waitForFunction(() => /0 of/.test(document.querySelector(".outcome table")?.textContent ?? ""));
  await press(page, "Show the report here");
  const frame = await (await page.waitForSelector("iframe.report"))?.contentFrame();
  await frame?.waitForSelector("footer");
  if (path === "data/") return;
  // the report that is open is of the comparison that is seen
  const report = await page.$eval("iframe.report", (element) => (element as HTMLIFrameElement).srcdoc);
  await page.evaluate(() => {
    location.hash = location.hash.replace("epochs=2", "epochs=3");
  });
  await page.waitForFunction(
    (old) => {
      const { srcdoc } = document.querySelector("iframe.report") as HTMLIFrameElement;
      return (
        document.documentElement.dataset.state === "finished" && srcdoc !== old && />3 epochs,/.test(srcdoc)
      );
    },
    {},
    report,
  );
});
