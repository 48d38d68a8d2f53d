/**
 * The service worker: the site without a network, once a page of it was open. build/offline.ts puts the list of files before it.
 *
 * A version's files are in a cache of their own. A new version's are fetched while pages of the old one run, and its worker waits until none
 * of them is left: until then the old cache stays, with every script that they may still import. Pages come from the network first, so
 * that who is online sees the new version at the next load all the same.
 */

/** Of everything that the site consists of. */
declare const VERSION: string;
/** Paths from the site's root that are fetched when a version is installed. What else is in assets/ is kept when it is used. */
declare const FILES: string[];
const worker = self as unknown as ServiceWorkerGlobalScope;

const { scope } = worker.registration;
/** Caches belong to the origin, on which other sites of ours may be. */
const OURS = `evenkeel ${scope} `;
const CACHE = OURS + VERSION;
/** What the network may take before the cache answers, in milliseconds. */
const PATIENCE = 4000;

worker.addEventListener("install", (event) => event.waitUntil(install()));
worker.addEventListener("activate", (event) => event.waitUntil(activate()));
worker.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(scope) || request.headers.has("range")) return;
  event.respondWith(isHashed(request.url) ? asset(request) : fresh(request));
});

/** Whether an address names its contents, which never change. */
function isHashed(url: string): boolean {
  return url.startsWith(`${scope}assets/`);
}

async function install(): Promise<void> {
  const cache = await caches.open(CACHE);
  await Promise.all(
    FILES.map(async (path) => {
      const url = new URL(path, scope).href;
      const known = isHashed(url) && (await caches.match(url, { ignoreVary: true }));
      // the rest may lie in the browser's own cache, from before this version
      const options: RequestInit = { cache: isHashed(url) ? "default" : "no-cache", priority: "low" };
      const response = known || (await fetch(url, options));
      if (!response.ok) throw new Error(`${url}: ${response.status}`);
      await cache.put(url, unredirected(response));
    }),
  );
}

async function activate(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(
    names.filter((name) => name.startsWith(OURS) && name !== CACHE).map((name) => caches.delete(name)),
  );
  await worker.clients.claim();
}

/** From the network; from the cache where that fails or takes long. */
async function fresh(request: Request): Promise<Response> {
  const fetched = fetch(request).catch(() => undefined);
  const late = new Promise<undefined>((resolve) => setTimeout(resolve, PATIENCE));
  return (
    (await Promise.race([fetched, late])) ?? (await kept(request)) ?? (await fetched) ?? Response.error()
  );
}

/** As static hosts have it: a folder is its index.html, and without the slash it is sent there. */
async function kept(request: Request): Promise<Response | undefined> {
  const cache = await caches.open(CACHE);
  const { origin, pathname } = new URL(request.url);
  const path = origin + pathname;
  const found = await cache.match(path.endsWith("/") ? `${path}index.html` : path);
  if (found) return found;
  if (await cache.match(`${path}/index.html`)) return Response.redirect(`${path}/`);
  if (request.mode !== "navigate") return undefined;
  const missing = await cache.match(`${scope}404.html`);
  return missing && new Response(missing.body, { status: 404, headers: missing.headers });
}

/** From any version's cache; else from the network, and kept. */
async function asset(request: Request): Promise<Response> {
  const found = await caches.match(request.url, { ignoreVary: true });
  if (found) return found;
  const response = await fetch(request);
  if (response.ok) {
    const copy = response.clone();
    // where there is no room, it is fetched again next time
    await caches
      .open(CACHE)
      .then((cache) => cache.put(request.url, copy))
      .catch(() => {});
  }
  return response;
}

/** Hosts send index.html to its folder; browsers take no such answer for a page. */
function unredirected(response: Response): Response {
  return response.redirected ? new Response(response.body, response) : response;
}
