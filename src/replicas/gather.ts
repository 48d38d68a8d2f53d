/**
 * Participants on one shared memory who take turns together: each writes a piece of its message to a room of its own, all arrive, all
 * read. There are two rooms each, used in turn: whoever has arrived at a turn has read those of the turn before, which may then be
 * written. Messages that are longer than a room go in pieces.
 *
 * One word counts events (an arrival, a failure), and everybody waits for it to change: nobody can miss one between a look and a wait.
 */

/** Events so far; the participant that failed, plus 1 (0: none); bytes of its reason, plus 1 (0: it is about to say it). */
const EVENT = 0;
const FAILED = 1;
const REASON = 2;
const HEAD = 4;
const REASON_BYTES = 1024;

/** What a round waits for. */
export interface Waiting {
  /** The events so far: there is nothing to do until there are more. */
  readonly event: number;
  readonly missing: readonly number[];
  /** When the wait began, by `performance.now()`. */
  readonly since: number;
}

/** The words that all participants watch, and who failed. */
export class Events {
  private readonly words: Int32Array;
  private readonly reason: Uint8Array;

  constructor(buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer, 0, HEAD);
    this.reason = new Uint8Array(buffer, HEAD * 4, REASON_BYTES);
  }

  static readonly bytes = HEAD * 4 + REASON_BYTES;

  get count(): number {
    return Atomics.load(this.words, EVENT);
  }

  signal(): void {
    Atomics.add(this.words, EVENT, 1);
    Atomics.notify(this.words, EVENT);
  }

  /** Sleeps until there are more events than these, or for `ms`. */
  wait(event: number, ms: number): void {
    try {
      Atomics.wait(this.words, EVENT, event, ms);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new Error(
        "exchangeIn: this thread may not wait, as a page's main thread may not; exchange in a worker",
      );
    }
  }

  /** The same for a thread with an event loop. */
  async change(event: number, ms: number): Promise<void> {
    const { waitAsync } = Atomics as unknown as WithWaitAsync;
    if (waitAsync !== undefined) await waitAsync(this.words, EVENT, event, ms).value;
    else if (this.count === event) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }

  /** The first failure counts: participant and reason. */
  fail(participant: number, reason: string): void {
    if (Atomics.compareExchange(this.words, FAILED, 0, participant + 1) === 0) {
      const bytes = new TextEncoder().encode(reason).subarray(0, REASON_BYTES);
      this.reason.set(bytes);
      Atomics.store(this.words, REASON, bytes.length + 1);
    }
    this.signal();
  }

  get hasFailed(): boolean {
    return Atomics.load(this.words, FAILED) !== 0;
  }

  get failure(): { participant: number; reason: string } {
    const until = performance.now() + SAYING_MS;
    // who fails at the same time as another may be faster than its reason
    while (Atomics.load(this.words, REASON) === 0 && performance.now() < until);
    const length = Atomics.load(this.words, REASON) - 1;
    // a decoder takes no shared bytes
    const reason = length < 0 ? "failed" : new TextDecoder().decode(this.reason.slice(0, length));
    return { participant: Atomics.load(this.words, FAILED) - 1, reason };
  }
}

/** Longer than a reason takes to be written; whoever ended in it says none. */
const SAYING_MS = 100;

interface WithWaitAsync {
  waitAsync?(words: Int32Array, at: number, value: number, ms: number): { value: unknown };
}

/** Between two looks, where a host has no Atomics.waitAsync (Firefox before 145). */
const LOOK_MS = 1;

/** The messages of `speakers`, the first of all participants, to all of them. */
export class Gather {
  private turn = 0;
  private readonly arrived: Int32Array;
  private readonly lengths: Int32Array;
  private readonly rooms: Float64Array;

  constructor(
    private readonly events: Events,
    buffer: SharedArrayBuffer,
    offset: number,
    private readonly own: number,
    private readonly size: GatherSize,
  ) {
    const { participants, speakers, room } = size;
    this.arrived = new Int32Array(buffer, offset, participants);
    this.lengths = new Int32Array(buffer, offset + 4 * participants, 2 * speakers);
    this.rooms = new Float64Array(buffer, offset + wordBytes(size), 2 * speakers * room);
  }

  static bytes(size: GatherSize): number {
    return wordBytes(size) + 2 * size.speakers * size.room * 8;
  }

  /**
   * Sends this participant's values, and returns those of the speakers that it listens to (of the others, nothing).
   * Yields where it has to wait; whoever runs it decides how, and for how long.
   */
  *round(values: Float64Array, listens: (speaker: number) => boolean): Generator<Waiting, Float64Array[]> {
    const { own } = this;
    const { speakers, room } = this.size;
    if (this.events.hasFailed) throw new Failed();
    const lists: Float64Array[] = [];
    let longest = 0;
    for (let sent = 0; sent === 0 || sent < longest; sent += room) {
      this.turn = (this.turn + 1) | 0;
      const half = (this.turn & 1) * speakers;
      if (own < speakers) {
        this.rooms.set(values.subarray(sent, sent + room), (half + own) * room);
        this.lengths[half + own] = values.length;
      }
      Atomics.store(this.arrived, own, this.turn);
      this.events.signal();
      yield* this.arrivals();
      for (let speaker = 0; speaker < speakers; speaker++) {
        const length = this.lengths[half + speaker];
        if (sent === 0) {
          longest = Math.max(longest, length);
          lists.push(new Float64Array(listens(speaker) ? length : 0));
        }
        const left = Math.min(room, lists[speaker].length - sent);
        if (left <= 0) continue;
        const from = (half + speaker) * room;
        lists[speaker].set(this.rooms.subarray(from, from + left), sent);
      }
    }
    return lists;
  }

  private *arrivals(): Generator<Waiting, void> {
    const since = performance.now();
    for (;;) {
      const event = this.events.count;
      const failed = this.events.hasFailed;
      const missing: number[] = [];
      for (let one = 0; one < this.arrived.length; one++) {
        if (((Atomics.load(this.arrived, one) - this.turn) | 0) < 0) missing.push(one);
      }
      // who has arrived may fail afterwards: the turn is whole, and all get it
      if (missing.length === 0) return;
      if (failed) throw new Failed();
      yield { event, missing, since };
    }
  }
}

/** A participant failed; `Events.failure` says which. */
export class Failed extends Error {}

export interface GatherSize {
  readonly participants: number;
  readonly speakers: number;
  /** Values that a room holds. */
  readonly room: number;
}

/** Of the words before the rooms, in whole float64s. */
function wordBytes({ participants, speakers }: GatherSize): number {
  return 8 * Math.ceil((participants + 2 * speakers) / 2);
}
