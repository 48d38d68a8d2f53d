/** Places that a batch lies in, one after the other in one thread: each runs again and again until it has what all merged. */
import { type MomentsList, mergeLists, type Reduce } from "../../src/moments.js";

/** What `run` gives in each place, where every call of `reduce` got the moments of all of them; how often it was called in each. */
export function inPlaces<R>(
  places: number,
  run: (place: number, reduce: Reduce) => R,
): { results: R[]; calls: number } {
  const merged: MomentsList[] = [];
  for (;;) {
    const next: MomentsList[] = [];
    const results = Array.from({ length: places }, (_, place) => {
      let call = 0;
      return run(place, (list) => {
        const at = call++;
        if (at === merged.length) {
          next.push({ count: list.count.slice(), mean: list.mean.slice(), m2: list.m2.slice() });
        }
        return merged[at] ?? list;
      });
    });
    if (next.length === 0) return { results, calls: merged.length };
    if (next.length !== places)
      throw new Error(`${next.length} of ${places} places made call ${merged.length}`);
    merged.push(mergeLists(next));
  }
}
