/** Who may compute: as many at a time as there are cores, in turns, so that all get on and the page stays free. */

/** ms of a turn. */
const TURN_MS = 150;

export interface Turns {
  /** Waits for a turn; gives its ms, 0 for one step. */
  take(): Promise<number>;
  /** Ends a turn. */
  give(): void;
  /** Nobody gets a turn until `go`; those that have one end it. */
  pause(): void;
  /** One step for each that waits. */
  step(): void;
  go(): void;
  /** ms since it was opened, without pauses. */
  elapsed(): number;
}

/** @param most turns at a time */
export function openTurns(most: number): Turns {
  const waiting: ((ms: number) => void)[] = [];
  let taken = 0;
  let paused = false;
  let steps = 0;
  let began = performance.now();
  let pausedAt = 0;

  function next(): void {
    while (taken < most && waiting.length > 0 && (!paused || steps > 0)) {
      if (paused) steps--;
      taken++;
      waiting.shift()?.(paused ? 0 : TURN_MS);
    }
  }

  return {
    take: () =>
      new Promise((resolve) => {
        waiting.push(resolve);
        next();
      }),
    give() {
      taken--;
      next();
    },
    pause() {
      if (!paused) pausedAt = performance.now();
      paused = true;
      steps = 0;
    },
    step() {
      if (!paused) return;
      steps = waiting.length;
      next();
    },
    go() {
      if (paused) began += performance.now() - pausedAt;
      paused = false;
      next();
    },
    elapsed: () => (paused ? pausedAt : performance.now()) - began,
  };
}
