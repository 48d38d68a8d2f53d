/** Work that goes on while nothing else is to be done. */

/** Milliseconds that a slice takes, if one step does not take longer. */
const SLICE = 8;

/**
 * Runs to the end, slice by slice.
 * @returns ends it
 */
export function inSlices<T>(
  steps: Generator<void, T, void>,
  use: (result: T) => void,
  after = 0,
): () => void {
  const slice = () => {
    const end = performance.now() + SLICE;
    do {
      const { done, value } = steps.next();
      if (done) {
        use(value);
        return;
      }
    } while (performance.now() < end);
    waiting = setTimeout(slice, 4);
  };
  let waiting = setTimeout(slice, after);
  return () => clearTimeout(waiting);
}
