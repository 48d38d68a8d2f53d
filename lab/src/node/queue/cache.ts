/** What a worker has fetched from the depot, as files. */
import type { Depot } from "./depot.js";

export interface Cache {
  dataFile(digest: string): Promise<string>;
  moduleFile(digest: string): Promise<string>;
}
export function openCache(_folder: string | undefined, _depot: Depot): Cache {
  throw new Error("not here yet");
}
