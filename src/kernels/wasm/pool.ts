/**
 * Threads that take the parts of a call, beside the one that made it.
 *
 * All wait on one word of shared memory, the ticket: it names a stage's number of parts and the next one that nobody has
 * taken. Taking a part is a compare-and-exchange on it, so that a thread that comes late, or is still asleep, keeps
 * nobody waiting: the others take its parts. The thread that made the call takes parts too, and waits, without giving up its
 * time, until those that were taken are done.
 */

/** What a thread calls of its instance of the kernels. */
export interface Parts {
  /** Takes up a call; gives the bytes of scratch that it needs. */
  begin(call: number): number;
  first(part: number): void;
  second(part: number): void;
}

/** What a new thread is told. */
export interface Start {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  /** Address of the control words. */
  control: number;
}

// Control words. Those that are written while others read lie in cache lines of their own.
const TICKET = 0;
const CALL = 16;
const STAGE = 17;
const DONE = 32;
const ASLEEP = 48;
const FAILED = 49;
const WORDS = 64;
export const CONTROL_BYTES = WORDS * 4;

export const controlWords = (memory: WebAssembly.Memory, address: number): Int32Array =>
  new Int32Array(memory.buffer, address, WORDS);

// A ticket: 4 bits for the next part, 4 for the number of parts, and a number that tells stages apart.
const PART = 15;
const NEXT_STAGE = 256;

/** How long an idle thread looks for work before it sleeps: waking one takes longer than most calls. */
const AWAKE_MS = 1;
/** Looks between two looks at the clock. */
const LOOKS = 200;

/** More threads than these find no more memory bandwidth. */
const MOST_THREADS = 8;

/** One per core, up to what is of use. */
export function threadsHere(): number {
  const os = globalThis.process?.getBuiltinModule?.("node:os");
  const cores = os ? os.availableParallelism() : (globalThis.navigator?.hardwareConcurrency ?? 1);
  return Math.min(MOST_THREADS, cores);
}

const pause: () => void = (Atomics as { pause?: () => void }).pause ?? (() => {});

/** Runs the parts of the stage in progress that nobody has taken; gives the last ticket that was seen. */
function takeParts(kernels: Parts, control: Int32Array, begun: boolean): number {
  for (;;) {
    const ticket = Atomics.load(control, TICKET);
    const part = ticket & PART;
    if (part >= ((ticket >> 4) & PART)) return ticket;
    if (Atomics.compareExchange(control, TICKET, ticket, ticket + 1) !== ticket) continue;
    // until this part is done, the call stays the one that the ticket was of
    try {
      if (!begun) kernels.begin(control[CALL]);
      if (control[STAGE] === 0) kernels.first(part);
      else kernels.second(part);
    } catch (error) {
      Atomics.store(control, FAILED, 1);
      throw error;
    } finally {
      Atomics.add(control, DONE, 1);
    }
  }
}

/** The life of a thread: it never returns. */
export function serve({ module, memory, control: address }: Start): void {
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  const kernels = instance.exports as unknown as Parts;
  const control = controlWords(memory, address);
  for (;;) {
    const ticket = takeParts(kernels, control, false);
    if (!comesSoon(control, ticket)) {
      Atomics.add(control, ASLEEP, 1);
      Atomics.wait(control, TICKET, ticket);
      Atomics.sub(control, ASLEEP, 1);
    }
  }
}

/** Looks for another ticket, for as long as it is worth to stay awake. */
function comesSoon(control: Int32Array, ticket: number): boolean {
  const end = performance.now() + AWAKE_MS;
  do {
    for (let i = 0; i < LOOKS; i++) {
      if (Atomics.load(control, TICKET) !== ticket) return true;
      pause();
    }
  } while (performance.now() < end);
  return false;
}

export class Pool {
  private readonly control: Int32Array;
  private readonly workers: { terminate(): unknown }[] = [];

  /** `threads` counts the one that makes the calls. Until the others have started, that one does it all. */
  constructor(module: WebAssembly.Module, memory: WebAssembly.Memory, address: number, threads: number) {
    this.control = controlWords(memory, address).fill(0);
    for (let i = 1; i < threads; i++) this.workers.push(startThread({ module, memory, control: address }));
  }

  /** Runs one stage of a call that `kernels` has begun: all of its parts, on whichever threads come first. */
  share(kernels: Parts, call: number, stage: number, parts: number): void {
    const { control } = this;
    control[CALL] = call;
    control[STAGE] = stage;
    Atomics.store(control, DONE, 0);
    const before = Atomics.load(control, TICKET) & -NEXT_STAGE;
    Atomics.store(control, TICKET, (before + NEXT_STAGE + (parts << 4)) | 0);
    if (Atomics.load(control, ASLEEP) > 0) Atomics.notify(control, TICKET);
    takeParts(kernels, control, true);
    while (Atomics.load(control, DONE) < parts) pause();
    if (Atomics.load(control, FAILED) !== 0) {
      throw new Error("evenkeel: a thread failed in a kernel; this is a bug: please report the call's shape");
    }
  }

  close(): void {
    for (const worker of this.workers) worker.terminate();
  }
}

/** In Node a worker does not keep the process alive. One that cannot start is as one that never comes. */
function startThread(start: Start): { terminate(): unknown } {
  try {
    const node = globalThis.process?.getBuiltinModule?.("node:worker_threads");
    if (node) {
      const worker = new node.Worker(new URL("./thread.js", import.meta.url), { execArgv: [] });
      worker.on("error", () => {});
      worker.postMessage(start);
      worker.unref();
      return worker;
    }
    const worker = new Worker(new URL("./thread.js", import.meta.url), { type: "module" });
    worker.addEventListener("error", (event) => event.preventDefault());
    worker.postMessage(start);
    return worker;
  } catch {
    return { terminate() {} };
  }
}
