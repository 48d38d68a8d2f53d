/** The built site as any static host serves it, on this machine: what `npm run site` shows, and what the tests open. */
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, sep } from "node:path";
import { POLICY } from "./policy.ts";

export interface ServerOptions {
  /** 0, the default, is any that is free. */
  port?: number;
  /** Where the site begins: "/sub/". The server's root, by default. */
  base?: string;
  /** Sends the headers that give pages shared memory. */
  isolated?: boolean;
}

export interface Server {
  /** Of the first page: "http://localhost:4173/". */
  url: string;
  /** Paths that were asked for, from the site's root, in their order: "assets/see-DBEOeqSh.js". */
  requests: string[];
  /** What the policy refused, in pages and workers, as browsers report it: "http://localhost:4173/: worker-src blob". */
  violations: string[];
  /** Ends it, with the connections that browsers keep. */
  close(): Promise<void>;
}

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".txt": "text/plain; charset=utf-8",
  ".csv": "text/csv; charset=utf-8",
  ".woff2": "font/woff2",
  ".wasm": "application/wasm",
};

/** Where browsers report what the policy refused. */
const REPORTS = "policy-reports";

const ISOLATION = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/** @param folder of the built site. Rejects as node:net does: EADDRINUSE where the port is taken, EACCES where it is not allowed */
export async function serve(
  folder: string,
  { port = 0, base = "/", isolated = false }: ServerOptions = {},
): Promise<Server> {
  const root = join(folder, sep);
  const requests: string[] = [];
  const violations: string[] = [];
  const headers = {
    "content-security-policy": `${POLICY}; report-uri ${base}${REPORTS}`,
    "x-content-type-options": "nosniff",
    ...(isolated && ISOLATION),
  };

  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const end = (status: number, more: Record<string, string> = {}) =>
      response.writeHead(status, { ...headers, ...more }).end();
    const path = pathOf(request);
    if (path === undefined) return end(400);
    if (!path.startsWith(base)) return `${path}/` === base ? end(301, { location: base }) : end(404);
    const name = path.slice(base.length);
    if (name === REPORTS) return received(request, (text) => end(report(text) ? 204 : 400));
    requests.push(name);
    const found = join(root, name);
    if (!`${found}${sep}`.startsWith(root)) return end(404);
    const isFolder = existsSync(found) && statSync(found).isDirectory();
    // relative links of a folder's page need the folder's own address
    if (isFolder && !path.endsWith("/")) return end(301, { location: encodeURI(`${path}/`) });
    const file = isFolder ? join(found, "index.html") : found;
    const exists = existsSync(file);
    const sent = exists ? file : join(root, "404.html");
    if (!existsSync(sent)) return end(404);
    const type = TYPES[extname(sent)] ?? "application/octet-stream";
    response.writeHead(exists ? 200 : 404, {
      // what is in assets/ is named by its contents
      "cache-control": name.startsWith("assets/") && exists ? "max-age=31536000, immutable" : "no-cache",
      ...headers,
      "content-type": type,
      "content-length": statSync(sent).size,
    });
    if (request.method === "HEAD") return response.end();
    // a file may go while it is sent: the site is built again
    createReadStream(sent)
      .on("error", () => response.destroy())
      .pipe(response);
  };

  /** Whether it is one. */
  const report = (text: string): boolean => {
    try {
      const {
        "document-uri": page,
        "effective-directive": rule,
        "blocked-uri": what,
      } = JSON.parse(text)["csp-report"];
      return violations.push(`${page}: ${rule} ${what}`) > 0;
    } catch {
      return false;
    }
  };

  const server = createServer(answer);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, "localhost", resolve);
  });
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}${base}`,
    requests,
    violations,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Nothing where it is no address. */
function pathOf({ url = "/" }: IncomingMessage): string | undefined {
  try {
    const path = decodeURIComponent(new URL(url, "http://localhost").pathname);
    return path.includes("\0") ? undefined : path;
  } catch {
    return undefined;
  }
}

function received(request: IncomingMessage, then: (text: string) => void): void {
  let text = "";
  request.setEncoding("utf8");
  request.on("data", (part) => {
    text += part;
  });
  request.on("end", () => then(text));
}
