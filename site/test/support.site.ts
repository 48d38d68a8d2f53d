/** What the other tests rely on: whatever a page, or a worker of it, complains of is heard; and pages see what their user prefers. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { browsers, complained, openPage, type Scheme, served } from "./support/browser.ts";

const folder = mkdtempSync(join(tmpdir(), "evenkeel-complaints-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** What a script does, and what is heard of it. */
const faults: [string, RegExp][] = [
  ["console.info('a message')", /a message/],
  ["setTimeout(() => { throw new Error('thrown'); })", /thrown/],
  ["Promise.reject(new Error('rejected'))", /rejected/],
  ["fetch('https://example.com/').catch(() => {})", /connect-src https:\/\/example\.com/],
  ["try { Function('1')(); } catch {}", /script-src eval/],
];
const inPages: typeof faults = [
  ["try { new Worker(URL.createObjectURL(new Blob(['1']))); } catch {}", /worker-src blob/],
];

const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
const all = (some: typeof faults) => some.map(([script]) => script).join(";\n");
for (const name of ["page", "parent"]) {
  write(`${name}.html`, `<!doctype html><link rel="icon" href="data:,"><script src="${name}.js"></script>`);
}
write("page.js", all([...faults, ...inPages]));
write("parent.js", 'new Worker("worker.js")');
write("worker.js", all(faults));

it.each(
  browsers.flatMap((browser) => [
    { browser, path: "page.html", scheme: "light" as Scheme, expected: [...faults, ...inPages] },
    { browser, path: "parent.html", scheme: "dark" as Scheme, expected: faults },
  ]),
)("hears everything of $path in $browser, shown $scheme", async ({ browser, path, scheme, expected }) => {
  const site = await served({ folder });
  const isDark = scheme === "dark";
  const page = await openPage(browser, site.url + path, { width: 390, scheme, reducedMotion: isDark });
  const matches = (query: string) => page.evaluate((asked) => matchMedia(asked).matches, query);
  expect(await matches(`(prefers-color-scheme: ${scheme}) and (width: 390px)`)).toBe(true);
  expect(await matches("(prefers-reduced-motion: reduce)")).toBe(isDark);
  const heard: string[] = [];
  const silent = () => expected.filter(([, words]) => !heard.some((text) => words.test(text)));
  for (let waits = 0; waits < 100 && silent().length > 0; waits++) {
    heard.push(...complained());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(silent()).toEqual([]);
});
