// Builds the package @state-hub/client: JavaScript for Node 18 and browsers with its types, into client/dist, with
// the parts of shared/ that it uses inside (they are no package of their own). `node scripts/build-client.mjs`

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, "client", "dist");

rmSync(out, { recursive: true, force: true });
compile();
for (const file of filesIn(out).filter((name) => name.endsWith(".d.ts"))) pointTypesAtJavaScript(file);
for (const entry of ["client/index.js", "client/index.d.ts"]) {
  if (!existsSync(join(out, entry))) fail(`the compiler did not write client/dist/${entry}`);
}

function compile() {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const run = spawnSync(process.execPath, [tsc, "--project", join(root, "client", "tsconfig.build.json")], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (run.error) fail(run.error.message);
  if (run.status !== 0) process.exit(run.status ?? 1);
}

/** The compiler rewrites `./x.ts` in JavaScript only; types that name `.ts` files would look for sources. */
function pointTypesAtJavaScript(file) {
  const before = readFileSync(file, "utf8");
  const after = before.replace(/(from\s+|import\()(["'])(\.{1,2}\/[^"']+)\.ts\2/g, "$1$2$3.js$2");
  if (after !== before) writeFileSync(file, after);
}

function filesIn(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesIn(join(folder, entry.name)) : [join(folder, entry.name)],
  );
}

function fail(reason) {
  console.error(`build-client: ${reason}`);
  process.exit(1);
}
