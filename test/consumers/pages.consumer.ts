/** Pages without a bundler, in Chromium and Firefox: the package's files are served as they are. */
import { afterAll, beforeAll, it } from "vitest";
import { chromium, firefox, ISOLATED, reportOf, serve } from "./browsers.js";
import { expectKernels, folder } from "./project.js";

let browser: Awaited<ReturnType<typeof chromium>>;
beforeAll(async () => {
  browser = await chromium();
});
afterAll(() => browser.close());

const browsers = { Chromium: (url: string) => browser.open(url), Firefox: firefox };

it.each(
  (["Chromium", "Firefox"] as const).flatMap((name) => [
    { name, page: "plain", headers: {}, options: {}, threads: 1 },
    { name, page: "isolated", headers: ISOLATED, options: { threads: 2 }, threads: 2 },
  ]),
)("$name, $page", async ({ name, headers, options, threads }) => {
  const { url, close } = await serve(folder(), headers);
  try {
    expectKernels(await reportOf(browsers[name], `${url}/page/unbundled.html`, options), threads);
  } finally {
    close();
  }
});
