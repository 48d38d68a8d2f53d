/** Every normalization, by its name: what lists, hosts, tests and pages go through. One line each. */
import { batchNorm } from "./batch.js";
import { dynamicTanh } from "./dynamic-tanh.js";
import { groupNorm } from "./group.js";
import { instanceNorm } from "./instance.js";
import { layerNorm } from "./layer.js";
import { rmsNorm } from "./rms.js";

export const catalog = {
  layerNorm,
  rmsNorm,
  batchNorm,
  groupNorm,
  instanceNorm,
  dynamicTanh,
};

export type Catalog = typeof catalog;
