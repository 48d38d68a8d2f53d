import { layerNorm, open } from "evenkeel";

open().then((ek) => {
  const { y } = ek.forward(layerNorm(), { shape: [1, 2], data: Float32Array.of(1, 3) });
  console.log(Array.from(y.data, (value) => value.toFixed(3)).join(" "));
});
