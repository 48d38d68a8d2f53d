/** Has the site kept for use without a network. Part of every page (build/offline.ts). */

/** Between what the page itself needs and the first file that is kept, in milliseconds. */
const DELAY = 3000;

async function keep(): Promise<void> {
  try {
    // beside assets/, in which this is
    await navigator.serviceWorker.register(new URL(/* @vite-ignore */ "../offline.js", import.meta.url));
  } catch {
    // private windows and full disks refuse; the page is the same
  }
}

function keepLater(): void {
  setTimeout(() => {
    if (document.documentElement.dataset.state === "loading") keepLater();
    else if ("requestIdleCallback" in window) requestIdleCallback(keep);
    else keep();
  }, DELAY);
}

const { connection } = navigator as { connection?: { saveData?: boolean } };
// there are no service workers but on https and localhost
if (import.meta.env.PROD && "serviceWorker" in navigator && !connection?.saveData) {
  addEventListener("load", keepLater);
}
