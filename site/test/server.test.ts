import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { POLICY } from "../build/policy.ts";
import { type Server, type ServerOptions, serve } from "../build/server.ts";

const folder = mkdtempSync(join(tmpdir(), "evenkeel-served-"));
const site = join(folder, "site");
for (const path of ["", "norms", "assets"]) mkdirSync(join(site, path), { recursive: true });
for (const [path, text] of [
  ["index.html", "first"],
  ["404.html", "none"],
  ["norms/index.html", "norms"],
  ["assets/a-1.js", "1"],
  ["assets/ü %.csv", "data"],
  ["../secret", "secret"],
]) {
  writeFileSync(join(site, path), text);
}
const servers: Server[] = [];

afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
  rmSync(folder, { recursive: true });
});

async function served(options?: ServerOptions): Promise<Server> {
  const server = await serve(site, options);
  servers.push(server);
  return server;
}

/** As it is, without what URL makes of it. */
function ask(server: Server, path: string, method = "GET") {
  const { hostname, port } = new URL(server.url);
  return new Promise<{ status?: number; headers: NodeJS.Dict<string | string[]>; text: string }>(
    (resolve, reject) => {
      const request = get({ hostname, port, path, method }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part) => {
          text += part;
        });
        response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, text }));
      });
      request.on("error", reject).end();
    },
  );
}

describe("the server", () => {
  it.each([
    ["/sub/", 200, "first"],
    ["/sub/index.html", 200, "first"],
    ["/sub/?query", 200, "first"],
    ["/sub/norms/", 200, "norms"],
    ["/sub/assets/%C3%BC%20%25.csv", 200, "data"],
    ["/sub/nothing", 404, "none"],
    ["/sub/assets/", 404, "none"],
    ["/sub/index.html/", 404, "none"],
    ["/", 404, ""],
    ["/other/", 404, ""],
    ["/sub/../secret", 404, ""],
    ["/sub/..%2fsecret", 404, ""],
    ["/sub/assets/..%2f..%2fsecret", 404, ""],
    ["/sub/%00", 400, ""],
    ["/sub/%ff", 400, ""],
    ["//", 400, ""],
  ])("answers %s with %i", async (path, status, text) => {
    const answer = await ask(await served({ base: "/sub/" }), path);
    expect([answer.status, answer.text]).toEqual([status, text]);
  });

  it.each([
    ["/sub", "/sub/"],
    ["/sub/norms", "/sub/norms/"],
  ])("sends %s to %s", async (path, location) => {
    const { status, headers } = await ask(await served({ base: "/sub/" }), path);
    expect([status, headers.location]).toEqual([301, location]);
  });

  it("sends the policy with everything, isolation where it is asked for, and says what is named by its contents", async () => {
    const [plain, isolated] = [await served(), await served({ isolated: true })];
    for (const path of ["/", "/assets/a-1.js", "/nothing"]) {
      const { headers } = await ask(plain, path);
      expect(headers["content-security-policy"]).toBe(`${POLICY}; report-uri /policy-reports`);
      expect(headers).not.toHaveProperty("cross-origin-opener-policy");
      expect((await ask(isolated, path)).headers).toMatchObject({
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-embedder-policy": "require-corp",
      });
      expect(headers["cache-control"]).toBe(
        path.startsWith("/assets") ? "max-age=31536000, immutable" : "no-cache",
      );
    }
    expect((await ask(plain, "/assets/a-1.js")).headers["content-type"]).toBe(
      "text/javascript; charset=utf-8",
    );
    expect(await ask(plain, "/", "HEAD")).toMatchObject({ status: 200, text: "" });
  });

  it("sends the policy that its docs name", () => {
    const docs = readFileSync(new URL("../../docs/site.md", import.meta.url), "utf8");
    expect(docs).toContain(`Content-Security-Policy: ${POLICY}\n`);
  });

  it("keeps what was asked for, and what browsers report", async () => {
    const server = await served();
    await ask(server, "/norms/");
    const report = (body: string) => fetch(`${server.url}policy-reports`, { method: "POST", body });
    const refused = {
      "document-uri": "http://localhost/",
      "effective-directive": "worker-src",
      "blocked-uri": "blob",
    };
    expect((await report(JSON.stringify({ "csp-report": refused }))).status).toBe(204);
    expect((await report("?")).status).toBe(400);
    expect(server.requests).toEqual(["norms/"]);
    expect(server.violations).toEqual(["http://localhost/: worker-src blob"]);
  });
});

describe("npm run site", () => {
  const command = fileURLToPath(new URL("../../scripts/site.mjs", import.meta.url));
  const run = (...args: string[]) =>
    new Promise<[unknown, string]>((resolve) => {
      execFile(process.execPath, [command, ...args], (error, _, stderr) =>
        resolve([error?.code, stderr.trim()]),
      );
    });

  it("says what is wrong with its options", async () => {
    const { port } = new URL((await served()).url);
    expect(
      await Promise.all([
        run("--port", "x"),
        run("--port", "65536"),
        run("--base", "sub"),
        run("--bases", "/"),
        run("--out", site, "--build"),
        run("--out", join(folder, "new"), "--port", port),
      ]),
    ).toEqual([
      [1, "evenkeel: --port: expected a whole number from 0 to 65535, got x"],
      [1, "evenkeel: --port: expected a whole number from 0 to 65535, got 65536"],
      [1, "evenkeel: --base: expected a path such as /sub/, got sub"],
      [1, "evenkeel: Unknown option '--bases'"],
      [1, `evenkeel: --out: ${site} has files that are not of a site; name an empty folder`],
      [1, `evenkeel: port ${port} is taken; without --port the next free one serves`],
    ]);
  });
});
