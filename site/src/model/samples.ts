/** Checkpoints to try it on: of the library's tests, written by the frameworks themselves. */

import keras from "../../../test/fixtures/checkpoints/keras2/normalizations.keras?url";
import pytorch from "../../../test/fixtures/checkpoints/pytorch/images.state.pt?url";
import sick from "../../../test/fixtures/checkpoints/pytorch/layer.module.legacy.pt?url";
import { oneOf } from "../ui/address.ts";
import { baseOf } from "./reading.ts";

export interface Sample {
  /** In the address: `#sample=keras`. */
  name: string;
  label: string;
  /** Its name in the tests, below `test/fixtures/checkpoints`. */
  file: string;
  url: string;
}

export const samples: readonly Sample[] = [
  {
    name: "keras",
    label: "Keras",
    file: "keras2/normalizations.keras",
    url: keras,
  },
  {
    name: "pytorch",
    label: "PyTorch",
    file: "pytorch/images.state.pt",
    url: pytorch,
  },
  {
    name: "sick",
    label: "A sick layer",
    file: "pytorch/layer.module.legacy.pt",
    url: sick,
  },
];

/** `#sample=keras`; "" is none. */
export const address = { sample: oneOf(["", ...samples.map(({ name }) => name)], "") };

/** @throws Error where it does not come */
export async function fetched({ file, url }: Sample): Promise<File> {
  const response = await fetch(url).catch(() => undefined);
  if (!response?.ok)
    throw new Error(`${baseOf(file)}: it cannot be loaded; try again where there is a network`);
  return new File([await response.blob()], baseOf(file));
}
