/**
 * Redis and PostgreSQL as Debian packages them, started by the tests: on loopback, on a free port, in a folder of their
 * own. What is still there when the tests of a file have ended, failed ones too, is ended and removed.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { Redis } from "ioredis";
import pg from "pg";
import { afterAll } from "vitest";

export interface Server {
  /** As `--queue` takes it. */
  url: string;
  port: number;
  /** What it keeps is in here. */
  folder: string;
  /** Ends it as a failing machine or `kill -9` does: nothing more is written. */
  kill(): Promise<void>;
  /** Starts it again after `kill`, on the same port and with what its folder holds; resolves when it answers. */
  restart(): Promise<void>;
  /** Ends it, and removes its folder. */
  stop(): Promise<void>;
}

const REDIS = "/usr/bin/redis-server";
const POSTGRES = "/usr/lib/postgresql";
/** ms in which a server answers, recovery after a kill included. */
const PATIENCE = 60_000;

const started = new Set<Server>();
afterAll(async () => {
  await Promise.all([...started].map((server) => server.stop()));
});

/** A port of loopback that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** With `appendOnly` what was written a second ago and earlier outlives a kill, as in a Redis that keeps a queue. */
export async function startRedis({
  appendOnly = false,
  port,
}: {
  appendOnly?: boolean;
  port?: number;
} = {}): Promise<Server> {
  if (!existsSync(REDIS)) {
    throw new Error(`startRedis: ${REDIS} is not there; install it by apt-get install redis-server`);
  }
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-redis-"));
  const at = port ?? (await freePort());
  const options = [
    ["port", at],
    ["bind", "127.0.0.1"],
    ["dir", folder],
    ["save", ""],
    ["appendonly", appendOnly ? "yes" : "no"],
    ["appendfsync", "everysec"],
    // what BullMQ asks for: a queue does not forget what it cannot hold
    ["maxmemory-policy", "noeviction"],
  ].flatMap(([name, value]) => [`--${name}`, String(value)]);
  const url = `redis://127.0.0.1:${at}`;
  return open({
    name: "startRedis",
    url,
    port: at,
    folder,
    spawn: () => spawn(REDIS, options, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] }),
    async ask() {
      const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null });
      redis.on("error", () => {});
      try {
        await redis.connect();
        await redis.ping();
      } finally {
        redis.disconnect();
      }
    },
  });
}

/** Whoever comes from loopback is trusted. */
export async function startPostgres({ port }: { port?: number } = {}): Promise<Server> {
  const versions = existsSync(POSTGRES) ? readdirSync(POSTGRES).sort((a, b) => Number(b) - Number(a)) : [];
  const bin = versions
    .map((version) => join(POSTGRES, version, "bin"))
    .find((folder) => existsSync(join(folder, "initdb")));
  if (!bin) {
    throw new Error(
      `startPostgres: no ${POSTGRES}/*/bin/initdb is there; install it by apt-get install postgresql`,
    );
  }
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-postgres-"));
  const user = unprivileged();
  if (user) chownSync(folder, user.uid, user.gid);
  const data = join(folder, "data");
  try {
    execFileSync(
      join(bin, "initdb"),
      ["-D", data, "-U", "evenkeel", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
      { cwd: folder, stdio: ["ignore", "ignore", "pipe"], ...user },
    );
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  const at = port ?? (await freePort());
  const settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=100"];
  const url = `postgres://evenkeel@127.0.0.1:${at}/postgres`;
  return open({
    name: "startPostgres",
    url,
    port: at,
    folder,
    spawn: () =>
      spawn(
        join(bin, "postgres"),
        ["-D", data, "-p", String(at), ...settings.flatMap((each) => ["-c", each])],
        { cwd: folder, stdio: ["ignore", "pipe", "pipe"], ...user },
      ),
    async ask() {
      const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
      client.on("error", () => {});
      try {
        await client.connect();
        await client.query("SELECT 1");
      } finally {
        await client.end().catch(() => {});
      }
    },
  });
}

/** PostgreSQL refuses to run as root. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (which: string) => Number(execFileSync("id", [which, "postgres"], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}

interface Kind {
  name: string;
  url: string;
  port: number;
  folder: string;
  spawn(): ChildProcess;
  /** Rejects as long as it does not answer. */
  ask(): Promise<void>;
}

async function open({ name, url, port, folder, spawn, ask }: Kind): Promise<Server> {
  let child: ChildProcess | undefined;
  let log = "";
  const end = async (signal: NodeJS.Signals) => {
    const ended = child;
    child = undefined;
    if (!ended || ended.exitCode !== null || ended.signalCode !== null) return;
    await new Promise((resolve) => {
      ended.once("exit", resolve);
      ended.kill(signal);
    });
  };
  // of a process that ends without its hooks
  const atExit = () => child?.kill("SIGKILL");
  const server: Server = {
    url,
    port,
    folder,
    kill: () => end("SIGKILL"),
    async restart() {
      const until = Date.now() + PATIENCE;
      while (true) {
        if (!child || child.exitCode !== null || child.signalCode !== null) {
          child = spawn();
          child.on("error", (error) => {
            log += `${error}\n`;
          });
          for (const stream of [child.stdout, child.stderr]) {
            stream?.on("data", (text) => {
              log += text;
            });
          }
        }
        try {
          await ask();
          return;
        } catch (error) {
          if (Date.now() > until) {
            throw new Error(`${name}: it does not answer at ${url} (${error}):\n${log}`);
          }
        }
        // a PostgreSQL whose children outlive its kill starts when they have gone
        await wait(50);
      }
    },
    async stop() {
      process.off("exit", atExit);
      started.delete(server);
      // PostgreSQL's SIGINT: without waiting for those that are connected
      await end("SIGINT");
      rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
    },
  };
  process.on("exit", atExit);
  started.add(server);
  await server.restart();
  return server;
}
