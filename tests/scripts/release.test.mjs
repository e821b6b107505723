// What a tag must be to become a release.
import assert from "node:assert/strict";
import { test } from "node:test";
import { notesOf } from "../../scripts/release.mjs";

const CHANGELOG = `# Changelog

## [Unreleased]

- what comes

## [1.2.3] - 2026-12-01

### Added

- a thing, and [another](docs/a.md)

## [1.2.30] - 2026-11-01

- older

[1.2.3]: https://example.com/1.2.3
`;

/** @param {{ version?: string, crate?: string, changelog?: string }} [files] */
const files = ({ version = "1.2.3", crate = version, changelog = CHANGELOG } = {}) => ({
  manifest: JSON.stringify({ version }),
  crate: `[package]\nname = "porteiro"\nversion = "${crate}"\n[dependencies]\nx = "9"\n`,
  changelog,
});

test("the tag of the files' version has the changelog's section", () => {
  assert.equal(notesOf("v1.2.3", files()), "### Added\n\n- a thing, and [another](docs/a.md)\n");
  assert.equal(notesOf("v1.2.30", files({ version: "1.2.30" })), "- older\n");
});

test("another tag is refused", () => {
  for (const tag of ["1.2.3", "v1.2", "v1.2.3-rc.1", "v01.2.3", "v1.2.3\n", "vx", ""])
    assert.throws(() => notesOf(tag, files()), /is no tag of a release/, tag);
  assert.throws(() => notesOf("v1.2.4", files()), /package\.json has the version 1\.2\.3, and the tag is v1\.2\.4/);
  assert.throws(() => notesOf("v1.2.3", files({ crate: "1.2.2" })), /Cargo\.toml has the version 1\.2\.2/);
});

test("a version that the changelog does not tell of is refused", () => {
  const without = (/** @type {string} */ text, by = "") => files({ changelog: CHANGELOG.replace(text, by) });
  assert.throws(() => notesOf("v1.2.3", without("## [1.2.3] - 2026-12-01", "## [1.2.31] - 2026-12-01")), /no section/);
  assert.throws(() => notesOf("v1.2.3", without(" - 2026-12-01")), /with the day of the release/);
  assert.throws(
    () => notesOf("v1.2.3", without("- a thing, and [another](docs/a.md)\n")),
    /says nothing about 1\.2\.3/,
  );
  assert.throws(() => notesOf("v1.2.3", files({ changelog: "" })), /no section/);
});
