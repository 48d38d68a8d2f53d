/** Both adapters by import. */
import { init as initJax, numpy as np } from "@jax-js/jax";
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { layerNorm } from "evenkeel";
import { apply } from "evenkeel/jax";
import { normalize } from "evenkeel/tfjs";

const digits = (values) => Array.from(values, (value) => value.toFixed(3)).join(" ");

await tf.setBackend("cpu");
console.log("tfjs", digits(await normalize(layerNorm(), tf.tensor([[1, 3]])).y.data()));
await initJax("wasm");
console.log("jax", digits(await apply(layerNorm(), np.array([[1, 3]]), {}).y.data()));
process.exit();
