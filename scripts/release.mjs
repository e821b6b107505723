// Whether a tag releases what the files say, and what the changelog has about it.
//
//   node scripts/release.mjs TAG [FILE]
//
// FILE gets the changelog's section: the text of the release.
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Failure, inRoot, isMain, project, runMain, say } from "./lib.mjs";

/**
 * What the files of a release say.
 *
 * @typedef {{ manifest: string, crate: string, changelog: string }} Files
 */

/** The files of this clone. @returns {Files} */
const ownFiles = () => {
  const [manifest, crate, changelog] = ["package.json", "Cargo.toml", "CHANGELOG.md"].map((name) =>
    readFileSync(inRoot(name), "utf8"),
  );
  return { manifest, crate, changelog };
};

/**
 * The changelog's section about the version that `tag` names. Fails if the files have another version, or nothing about
 * this one.
 *
 * @param {string} tag
 * @param {Files} [files]
 */
export function notesOf(tag, { manifest, crate, changelog } = ownFiles()) {
  const version = /^v((?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2})$/.exec(tag)?.[1];
  if (!version) throw new Failure(`${tag} is no tag of a release: v and three numbers, such as v1.2.3.`);
  const own = {
    "package.json": JSON.parse(manifest).version,
    "Cargo.toml": crate.match(/^version = "(.+)"$/m)?.[1],
  };
  for (const [file, said] of Object.entries(own))
    if (said !== version) throw new Failure(`${file} has the version ${said}, and the tag is ${tag}.`);
  const sections = changelog.split(/^## (?=\[)/m);
  const section = sections.find((text) => text.startsWith(`[${version}]`));
  const [head = "", ...lines] = (section ?? "").split("\n");
  if (!/^\[.+\] - \d{4}-\d{2}-\d{2}$/.test(head))
    throw new Failure(`CHANGELOG.md has no section "## [${version}] - " with the day of the release.`);
  // The links of the changelog's headings stand at its end.
  const notes = lines
    .join("\n")
    .replace(/^\[[^\]]+\]: \S+$/gm, "")
    .trim();
  if (!/^[-*] /m.test(notes)) throw new Failure(`CHANGELOG.md says nothing about ${version}.`);
  return `${notes}\n`;
}

if (isMain(import.meta.url)) {
  await runMain(([tag = "", file]) => {
    const notes = notesOf(tag);
    if (file) writeFileSync(path.resolve(project, file), notes);
    else say(notes);
  });
}
