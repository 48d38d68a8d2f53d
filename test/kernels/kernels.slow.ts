/** Every backend on the kinds of hard inputs that the fast suite leaves out, and on means far from 0. */
import { hardInputs } from "../support/numerics.js";
import { againstReference, farFromZero } from "./suite.js";

const { "unit normal": _usual, "mean 10⁴, standard deviation 1": _far, ...others } = hardInputs;
againstReference(others);
farFromZero();
