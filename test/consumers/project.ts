/** The project that setup.ts made, and its programs. */
import { execFile, spawn } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, inject } from "vitest";

declare module "vitest" {
  interface ProvidedContext {
    consumers: { folder: string; tarball: string };
  }
}

/** Binaries that npm's registry has, since install scripts, which would put them elsewhere, do not run. */
export const runtimes = {
  "Node 20": "node_modules/node-20/bin/node",
  "Node 22": "node_modules/node-22/bin/node",
  "Node 24": "node_modules/node-24/bin/node",
  Deno: "node_modules/@deno/linux-x64-glibc/deno",
  Bun: "node_modules/@oven/bun-linux-x64-baseline/bin/bun",
};

export const folder = (): string => inject("consumers").folder;
export const binary = (runtime: keyof typeof runtimes): string => join(folder(), runtimes[runtime]);

/** Tools that report home, or take colours for granted, do neither. */
const env = {
  ...process.env,
  NODE_OPTIONS: "",
  NEXT_TELEMETRY_DISABLED: "1",
  NO_COLOR: "1",
  FORCE_COLOR: "0",
};

/** What a program prints on standard output; where it fails, the error has all that it printed. */
export async function run(app: string, command: string, ...args: string[]): Promise<string> {
  const options = { cwd: join(folder(), app), env, maxBuffer: 1 << 26 };
  try {
    return (await promisify(execFile)(command, args, options)).stdout;
  } catch (error) {
    const { message, stdout, stderr } = error as Error & { stdout: string; stderr: string };
    throw new Error([message, stdout, stderr].join("\n"));
  }
}

/** Runs a tool's script of node_modules by this Node. */
export const tool = (app: string, script: string, ...args: string[]): Promise<string> =>
  run(app, process.execPath, join(folder(), "node_modules", script), ...args);

/** Starts a tool that serves, and gives the address that it prints. It ends with all that it starts: a group of its own. */
export async function server(app: string, script: string, ...args: string[]) {
  const child = spawn(process.execPath, [join(folder(), "node_modules", script), ...args], {
    cwd: join(folder(), app),
    env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  let printed = "";
  const url = await new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      printed += chunk;
      const address = printed.match(/http:\/\/(?:localhost|127\.0\.0\.1):(\d+)/);
      if (address) resolve(`http://127.0.0.1:${address[1]}`);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("exit", () => reject(new Error(`${script} ended: ${printed}`)));
  });
  return {
    url,
    close() {
      process.kill(-(child.pid as number));
      return gone;
    },
  };
}

/** What apps/page/check.js gives; `failed` where it did not get so far. */
export interface Report {
  backend?: string;
  threads?: number;
  error?: number;
  warnings?: string[];
  failed?: string;
}

/** The kernels ran, with right results, on so many threads, and had nothing to warn of. */
export function expectKernels(report: Report, threads: number): void {
  expect(report).toEqual({ backend: "wasm", threads, error: expect.any(Number), warnings: [] });
  expect(report.error).toBeLessThan(ERROR);
}

/** Of float32 results of unit size: sums over 300 values, and a few roundings of 6e-8. */
export const ERROR = 1e-6;
