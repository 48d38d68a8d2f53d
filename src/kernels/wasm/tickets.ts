/**
 * The control words through which a caller (pool.ts) hands out the parts of a call, and its helpers
 * (thread.ts) take them.
 *
 * All wait on one word, the ticket: it holds a stage's number of parts and the next one that nobody has
 * taken. Taking a part is a compare-and-exchange on it, and the part begins at once, so that a helper that is
 * late, asleep or off the processor delays nobody: the others take its parts.
 *
 * The words of a call are plain: the ticket publishes them, and what a thread read of them is the ticket's if it
 * then takes a part of it. DONE publishes what a helper wrote.
 */

/** What a thread calls on its instance of the kernels. */
export interface Parts {
  /** Loads a call; returns the bytes of scratch that it needs. */
  begin(call: number): number;
  first(part: number): void;
  second(part: number): void;
}

/** Kernels on one memory, which several threads can serve. */
export interface Instance {
  readonly id: number;
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
}

/** A message to a helper. */
export interface Mail {
  /** Control words. */
  control: Int32Array;
  /** The helper's index, from 0. */
  helper: number;
  /** The value of MAIL once this has been sent. */
  mail: number;
  /** Instances to serve from now on, and ids of those to forget. */
  join: Instance[];
  leave: number[];
}

// Control words. Those that are written while others read are in cache lines of their own.
export const TICKET = 0;
export const CALL = 16;
export const STAGE = 17;
export const INSTANCE = 18;
/** Number of mails sent so far; helpers return to their event loops for them. */
export const MAIL = 19;
/** A bit for each part that was run, and for each that failed in a helper. */
export const DONE = 32;
export const FAILED = 33;
/** A bit for each part that the caller waits for, asleep at DONE; 0 while it is awake. */
export const AWAITED = 34;
/** Number of helpers that sleep. */
export const ASLEEP = 48;
/** For each helper, the last mail that it has read; 0 before it runs. */
export const READ = 64;
/** A call has 14 parts at most. */
export const MOST_HELPERS = 13;
/** Number of control words. */
export const WORDS = READ + MOST_HELPERS;

// A ticket: 4 bits for the next part, 4 for the number of parts, and a counter of stages.
export const nextOf = (ticket: number): number => ticket & 15;
export const partsOf = (ticket: number): number => (ticket >> 4) & 15;

/** Takes the next part of the ticket, as it was read; false where another thread was faster. */
export function take(control: Int32Array, ticket: number): boolean {
  return Atomics.compareExchange(control, TICKET, ticket, ticket + 1) === ticket;
}

/** Stops threads from taking parts of the stage; returns a bit for each that was taken. */
export function endStage(control: Int32Array): number {
  for (;;) {
    const ticket = Atomics.load(control, TICKET);
    const ended = (ticket & -16) | partsOf(ticket);
    if (Atomics.compareExchange(control, TICKET, ticket, ended) === ticket) return (1 << nextOf(ticket)) - 1;
  }
}

/** Announces a stage of this many parts, for which every helper wakes. */
export function announce(control: Int32Array, parts: number): void {
  // the last stage has ended: nobody else writes the ticket
  const ticket = Atomics.load(control, TICKET);
  Atomics.store(control, TICKET, ((ticket & -256) + 256 + (parts << 4)) | 0);
  wake(control);
}

/** Wakes every helper for mail; a stage goes on, since the ticket keeps its parts. */
export function announceMail(control: Int32Array): void {
  Atomics.add(control, TICKET, 256);
  wake(control);
}

function wake(control: Int32Array): void {
  if (Atomics.load(control, ASLEEP) > 0) Atomics.notify(control, TICKET);
}

/** Sleeps until these parts are done, or for `ms`. */
export function sleepUntil(control: Int32Array, parts: number, ms: number): void {
  Atomics.store(control, AWAITED, parts);
  const done = Atomics.load(control, DONE);
  if ((parts & ~done) !== 0) Atomics.wait(control, DONE, done, ms);
  Atomics.store(control, AWAITED, 0);
}

/** Tells that a helper's part is done; wakes the caller if it was the last that it waits for. */
export function finish(control: Int32Array, part: number): void {
  const done = Atomics.or(control, DONE, 1 << part) | (1 << part);
  // a caller that goes to sleep sets AWAITED first: either this sees it, or the caller sees DONE changed
  const awaited = Atomics.load(control, AWAITED);
  if (awaited !== 0 && (awaited & ~done) === 0) Atomics.notify(control, DONE);
}

export function runPart(kernels: Parts, stage: number, part: number): void {
  if (stage === 0) kernels.first(part);
  else kernels.second(part);
}

/** Tells the processor that this is a spin loop, where the engine can. */
export const pause: () => void = (Atomics as { pause?: () => void }).pause ?? (() => {});

/** Readings of a control word between two readings of the clock. */
export const LOOKS = 200;
