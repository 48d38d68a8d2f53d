/**
 * Builds the site into a folder for any static host, and serves it on this machine.
 *
 *     npm run site -- [--port 4173] [--base /sub/] [--isolated] [--out FOLDER]
 *     npm run site:build -- [--out FOLDER]
 */
import { existsSync, readdirSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
/** Where no port is named, the first that is free from here on. */
const PORT = 4173;
const PORTS = 20;

class Problem extends Error {}

/** @param {string[]} args */
function optionsOf(args) {
  const { values } = parseArgs({
    args,
    options: {
      build: { type: "boolean", default: false },
      out: { type: "string" },
      port: { type: "string" },
      base: { type: "string", default: "/" },
      isolated: { type: "boolean", default: false },
    },
  });
  const port = values.port === undefined ? undefined : Number(values.port);
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65535)) {
    throw new Problem(`--port: expected a whole number from 0 to 65535, got ${values.port}`);
  }
  if (!/^\/([^/?#]+\/)*$/.test(values.base)) {
    throw new Problem(`--base: expected a path such as /sub/, got ${values.base}`);
  }
  if (values.out !== undefined) checkFolder(values.out);
  return { ...values, port, out: resolve(values.out ?? join(root, "site/dist")) };
}

/** What an earlier build left there is replaced; nothing else is. @param {string} out */
function checkFolder(out) {
  const names = existsSync(out) ? readdirSync(out).filter((name) => !name.startsWith(".")) : [];
  if (names.length > 0 && !names.includes("offline.js")) {
    throw new Problem(`--out: ${resolve(out)} has files that are not of a site; name an empty folder`);
  }
}

/** @param {string} out */
async function buildInto(out) {
  const { build } = await import("vite");
  await build({
    configFile: join(root, "site/vite.config.ts"),
    logLevel: "warn",
    build: { outDir: out, emptyOutDir: true },
  });
}

/**
 * @param {string} out
 * @param {{ port?: number, base: string, isolated: boolean }} options
 * @returns {Promise<{ url: string, close(): Promise<void> }>}
 */
async function serveFrom(out, { port, base, isolated }) {
  const { runnerImport } = await import("vite");
  const { module } = await runnerImport(join(root, "site/build/server.ts"), { configFile: false });
  for (let at = port ?? PORT; ; at++) {
    try {
      return await module.serve(out, { port: at, base, isolated });
    } catch (error) {
      const { code } = /** @type {NodeJS.ErrnoException} */ (error);
      if (code === "EACCES") throw new Problem(`port ${at} is not allowed; ports from 1024 on are`);
      if (code !== "EADDRINUSE") throw error;
      if (port !== undefined)
        throw new Problem(`port ${at} is taken; without --port the next free one serves`);
      if (at === PORT + PORTS) throw new Problem(`ports ${PORT} to ${at} are taken; name one with --port`);
    }
  }
}

try {
  const options = optionsOf(process.argv.slice(2));
  if (options.build) {
    await buildInto(options.out);
    console.log(`evenkeel: the site is in ${relative(process.cwd(), options.out) || "."}`);
  } else {
    // first, since a build takes longer than to find that a port is taken
    const server = await serveFrom(options.out, options);
    await buildInto(options.out).catch(async (error) => {
      await server.close();
      throw error;
    });
    console.log(`evenkeel: ${server.url} (Ctrl-C ends it)`);
  }
} catch (error) {
  const { code, path, message } = /** @type {NodeJS.ErrnoException} */ (error);
  const isAnswer = error instanceof Problem || code?.startsWith("ERR_PARSE_ARGS");
  if (!isAnswer && code !== "EACCES") throw error;
  console.error(`evenkeel: ${isAnswer ? message : `no permission for ${path}`}`);
  process.exitCode = 1;
}
