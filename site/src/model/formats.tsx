/** What is opened: frameworks and the files that they write. */

const FORMATS: readonly (readonly [framework: string, ...files: string[]])[] = [
  ["PyTorch", "state dicts, whole modules and TorchScript: .pt, .pth", "safetensors, in shards too"],
  ["Keras 1, 2 and 3", ".keras", "HDF5: .h5, .weights.h5"],
  ["TensorFlow", "SavedModel: its folder", "checkpoint: .index, with its .data files", "frozen graph: .pb"],
  ["TensorFlow.js", "model.json, with its weight files"],
  ["ONNX", ".onnx, with its external data"],
  ["MXNet", "parameters: .params, with their symbol (-symbol.json) where there is one"],
  ["fastai", "what learn.export and learn.save write: .pkl, .pth"],
  ["NumPy", ".npz and .npy"],
];

export const Formats = () => (
  <section aria-labelledby="formats">
    <h2 id="formats">What it opens</h2>
    <p class="deck">
      A file is told by its bytes, not by its name. What lies in several files is dropped together, or as its
      folder. Of a file of gigabytes, its structure and its normalizations are read. Nothing in it is ever
      run, and nothing of it leaves this page.
    </p>
    <dl class="formats">
      {FORMATS.map(([framework, ...files]) => (
        <div key={framework}>
          <dt>{framework}</dt>
          <dd>
            <ul>
              {files.map((each) => (
                <li key={each}>{each}</li>
              ))}
            </ul>
          </dd>
        </div>
      ))}
    </dl>
    <p class="note">
      The samples are files of the library’s tests: networks that Keras 2.15 and PyTorch 2.8 trained for some
      steps, and saved themselves.
    </p>
  </section>
);
