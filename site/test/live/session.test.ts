/** A session at desks that a test gives: which of several answers counts, and what follows a desk that breaks. */
import { beforeEach, expect, test, vi } from "vitest";
import type { CompareRequest, Loaded, View } from "../../src/desk/protocol.ts";
import { openSession } from "../../src/live/session.ts";

interface FakeDesk {
  answer(loaded: Partial<Loaded>): void;
  fail(error: Error): void;
  break(error: Error): void;
  finish(): void;
  closed: boolean;
  paused: boolean;
}

const desks = vi.hoisted(() => [] as FakeDesk[]);

vi.mock("../../src/desk/client.ts", () => ({
  openDesk() {
    const own = { closed: false, paused: false } as FakeDesk;
    const broken = new Promise<never>((_, reject) => {
      own.break = reject;
    });
    broken.catch(() => {});
    const asked = <T>(use: (resolve: (value: T) => void, reject: (error: Error) => void) => void) =>
      Promise.race([new Promise<T>(use), broken]);
    desks.push(own);
    return {
      broken,
      load: () =>
        asked((resolve, reject) => {
          own.answer = (loaded) => resolve({ columns: [], ...loaded });
          own.fail = reject;
        }),
      compare: (_: CompareRequest, show: (view: View) => void) =>
        asked<void>((resolve) => {
          show({ state: "running" } as View);
          own.finish = () => {
            show({ state: "finished" } as View);
            resolve();
          };
        }),
      stop: async () => {},
      pause: () => {
        own.paused = true;
      },
      step: () => {},
      go: () => {},
      report: async () => ({ html: `report of desk ${desks.length}`, json: "" }),
      close: () => {
        own.closed = true;
      },
    };
  },
}));

beforeEach(() => void desks.splice(0));
const settle = () => new Promise((resolve) => setTimeout(resolve));
const request = (name: string) => ({ source: { name }, reading: {} });
const ask = () => ({}) as CompareRequest;

test("of two readings the later counts, whichever answers", async () => {
  const session = openSession();
  const first = session.load(request("a"));
  await settle();
  desks[0].answer({ name: "a" });
  // asked for before the answer has come to who waits for it
  const second = session.load(request("b"));
  expect(await first).toBeUndefined();
  await settle();
  desks.at(-1)?.answer({ name: "b" });
  expect(await second).toMatchObject({ name: "b" });
  expect(session.loaded.value).toMatchObject({ name: "b" });
  expect(session.busy.value).toBe(false);
});

test("after a desk that breaks comes another, paused as it was", async () => {
  const session = openSession();
  const begun = session.begin(request("a"), ask);
  session.pause();
  await settle();
  desks[0].break(new Error("it broke"));
  await begun;
  expect(session.problem.value).toBe("it broke");
  expect([session.busy.value, desks[0].closed]).toEqual([false, true]);
  session.begin(request("a"), ask);
  await settle();
  expect(session.problem.value).toBeUndefined();
  expect([desks.length, desks[1].paused]).toEqual([2, true]);
  desks[1].answer({ name: "a" });
  await settle();
  expect(session.view.value?.state).toBe("running");
});

test("what is finished can be reported when its desk is gone", async () => {
  const session = openSession();
  const begun = session.begin(request("a"), ask);
  await settle();
  desks[0].answer({ name: "a" });
  await settle();
  desks[0].finish();
  await begun;
  session.close();
  expect(session.view.value?.state).toBe("finished");
  expect((await session.report())?.html).toBe("report of desk 1");
  expect(desks.length).toBe(1);
});

test("what is stopped without a desk opens none", async () => {
  const session = openSession();
  session.pause();
  session.go();
  await session.stop();
  expect(desks.length).toBe(0);
});
