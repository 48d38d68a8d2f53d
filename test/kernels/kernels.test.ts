/** Every backend: usual inputs, one hard kind, and the edges; all other kinds in kernels.slow.ts. */
import { hardInputs } from "../support/numerics.js";
import { againstReference, atTheEdges } from "./suite.js";

const { "unit normal": usual, "mean 10⁴, standard deviation 1": far } = hardInputs;
againstReference({ "unit normal": usual, "mean 10⁴, standard deviation 1": far });
atTheEdges();
