/** README's way to more than one machine, as it is pasted; smaller, and with a Redis and folders of its own. */
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { freePort } from "../../support/servers.js";

const repository = fileURLToPath(new URL("../../../..", import.meta.url));
const workplace = mkdtempSync(join(tmpdir(), "evenkeel-readme-"));

/** The first block of code of a section. */
function blockOf(section: string): string {
  const readme = readFileSync(join(repository, "README.md"), "utf8");
  const [, text] = readme.split(`## ${section}\n`);
  const block = /```sh\n(.*?)```/s.exec(text)?.[1];
  if (block === undefined) throw new Error(`README has no block of code under ${section}`);
  return block;
}

/** Replaces what must be there. */
function replaced(text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`README does not say ${from}:\n${text}`);
  return text.replaceAll(from, to);
}

const ended: (() => void)[] = [];
afterAll(() => {
  for (const end of ended) end();
  rmSync(workplace, { recursive: true, force: true, maxRetries: 10 });
});

test("the first block under “More than one machine” ends in a report", async () => {
  const port = await freePort();
  const [pidfile, out, cache] = ["redis.pid", "report", "cache"].map((name) => join(workplace, name));
  ended.push(() => {
    if (existsSync(pidfile)) execFileSync("kill", ["-9", readFileSync(pidfile, "utf8").trim()]);
  });
  let script = blockOf("More than one machine");
  script = replaced(script, "redis://localhost", `redis://localhost:${port}`);
  script = replaced(
    script,
    "--daemonize yes",
    `--daemonize yes --port ${port} --dir ${workplace} --pidfile ${pidfile}`,
  );
  script = replaced(script, "lab/dist/cli.js worker", `lab/dist/cli.js worker --cache ${cache}`);
  const few = "--limit 150 --epochs 1 --norms none,layer --seeds 2 --no-tune";
  script = replaced(script, "npm start --", `npm start -- ${few} --out ${out}`);
  // what a terminal does as it closes
  const { code, stdout, stderr } = await new Promise<{ code: unknown; stdout: string; stderr: string }>(
    (resolve) => {
      execFile(
        "bash",
        ["-c", `${script}\ncode=$?; kill -INT $!; wait $!; exit $code`],
        { cwd: repository },
        (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }),
      );
    },
  );
  expect(stderr).toMatch(/ takes trials from redis:\/\/localhost:\d+, \d+ at a time; Ctrl-C ends it\n/);
  expect(stderr).toMatch(/4 trials, on redis:\/\/localhost:\d+\n/);
  expect(stderr).toMatch(/stopped after 4 trials\n$/);
  expect(code).toBe(0);
  expect(stdout).toMatch(/layer/);
  expect(existsSync(join(out, "report.html"))).toBe(true);
});
