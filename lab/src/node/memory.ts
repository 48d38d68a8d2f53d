/** How large a table may be by default on this machine. */
import { getHeapStatistics } from "node:v8";
import { usualLimits } from "../data/table.js";

/** Bytes of the heap that a cell takes at most while it is read. */
const CELL = 90;

/** Rows × columns that the heap has room for: where it is full, Node aborts. */
export const usualCells = Math.min(usualLimits.cells, Math.floor(getHeapStatistics().heap_size_limit / CELL));
