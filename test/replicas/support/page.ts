/** What runs in a page and in its workers for test/replicas/page.browser.ts: bundled once, and called as `page`. */
import { exchangeIn, relay, type SharedMemory, sharedMemory } from "evenkeel/replicas";

interface Told {
  lists?: number[][];
  message?: string;
}

/** In a worker: a few exchanges, the last of which is told. */
function work({ memory, rank }: { memory: SharedMemory; rank: number }): Told {
  try {
    const exchange = exchangeIn(memory, rank);
    let lists: Float64Array[] = [];
    for (let turn = 0; turn < 50; turn++) lists = exchange(Float64Array.of(turn, rank, -0));
    return { lists: lists.map((list) => [...list]) };
  } catch (error) {
    return { message: (error as Error).message };
  }
}

async function inWorkers(memory: SharedMemory): Promise<Told[]> {
  const workers = Array.from({ length: memory.replicas }, (_, rank) => {
    const worker = new Worker("/page.js", { type: "module" });
    return new Promise<Told>((resolve) => {
      worker.addEventListener("message", ({ data }) => {
        resolve(data);
        worker.terminate();
      });
      worker.postMessage({ memory, rank });
    });
  });
  return Promise.all(workers);
}

/** How many lists of how many values, before a machine's own. */
const HEADER = 2;

/** Two workers by themselves, and two with another machine's lists beside theirs. */
async function exchanged(): Promise<{ alone: Told[]; relayed: Told[] }> {
  const alone = await inWorkers(sharedMemory({ replicas: 2, bytes: 16 }));
  const memory = sharedMemory({ replicas: 2, bytes: 16, relay: true });
  const end = new AbortController();
  const served = relay(
    memory,
    async (values) => [values, values.map((value, i) => (i < HEADER ? value : value + 100))],
    {
      signal: end.signal,
    },
  );
  const relayed = await inWorkers(memory);
  end.abort();
  await served;
  return { alone, relayed };
}

/** The page's own thread may not wait. */
function waited(): string {
  try {
    exchangeIn(sharedMemory({ replicas: 2 }), 0)(Float64Array.of(1));
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}

export const page = { exchanged, waited };
if ("document" in globalThis) Object.assign(globalThis, { page });
else addEventListener("message", ({ data }) => postMessage(work(data)));
