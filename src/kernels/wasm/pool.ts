/**
 * Helpers: threads that run parts of a call beside the one that makes it. All instances of a program share
 * them, since calls end before they return; the first shared call starts them, and nobody waits until they
 * run.
 *
 * Two things can go wrong with a thread, and neither may hold up a call. Its core may be busy: the caller
 * waits for no part that was not begun, sleeps where one that was takes long, compares the time of calls with
 * what they would have taken alone, and runs alone for a while where sharing does not pay. It may die within a
 * part, of which its waiting caller is not notified: a part that takes far too long is run by the caller, and
 * helpers are restarted.
 *
 * A part that a live thread has begun is waited for, and not run a second time beside it: both would add to the
 * same sums in scratch, and the thread would still write after the call, to arrays that may have other values or
 * another owner by then.
 */
import { allWays, type Thread, type Way } from "./start-thread.js";
import {
  announce,
  announceMail,
  CALL,
  DONE,
  endStage,
  FAILED,
  INSTANCE,
  type Instance,
  LOOKS,
  MAIL,
  MOST_HELPERS,
  nextOf,
  type Parts,
  pause,
  READ,
  runPart,
  STAGE,
  sleepUntil,
  TICKET,
  take,
  WORDS,
} from "./tickets.js";

/** More threads than these gain no memory bandwidth. */
const MOST_THREADS = 8;

/** One per core, up to that limit. */
export function threadsHere(): number {
  const os = globalThis.process?.getBuiltinModule?.("node:os");
  const cores = os ? os.availableParallelism() : (globalThis.navigator?.hardwareConcurrency ?? 1);
  return Math.min(MOST_THREADS, cores);
}

/** Time in ms that sharing may lose before calls run alone: so much at first, and what it has gained, up to this much. */
const CREDIT_MS = { first: 1, most: 10 };
/**
 * Calls then run alone for this many times the time lost, so that at most a tenth of their time is lost: twice as
 * many each time, up to `most`, until sharing has gained its first credit again.
 */
const ALONE_TIMES = { least: 10, most: 80 };
/** Most time in ms that one stage is said to have lost: more is a thread that died, or a machine that was suspended. */
const MOST_LOSS_MS = 100;
/** Resolution of the clock in pages; no part is much shorter. */
const CLOCK_MS = 0.005;
/** A part is given up after this long, plus this many times the time that the caller's own parts took. */
const LOST_MS = 2000;
const LOST_TIMES = 20;
/** At most this much is counted between two readings of the clock, so that a suspended machine does not seem to wait. */
const STEP_MS = 10;
/**
 * For a part that a helper has begun, the caller waits awake for this many times what its own took, and within
 * these limits: a helper that has not finished by then is off the processor, and may need this one.
 */
const AWAKE_TIMES = 2;
const AWAKE_MS = { least: 0.05, most: 1 };

/** An instance, and what the pool knows of it. */
interface Member extends Instance {
  /** Most threads that serve it, the calling one included. */
  readonly threads: number;
  /** The mail that announced it to helpers. */
  since: number;
}

export class Pool {
  private control?: Int32Array;
  /** Undefined where one could not be started, or has ended. */
  private helpers: (Thread | undefined)[] = [];
  /** Those that ran, and ended without being asked to: the next call that is worth sharing starts them anew. */
  private readonly lost = new Set<number>();
  private readonly members = new Map<number, Member>();
  private ids = 0;
  private dropped?: FinalizationRegistry<number>;
  private credit = CREDIT_MS.first;
  /** Time in ms that calls are yet to run alone: their own, not what passes between them. */
  private alone = 0;
  private aloneTimes = ALONE_TIMES.least;
  /** Whether this thread may sleep while it waits: a page's main thread may not. */
  private sleeps?: boolean;

  /** `ways`: how a helper may start; the first that works is used. */
  constructor(private readonly ways: readonly Way[] = allWays) {}

  /**
   * Lets an instance share its calls among `threads`, the calling one included, until it leaves or `owner` is
   * garbage-collected. Returns its id. Missing helpers are started; until one runs, calls run alone.
   */
  join(owner: object, module: WebAssembly.Module, memory: WebAssembly.Memory, threads: number): number {
    const id = ++this.ids;
    this.dropped ??= new FinalizationRegistry((dropped) => this.leave(dropped));
    this.dropped.register(owner, id);
    const member = { id, module, memory, threads: Math.min(threads, MOST_HELPERS + 1), since: 0 };
    this.members.set(id, member);
    this.send([member], []);
    return id;
  }

  /** Undoes `join`; helpers end with the last instance. */
  leave(id: number): void {
    if (!this.members.delete(id)) return;
    if (this.members.size === 0) this.end();
    else if (this.control) this.send([], [id]);
  }

  /** Threads that run parts of an instance's calls now, the calling one included. */
  threads(id: number): number {
    const { control } = this;
    const member = this.members.get(id);
    let running = 1;
    if (!control || !member) return running;
    for (let i = 0; i < member.threads - 1; i++) {
      if (Atomics.load(control, READ + i) >= member.since) running++;
    }
    return running;
  }

  /** Whether there are helpers for calls of this instance; if not, `share` is of no use. */
  helps(id: number): boolean {
    // all helpers were ended
    if (!this.control) this.send([...this.members.values()], []);
    for (const i of this.lost) {
      this.lost.delete(i);
      this.start(i, 0);
    }
    return this.threads(id) > 1;
  }

