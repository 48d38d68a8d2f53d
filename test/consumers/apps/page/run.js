/** Runs the check in a runtime without pages. */
import { check } from "./check.js";

console.log(JSON.stringify(await check({ threads: 2 })));
