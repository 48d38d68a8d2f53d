/** All rows, by family. */
import { core } from "./core.js";
import type { Row } from "./row.js";

export type { Row } from "./row.js";

export const rows: Row[] = [...core];
