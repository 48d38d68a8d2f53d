/** Formats that are not read, known by their first bytes, and what helps. */
import { UsageError } from "../../errors.js";

interface Refused {
  what: string;
  /** How it starts, or what stands at `at`; several ways, each as bytes or characters. */
  starts?: readonly (string | readonly number[])[];
  at?: number;
  /** How its name ends, where its bytes do not tell it: it is refused if it is no text either. */
  endings?: string;
  remedy: string;
}

const UNPACK = "unpack it, and name the table in it";
const SPREADSHEET = "save it as .xlsx without a password, or as .csv";
const PANDAS = "write it as .csv or .parquet, in Python for example: pandas";

const REFUSED: readonly Refused[] = [
  { what: "a bzip2 file", starts: ["BZh"], endings: "bz2", remedy: "unpack it (bunzip2)" },
  {
    what: "an xz file",
    starts: [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]],
    endings: "xz lzma",
    remedy: "unpack it (unxz)",
  },
  {
    what: "a Zstandard file",
    starts: [[0x28, 0xb5, 0x2f, 0xfd]],
    endings: "zst zstd",
    remedy: "unpack it (unzstd)",
  },
  { what: "an LZ4 file", starts: [[0x04, 0x22, 0x4d, 0x18]], endings: "lz4", remedy: "unpack it (lz4 -d)" },
  {
    what: "a file of compress",
    starts: [
      [0x1f, 0x9d],
      [0x1f, 0xa0],
    ],
    endings: "z",
    remedy: "unpack it (uncompress)",
  },
  { what: "a 7-Zip archive", starts: [[0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]], endings: "7z", remedy: UNPACK },
  { what: "a RAR archive", starts: ["Rar!\x1a"], endings: "rar", remedy: UNPACK },
  { what: "a tar archive", starts: ["ustar"], at: 257, endings: "tar tgz tbz2 txz", remedy: UNPACK },
  {
    what: "a workbook of old Excel (.xls), or another document of old Office",
    starts: [
      [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1],
      [0x09, 0x08, 0x10, 0, 0, 6, 5, 0],
    ],
    endings: "xls doc ppt",
    remedy: SPREADSHEET,
  },
  {
    what: "a document for people",
    endings: "docx odt rtf pptx pages numbers ods xlsb",
    remedy: "save its table as .xlsx or .csv",
  },
  { what: "a PDF", starts: ["%PDF-"], endings: "pdf", remedy: "get the table itself, as .csv or .xlsx" },
  {
    what: "data of SAS",
    starts: [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xc2, 0xea, 0x81, 0x60], "HEADER RECORD*******LIB"],
    endings: "sas7bdat xpt",
    remedy: `${PANDAS}.read_sas("FILE").to_csv("FILE.csv")`,
  },
  {
    what: "data of Stata",
    starts: ["<stata_dta>"],
    endings: "dta",
    remedy: `${PANDAS}.read_stata("FILE").to_csv("FILE.csv")`,
  },
  {
    what: "data of SPSS",
    starts: ["$FL2", "$FL3"],
    endings: "sav zsav por",
    remedy: `${PANDAS}.read_spss("FILE").to_csv("FILE.csv")`,
  },
  {
    what: "data of R",
    starts: ["RDX2\n", "RDX3\n", "RDA2\n", "RDA3\n", "X\n\0\0\0\x02", "X\n\0\0\0\x03"],
    endings: "rds rdata rda",
    remedy: 'write it in R: write.csv(data, "FILE.csv")',
  },
  {
    what: "HDF5",
    starts: [[0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]],
    endings: "h5 hdf5 hdf he5",
    remedy: `${PANDAS}.read_hdf("FILE").to_csv("FILE.csv")`,
  },
  {
    what: "netCDF",
    starts: ["CDF\x01", "CDF\x02", "CDF\x05"],
    endings: "nc cdf",
    remedy:
      'write it as .csv or .parquet, in Python for example: xarray.open_dataset("FILE").to_dataframe().to_csv("FILE.csv")',
  },
  {
    what: "an array of NumPy",
    starts: [[0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]],
    endings: "npy npz",
    remedy: 'write it in Python: numpy.savetxt("FILE.csv", array, delimiter=",")',
  },
  {
    what: "data of MATLAB",
    starts: ["MATLAB 5.0 MAT-file", "MATLAB 7.3 MAT-file"],
    endings: "mat",
    remedy: 'write it in MATLAB: writetable(data, "FILE.csv")',
  },
  {
    what: "a database of SQLite",
    starts: ["SQLite format 3\0"],
    endings: "sqlite sqlite3 db",
    remedy: 'write its table: sqlite3 -header -csv FILE "select * from TABLE" > FILE.csv',
  },
  {
    what: "a database of DuckDB",
    starts: ["DUCK"],
    at: 8,
    endings: "duckdb",
    remedy: "write its table: duckdb FILE \"copy TABLE to 'FILE.parquet'\"",
  },
  {
    what: "a database of Access",
    starts: ["\0\x01\0\0Standard Jet DB", "\0\x01\0\0Standard ACE DB"],
    endings: "mdb accdb dbf",
    remedy: "export its table as .csv or .xlsx",
  },
  { what: "Avro", starts: ["Obj\x01"], endings: "avro", remedy: "write it as .parquet or .csv" },
  {
    what: "FITS",
    starts: ["SIMPLE  ="],
    remedy:
      'write its table as .csv, in Python for example: astropy.table.Table.read("FILE").write("FILE.csv")',
  },
  { what: "ORC", starts: ["ORC"], endings: "orc", remedy: `${PANDAS}.read_orc("FILE").to_csv("FILE.csv")` },
  { what: "an encrypted Parquet file", starts: ["PARE"], remedy: "write it without encryption" },
  { what: "Feather of version 1", starts: ["FEA1"], remedy: "write it anew (version 2), or as .parquet" },
  {
    what: "a pickle of Python",
    starts: [
      [0x80, 2],
      [0x80, 3],
      [0x80, 4, 0x95],
      [0x80, 5, 0x95],
    ],
    endings: "pkl pickle joblib",
    remedy: `${PANDAS}.read_pickle("FILE").to_csv("FILE.csv")`,
  },
  {
    what: "an image",
    starts: [[0x89, 0x50, 0x4e, 0x47], [0xff, 0xd8, 0xff], "GIF8", "II*\0", "MM\0*"],
    endings: "png jpg jpeg gif bmp tif tiff webp",
    remedy: "a table of pixels is read, one image a row (--image HxW)",
  },
  {
    what: "sound or video",
    starts: ["RIFF", "OggS", "fLaC", "ID3"],
    endings: "wav mp3 mp4 avi ogg flac",
    remedy: "bring a table of what was measured in it",
  },
  {
    what: "a program",
    starts: [[0x7f, 0x45, 0x4c, 0x46], "MZ\x90\0", "\0asm"],
    endings: "exe dll so",
    remedy: "name the file of the data",
  },
  {
    what: "text in UTF-32",
    starts: [
      [0xff, 0xfe, 0, 0],
      [0, 0, 0xfe, 0xff],
    ],
    remedy: "save it as UTF-8",
  },
  {
    what: "a pointer of Git LFS, not the file itself",
    starts: ["version https://git-lfs"],
    remedy: "fetch it: git lfs pull",
  },
];

