/** The end of a worker, of which its calls do not tell. */

export interface End {
  /** Rejects where a worker cannot be loaded, breaks or is ended: what it has not answered by then, it never will. */
  readonly broken: Promise<never>;
  giveUp(error: Error): void;
}

export function openEnd(): End {
  let giveUp: End["giveUp"] = () => {};
  const broken = new Promise<never>((_, reject) => {
    giveUp = reject;
  });
  // those that wait for an answer hear of it
  broken.catch(() => {});
  return { broken, giveUp };
}

export function endOf(worker: Worker): End {
  const end = openEnd();
  worker.onerror = (event) => {
    event.preventDefault();
    // an event without words: its script did not come, or what that imports
    end.giveUp(
      new Error(event.message || "a part of this page could not be loaded; try again, or reload the page"),
    );
  };
  return end;
}
