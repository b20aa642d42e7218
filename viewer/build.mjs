// Builds ../lookbeyond/exchange/page_assets: the viewer and what it uses of three.js in one script, and its licence.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { build } from "esbuild";

const target = "../lookbeyond/exchange/page_assets";
mkdirSync(target, { recursive: true });
const source = createHash("sha256").update(readFileSync("viewer.js")).digest("hex");
await build({
  entryPoints: ["viewer.js"],
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2020",
  legalComments: "inline",
  banner: { js: `/* Look Beyond's viewer (GPL-3.0-or-later), with three.js (MIT). Source: viewer/viewer.js, sha256 ${source} */` },
  outfile: `${target}/viewer.js`,
});
copyFileSync("node_modules/three/LICENSE", `${target}/LICENSE-three.txt`);
