/** Debian's Chromium, for the browser tests. */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const PATH = "/usr/bin/chromium";

export function launch(...flags: string[]): Promise<Browser> {
  if (!existsSync(PATH)) throw new Error(`browser tests need ${PATH}; install it: apt-get install chromium`);
  const quiet = ["quic", "background-networking", "component-update", "sync"].map(
    (what) => `--disable-${what}`,
  );
  return chromium.launch({
    executablePath: PATH,
    args: ["--headless", "--no-sandbox", "--no-first-run", ...quiet, ...flags],
  });
}
