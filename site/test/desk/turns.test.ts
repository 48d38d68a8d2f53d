/** Turns: never more at a time than there may be, in the order of asking, none in a pause, one step each on demand. */
import { expect, test, vi } from "vitest";
import { openTurns } from "../../src/desk/turns.ts";

const settled = () => new Promise((resolve) => setTimeout(resolve));

/** A trial that takes `steps` turns. */
async function trial(turns: ReturnType<typeof openTurns>, name: string, steps: number, log: string[]) {
  for (let step = 0; step < steps; step++) {
    const ms = await turns.take();
    log.push(`${name}${ms === 0 ? "." : ""}`);
    await settled();
    turns.give();
  }
}

test("all get on in turns, no more at a time than may be", async () => {
  const turns = openTurns(2);
  const log: string[] = [];
  let now = 0;
  let most = 0;
  const counted: typeof turns = {
    ...turns,
    async take() {
      const ms = await turns.take();
      most = Math.max(most, ++now);
      return ms;
    },
    give() {
      now--;
      turns.give();
    },
  };
  await Promise.all(["a", "b", "c", "d", "e"].map((name) => trial(counted, name, 3, log)));
  expect(most).toBe(2);
  // nobody has a second turn before everybody has had one
  expect(new Set(log.slice(0, 5)).size).toBe(5);
  expect(new Set(log.slice(5, 10)).size).toBe(5);
  expect(log.length).toBe(15);
});

test("a pause gives no turn, a step gives one to each that waits, and then they go on", async () => {
  const turns = openTurns(1);
  const log: string[] = [];
  turns.pause();
  const all = Promise.all(["a", "b", "c"].map((name) => trial(turns, name, 4, log)));
  await settled();
  expect(log).toEqual([]);
  turns.step();
  for (let i = 0; i < 20; i++) await settled();
  expect(log).toEqual(["a.", "b.", "c."]);
  turns.step();
  for (let i = 0; i < 20; i++) await settled();
  expect(log.length).toBe(6);
  turns.go();
  turns.step();
  await all;
  expect(log.slice(6)).toEqual(["a", "b", "c", "a", "b", "c"]);
});

test("time goes on where nothing is paused", () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  try {
    const turns = openTurns(1);
    vi.advanceTimersByTime(20);
    expect(turns.elapsed()).toBe(20);
    turns.pause();
    vi.advanceTimersByTime(500);
    turns.pause();
    expect(turns.elapsed()).toBe(20);
    turns.go();
    turns.go();
    vi.advanceTimersByTime(5);
    expect(turns.elapsed()).toBe(25);
  } finally {
    vi.useRealTimers();
  }
});
