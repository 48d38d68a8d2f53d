import {
  type BackendArray,
  BatchNorm,
  batchNorm,
  conventions,
  groupNorm,
  layerNorm,
  open,
  Standardizer,
} from "evenkeel";
import { healthOf, normalizationsOf, open as openFile, writeSafetensors } from "evenkeel/checkpoints";
import module from "evenkeel/kernels.wasm";
import { type Exchange, exchangeIn, reduceOver, sharedMemory } from "evenkeel/replicas";

export async function core(): Promise<number> {
  using ek = await open({ backend: "wasm", module });
  using x: BackendArray = ek.array([2, 4], [1, 2, 3, 4, 5, 6, 7, 8]);
  const { y, saved } = ek.forward(groupNorm({ groups: 2 }), x);
  const dx: BackendArray = ek.backward(saved, y).dx;
  new BatchNorm(ek, 4).forward(dx).dispose();
  const first: number | undefined = y.shape[0];
  const layer = new BatchNorm(ek, 2, conventions.pytorch.batchNorm);
  const state: Record<string, number[]> = JSON.parse(
    '{ "gamma": [2, 2], "beta": [0, 1], "runningMean": [10, 20], "runningVariance": [4, 9] }',
  );
  layer.loadStateDict(state);
  layer.loadStateDict(layer.stateDict());
  const checkpoint = await openFile(writeSafetensors([["norm.weight", { shape: [2], data: [2, 2] }]]));
  for (const norm of await normalizationsOf(checkpoint)) if (!healthOf(norm).sick) layer.loadStateDict(norm);
  await openFile({ byteLength: 8, slice: async (start, end) => new ArrayBuffer(end - start) }).catch(
    () => null,
  );
  const exchange: Exchange = exchangeIn(sharedMemory({ replicas: 1 }), 0);
  const { mean: merged } = reduceOver(exchange)({
    count: Float64Array.of(2),
    mean: Float64Array.of(1),
    m2: Float64Array.of(2),
  });
  const standardizer = new Standardizer();
  const mean: Float64Array = standardizer.mean;
  // @ts-expect-error groups are a number
  groupNorm({ groups: "2" });
  // @ts-expect-error there is no such option
  layerNorm({ eps: 1e-5 });
  batchNorm({ axis: 1, momentum: 0.9 });
  return (first ?? 0) + mean.length + merged.length;
}
