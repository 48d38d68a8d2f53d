/** What holds for the site as a whole: it is light, keeps to itself, and works wherever it is put. */
import { expect, it } from "vitest";
import { axe, browsers, openPage, schemes, served } from "./support/browser.ts";

it.each(browsers)("opens in %s", async (browser) => {
  const site = await served();
  for (const scheme of schemes) {
    const page = await openPage(browser, site.url, { width: 390, scheme });
    expect(await page.evaluate(() => matchMedia("(prefers-color-scheme: dark)").matches)).toBe(
      scheme === "dark",
    );
    expect(await axe(page)).toEqual([]);
  }
});