  /**
   * Runs one stage of a call that `kernels` has begun: all of its parts, on whichever threads come first, or on
   * this one alone where that is faster now.
   */
  share(id: number, kernels: Parts, call: number, stage: number, parts: number): void {
    const start = performance.now();
    if (this.alone > 0) {
      for (let part = 0; part < parts; part++) runPart(kernels, stage, part);
      this.alone -= performance.now() - start;
      return;
    }
    const control = this.control ?? newControl();
    control[CALL] = call;
    control[STAGE] = stage;
    control[INSTANCE] = id;
    Atomics.store(control, DONE, 0);
    Atomics.store(control, FAILED, 0);
    announce(control, parts);
    let worked = 0;
    let fastest = Number.POSITIVE_INFINITY;
    let unfinished = 0;
    try {
      for (let before = performance.now(); ; ) {
        const ticket = Atomics.load(control, TICKET);
        if (nextOf(ticket) === parts) break;
        if (!take(control, ticket)) continue;
        Atomics.or(control, DONE, 1 << nextOf(ticket));
        runPart(kernels, stage, nextOf(ticket));
        const now = performance.now();
        fastest = Math.min(fastest, now - before);
        worked += now - before;
        before = now;
      }
    } finally {
      // even where the caller failed: nobody writes any more when this returns
      unfinished = this.wait(control, endStage(control), fastest, LOST_MS + LOST_TIMES * worked);
    }
    for (let part = 0; part < parts; part++) {
      if ((unfinished >> part) & 1) runPart(kernels, stage, part);
    }
    const took = performance.now() - start;
    this.account(fastest === Number.POSITIVE_INFINITY ? took : took - Math.max(fastest, CLOCK_MS) * parts);
  }

  /** Waits for parts that helpers have begun; returns a bit for each that they did not finish. */
  private wait(control: Int32Array, taken: number, fastest: number, most: number): number {
    const awake = Math.min(Math.max(AWAKE_TIMES * fastest, AWAKE_MS.least), AWAKE_MS.most);
    let waited = 0;
    for (let seen = performance.now(); (taken & ~Atomics.load(control, DONE)) !== 0; ) {
      if (waited >= awake) this.sleeps ??= maySleep();
      if (waited < awake || !this.sleeps) {
        for (let i = 0; i < LOOKS && (taken & ~Atomics.load(control, DONE)) !== 0; i++) pause();
      } else {
        sleepUntil(control, taken, STEP_MS);
      }
      const now = performance.now();
      waited += Math.min(now - seen, STEP_MS);
      seen = now;
      if (waited < most) continue;
      this.end();
      break;
    }
    return (taken & ~Atomics.load(control, DONE)) | Atomics.load(control, FAILED);
  }

  /**
   * Charges the time in ms that a shared stage took beyond its time alone; negative where it gained. Alone,
   * each part would have taken as long as the caller's fastest one: its other parts may have waited for a
   * core too, because of the helpers.
   */
  private account(loss: number): void {
    this.credit = Math.min(CREDIT_MS.most, this.credit - Math.min(loss, MOST_LOSS_MS));
    if (this.credit >= CREDIT_MS.first) this.aloneTimes = ALONE_TIMES.least;
    if (this.credit >= 0) return;
    this.alone = -this.aloneTimes * this.credit;
    this.aloneTimes = Math.min(2 * this.aloneTimes, ALONE_TIMES.most);
    this.credit = 0;
  }

  /** Tells helpers which instances to serve and to forget, and starts those that are missing. */
  private send(join: readonly Member[], leave: number[]): void {
    this.control ??= newControl();
    const { control, helpers } = this;
    const mail = Atomics.add(control, MAIL, 1) + 1;
    for (const member of join) member.since = mail;
    helpers.forEach((helper, i) => {
      helper?.postMessage({ control, helper: i, mail, join: served(join, i), leave });
    });
    const most = Math.max(...[...this.members.values()].map(({ threads }) => threads));
    while (helpers.length < most - 1) this.start(helpers.length, 0);
    announceMail(control);
  }

  /** Starts helper `i` in a given way; where that fails, in the next one. */
  private start(i: number, way: number): void {
    const { control, helpers } = this;
    if (!control) return;
    helpers[i] = undefined;
    let ended = false;
    const end = () => {
      if (ended) return;
      ended = true;
      if (this.control !== control) return;
      helpers[i]?.terminate();
      helpers[i] = undefined;
      const ran = Atomics.exchange(control, READ + i, 0) > 0;
      if (ran) this.lost.add(i);
      else if (way + 1 < this.ways.length) this.start(i, way + 1);
    };
    const begin = (helper: Thread) => {
      if (this.control !== control) {
        helper.terminate();
        return;
      }
      helpers[i] = helper;
      const mail = Atomics.load(control, MAIL);
      helper.postMessage({
        control,
        helper: i,
        mail,
        join: served([...this.members.values()], i),
        leave: [],
      });
    };
    try {
      const helper = this.ways[way](end);
      if (helper instanceof Promise) helper.then(begin).catch(end);
      else begin(helper);
    } catch {
      end();
    }
  }

  private end(): void {
    for (const helper of this.helpers) helper?.terminate();
    this.helpers = [];
    this.lost.clear();
    this.control = undefined;
  }
}

/** Shared by all instances of the program. */
export const pool = /* @__PURE__ */ new Pool();

function maySleep(): boolean {
  try {
    // returns at once, since this is not the word's value
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
    return true;
  } catch {
    return false;
  }
}

const newControl = () => new Int32Array(new SharedArrayBuffer(WORDS * 4));

/** The instances that helper `i` serves: those with enough threads. */
const served = (members: readonly Member[], i: number): Instance[] =>
  members.filter(({ threads }) => threads > i + 1).map(({ id, module, memory }) => ({ id, module, memory }));
