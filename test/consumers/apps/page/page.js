/** Runs the check in a page: its address has the check's options, and says where to report. */
import { check } from "./check.js";

const asked = new URLSearchParams(location.search);
const option = (name) => (asked.has(name) ? { [name]: Number(asked.get(name)) } : {});
const report = (result) => fetch(asked.get("report"), { method: "POST", body: JSON.stringify(result) });

check({ ...option("threads"), ...option("calls") }).then(report, (error) =>
  report({ failed: String(error) }),
);