/** Formats of text, by how they look. */
const TEXTUAL: readonly { like: RegExp; what: string; remedy: string }[] = [
  {
    like: /^\s*<(?:!doctype html|html|head|body|meta|table|div|script)[\s>]/i,
    what: "a web page",
    remedy: "download the file itself (on GitHub: Raw), or copy its table into a spreadsheet and save that",
  },
  {
    like: /^\s*<\?xml.*(?:progid="Excel\.Sheet"|schemas-microsoft-com:office:spreadsheet)/s,
    what: "a workbook of old Excel in XML",
    remedy: "open it and save it as .xlsx",
  },
  {
    // an element with another one in it
    like: /^\s*<(?:\?xml|!doctype|svg)[\s>]|^\s*<[a-z][\w:.-]*(?:\s[^<>]*)?>\s*<[a-z]/i,
    what: "XML",
    remedy: "save its rows as .csv or .json",
  },
  {
    like: /^[-+]?[\d.,]+(?: +\d+:[-+\d.e]+){2,} *[\r\n]/i,
    what: "LIBSVM's sparse rows",
    remedy: 'write them as .csv, in Python for example: sklearn.datasets.load_svmlight_file("FILE")',
  },
  {
    like: /^%%MatrixMarket /i,
    what: "a matrix of Matrix Market",
    remedy: 'write it as .csv, in Python for example: scipy.io.mmread("FILE")',
  },
  {
    like: /^(?:\s|--[^\n]*\n|\/\*[^*]*\*\/)*(?:create table|insert into|drop table|begin transaction|pragma|set) [^,;]*[\s(;]/i,
    what: "SQL",
    remedy: "run it in a database, and write the table as .csv",
  },
  {
    like: /^(?:---\r?\n)?- *[\w"']+: [^\n]*\n +[\w"']+: /,
    what: "YAML",
    remedy: "save its rows as .csv or .json",
  },
  { like: /^\{\\rtf/, what: "a document for people", remedy: "save its table as .xlsx or .csv" },
];

/** Bytes of a file's start that tell its format. */
export const TELLING = 512;

/**
 * Throws UsageError, with the remedy, for a file that is of a format that is not read: by its first bytes, or, where
 * they are no text (`isText`), by the ending of its name.
 */
export function refuse(head: Uint8Array, file: string, isText: boolean): void {
  const text = String.fromCharCode(...head.subarray(0, TELLING));
  const ending = /\.([^.]+)$/.exec(file)?.[1].toLowerCase();
  const found =
    REFUSED.find(({ starts, at = 0 }) => starts?.some((start) => text.startsWith(characters(start), at))) ??
    (isText
      ? TEXTUAL.find(({ like }) => like.test(text.replace(/^\xef\xbb\xbf/, "")))
      : REFUSED.find(({ endings }) => ending !== undefined && endings?.split(" ").includes(ending)));
  if (found === undefined) return;
  throw new UsageError(
    `${file}: expected a table (.csv, .xlsx, .parquet, .json, …), got ${found.what}; ${found.remedy}`,
  );
}

const characters = (start: string | readonly number[]): string =>
  typeof start === "string" ? start : String.fromCharCode(...start);
