/**
 * Packs the lab as a package that stands alone: with the library and the report's pages inside (bundled), so that its
 * tarball can be installed and run anywhere. Writes evenkeel-lab-VERSION.tgz into the folder named, or else here.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (/** @type {string} */ file) => JSON.parse(readFileSync(join(root, file), "utf8"));

/** @param {string} from @param {string} to */
function npmPack(from, to) {
  const shell = process.platform === "win32";
  const output = execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", to], {
    cwd: from,
    encoding: "utf8",
    shell,
  });
  return join(to, JSON.parse(output)[0].filename);
}

/** The tarball's path. @param {string} folder */
export function packLab(folder) {
  const stage = mkdtempSync(join(tmpdir(), "evenkeel-lab-"));
  try {
    const manifest = read("lab/package.json");
    const inside = { evenkeel: root, "@evenkeel/report": join(root, "report") };
    for (const [name, from] of Object.entries(inside)) {
      const target = join(stage, "node_modules", name);
      mkdirSync(target, { recursive: true });
      execFileSync("tar", ["-xzf", npmPack(from, stage), "-C", target, "--strip-components=1"]);
    }
    for (const file of manifest.files)
      cpSync(join(root, "lab", file), join(stage, file), { recursive: true });
    rmSync(join(stage, "dist/.tsbuildinfo"), { force: true });
    cpSync(join(root, "LICENSE"), join(stage, "LICENSE"));
    const { devDependencies, ...published } = manifest;
    const dependencies = { ...read("report/package.json").dependencies, ...manifest.dependencies };
    for (const name of Object.keys(inside)) dependencies[name] = manifest.version;
    const own = { ...published, dependencies, bundleDependencies: Object.keys(inside) };
    writeFileSync(join(stage, "package.json"), `${JSON.stringify(own, null, 2)}\n`);
    return npmPack(stage, resolve(folder));
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.log(packLab(process.argv[2] ?? "."));
}
