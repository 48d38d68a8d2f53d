/** The page of a stream: error over time, moments of each column, and where they drifted, in one HTML file without a script. */
import type { History } from "../online/history.js";

/** The whole page; its figures are drawn in `document`. */
export declare function renderStream(history: History, document: Document): string;
