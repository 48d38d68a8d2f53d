/** A place to drop files on, or to choose them. */
import { useRef, useState } from "preact/hooks";

export interface DropProps {
  /** What is to be dropped: "A CSV, TSV, JSON, ARFF or Parquet file". */
  what: string;
  /** Several files, or a folder, at a time. */
  multiple?: boolean;
  onFiles(files: File[]): void;
}

/** Files of the folders that were dropped have their paths as `webkitRelativePath`, as those of a chosen folder do. */
export function Drop({ what, multiple = false, onFiles }: DropProps) {
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the button within does the same by keyboard
    <div
      class={over ? "drop over" : "drop"}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={async (event) => {
        event.preventDefault();
        setOver(false);
        const files = event.dataTransfer ? await filesOf(event.dataTransfer) : [];
        if (files.length > 0) onFiles(multiple ? files : files.slice(0, 1));
      }}
    >
      <p>
        <b>{what}</b>
      </p>
      <p>Drop it here: it stays in this page.</p>
      <input
        ref={input}
        type="file"
        hidden
        multiple={multiple}
        onChange={({ currentTarget }) => {
          const files = [...(currentTarget.files ?? [])];
          currentTarget.value = "";
          if (files.length > 0) onFiles(files);
        }}
      />
      <button type="button" class="button strong" onClick={() => input.current?.click()}>
        Choose {multiple ? "files" : "a file"} …
      </button>
    </div>
  );
}

async function filesOf({ items, files }: DataTransfer): Promise<File[]> {
  const entries = [...items].flatMap((item) => item.webkitGetAsEntry?.() ?? []);
  if (!entries.some(({ isDirectory }) => isDirectory)) return [...files];
  return (await Promise.all(entries.map(filesIn))).flat();
}

async function filesIn(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    );
    Object.defineProperty(file, "webkitRelativePath", { value: entry.fullPath.replace(/^\//, "") });
    return [file];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: File[] = [];
  // a reader gives a hundred at a time
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return found;
    found.push(...(await Promise.all(some.map(filesIn))).flat());
  }
}
