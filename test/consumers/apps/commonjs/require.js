/** Everything by require: Node 20.19 and later require modules too. */
const { layerNorm, open } = require("evenkeel");
const tf = require("@tensorflow/tfjs-core");
require("@tensorflow/tfjs-backend-cpu");
const { normalize } = require("evenkeel/tfjs");

const digits = (values) => Array.from(values, (value) => value.toFixed(3)).join(" ");

async function main() {
  const ek = await open();
  console.log(
    ek.backend,
    digits(ek.forward(layerNorm(), { shape: [1, 2], data: Float32Array.of(1, 3) }).y.data),
  );
  await tf.setBackend("cpu");
  console.log("tfjs", digits(await normalize(layerNorm(), tf.tensor([[1, 3]])).y.data()));
}
main();
