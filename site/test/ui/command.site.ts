/** Text to copy, where a page may write to the clipboard, and where it may not. */
import { expect, it } from "vitest";
import { openPage, served } from "../support/browser.ts";

it("is copied from a page without https too", async () => {
  const site = await served();
  const url = site.url.replace("localhost", "insecure.test");
  const page = await openPage("chromium", `${url}norms/layerNorm/`);
  expect(await page.evaluate(() => isSecureContext)).toBe(false);
  const copied = page.evaluate(
    () => new Promise((resolve) => addEventListener("copy", () => resolve(String(getSelection())))),
  );
  await (await page.waitForSelector(".command button"))?.click();
  expect(await copied).toBe(await page.$eval(".command code", ({ textContent }) => textContent?.trimEnd()));
  expect(await page.$eval(".command button", ({ textContent }) => textContent)).toBe("Copied");
});
