/**
 * `.keras` files of Keras 3 and of Keras 2.12 and later (keras/src/saving/saving_lib.py): a ZIP archive of config.json, metadata.json and
 * model.weights.h5. Variables that lie in an .npz instead are refused: they are pickled there.
 */
import type { Format } from "../checkpoint.js";
import { openHdf5 } from "../encodings/hdf5/file.js";
import { isZip, zipEntries } from "../encodings/zip.js";
import { CheckpointError } from "../errors.js";
import { Contents, frameworkOf, modelOf, parsedJson, takeSaved } from "./keras.js";

const NAME = "Keras (.keras)";

/** What the archive begins with, as Keras writes it or sorted by name. */
const FIRST = /^(config\.json|metadata\.json|model\.weights\.(h5|npz)|assets\/)/;

export const kerasZip: Format = {
  name: NAME,

  matches(head) {
    // the name of the first entry stands behind 30 bytes of its header
    return isZip(head) && FIRST.test(new TextDecoder("latin1").decode(head.subarray(30, 62)));
  },

  async read(files) {
    const entries = await zipEntries(NAME, files.bytes);
    const fail = (problem: string, remedy?: string) =>
      new CheckpointError(files.name, NAME, problem, { remedy });
    const json = async (name: string) => {
      const entry = entries.get(name);
      if (entry === undefined) throw fail(`expected ${name} in the archive, it has ${list(entries)}`);
      return parsedJson(new TextDecoder().decode(await entry.read()), name, fail);
    };
    const { compile_config: training, ...topology } = await json("config.json");
    const { keras_version: version, date_saved: date } = entries.has("metadata.json")
      ? await json("metadata.json")
      : {};
    const weights = entries.get("model.weights.h5");
    if (weights === undefined) {
      throw fail(
        `expected model.weights.h5 in the archive, it has ${list(entries)}`,
        "save the model with Keras 2.13 or later",
      );
    }
    const root = await openHdf5(NAME, weights);
    const contents = new Contents(root, fail);
    takeSaved(contents, root, modelOf(topology, fail));
    const known = typeof version === "string" ? version : undefined;
    return contents.checkpoint({
      format: NAME,
      framework: frameworkOf(known),
      version: known,
      file: files.name,
      byteLength: files.bytes.byteLength,
      metadata: { date, training },
      architecture: { topology, version: known },
    });
  },
};

const list = (entries: ReadonlyMap<string, unknown>) => [...entries.keys()].slice(0, 8).join(", ") || "none";
