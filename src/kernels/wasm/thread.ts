/**
 * What a helper runs, in Node and in browsers: it takes parts of calls, and returns to its event loop only
 * for mail. scripts/build.mjs makes thread-source.ts from it, which pool.ts starts.
 */
import {
  ASLEEP,
  CALL,
  FAILED,
  finish,
  INSTANCE,
  LOOKS,
  MAIL,
  type Mail,
  nextOf,
  type Parts,
  partsOf,
  pause,
  READ,
  runPart,
  STAGE,
  TICKET,
  take,
} from "./tickets.js";

/** How long an idle helper polls for work before it sleeps: waking one takes longer than most calls. */
const AWAKE_MS = 1;

/** Instances by id. */
const instances = new Map<number, Parts>();

function receive({ control, helper, mail, join, leave }: Mail): void {
  for (const id of leave) instances.delete(id);
  for (const { id, module, memory } of join) {
    const instance = new WebAssembly.Instance(module, { env: { memory } });
    instances.set(id, instance.exports as unknown as Parts);
  }
  Atomics.store(control, READ + helper, mail);
  while (Atomics.load(control, MAIL) === mail) serve(control, mail);
}

/** Runs the available parts, and waits for the next ticket, or for mail beyond this one. */
function serve(control: Int32Array, mail: number): void {
  const ticket = takeParts(control);
  // mail that comes after this changes the ticket
  if (Atomics.load(control, MAIL) !== mail || comesSoon(control, ticket)) return;
  Atomics.add(control, ASLEEP, 1);
  Atomics.wait(control, TICKET, ticket);
  Atomics.sub(control, ASLEEP, 1);
}

/** Runs the parts of the current stage that nobody has taken; returns the last ticket seen. */
function takeParts(control: Int32Array): number {
  for (;;) {
    const ticket = Atomics.load(control, TICKET);
    const part = nextOf(ticket);
    // until this part is taken and done, the ticket's call remains the current one
    const kernels = instances.get(control[INSTANCE]);
    if (part >= partsOf(ticket) || !kernels) return ticket;
    // a part is its thread's from here, where it begins: one that loses its core before has nothing to give back
    if (!take(control, ticket)) continue;
    try {
      kernels.begin(control[CALL]);
      runPart(kernels, control[STAGE], part);
    } catch {
      // the caller runs it again, and throws the error
      Atomics.or(control, FAILED, 1 << part);
    }
    finish(control, part);
  }
}

/** Polls for another ticket, for as long as staying awake pays. */
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

const port = globalThis.process?.getBuiltinModule?.("node:worker_threads").parentPort;
if (port) port.on("message", receive);
else addEventListener("message", ({ data }: MessageEvent<Mail>) => receive(data));
