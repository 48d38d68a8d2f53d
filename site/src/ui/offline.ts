/** Has the site kept for use without a network. Part of every page (build/offline.ts). */

interface Connection {
  saveData?: boolean;
}

/** Between a page's load and the first file that is kept, in milliseconds: what the page itself needs comes first. */
const DELAY = 3000;

async function keep(): Promise<void> {
  try {
    // beside assets/, in which this is
    await navigator.serviceWorker.register(new URL(/* @vite-ignore */ "../offline.js", import.meta.url));
  } catch {
    // private windows and full disks refuse; the page is the same
  }
}

const { connection } = navigator as { connection?: Connection };
// there are no service workers but on https and localhost
if (import.meta.env.PROD && "serviceWorker" in navigator && !connection?.saveData) {
  addEventListener("load", () => {
    setTimeout(() => ("requestIdleCallback" in window ? requestIdleCallback(keep) : keep()), DELAY);
  });
}
