// Reads the names of the tests from the source, without running or building anything.

import path from "node:path";
import ts from "typescript";

const SUITES = ["describe", "suite"];
const TESTS = ["test", "it"];

/**
 * A title: texts, and `null` where one is put in when the tests run.
 * @typedef {(string | null)[]} Title
 */

/**
 * A file's tests, each with the titles around its own, outermost first; and all texts that stand in the file, one of
 * which takes each place of a `null`.
 * @typedef {{ tests: Title[][], texts: Set<string>, imports: string[] }} TestFile
 */

/**
 * Reads the file `name` of end-to-end tests. A test that is skipped is none.
 * @param {string} name
 * @param {string} source
 * @returns {TestFile}
 */
export function readTests(name, source) {
  const file = ts.createSourceFile(name, source, ts.ScriptTarget.Latest, true, ts.ScriptKind.JS);
  /** @type {TestFile} */
  const found = { tests: [], texts: new Set(), imports: [] };
  visit(file, []);
  return found;

  /**
   * @param {ts.Node} node
   * @param {Title[]} around
   */
  function visit(node, around) {
    if (ts.isStringLiteralLike(node)) found.texts.add(node.text);
    if (ts.isPropertyAssignment(node) && ts.isIdentifier(node.name)) found.texts.add(node.name.text);
    if (ts.isNumericLiteral(node)) found.texts.add(String(Number(node.text)));
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      const { text } = node.moduleSpecifier;
      if (text.startsWith(".")) found.imports.push(path.posix.join(path.posix.dirname(name), text));
    }
    const called = ts.isCallExpression(node) ? registered(node) : undefined;
    if (called === "skipped") return;
    let inner = around;
    if (called) {
      inner = [...around, called.title];
      if (called.isTest) found.tests.push(inner);
    }
    // One title takes no place in another.
    const title = called && ts.isCallExpression(node) && ts.isStringLiteralLike(node.arguments[0]) && node.arguments[0];
    ts.forEachChild(node, (child) => (child === title ? undefined : visit(child, inner)));
  }
}

/**
 * What a call registers: `describe("…", …)`, `test(…)` and `t.test(…)` do.
 * @param {ts.CallExpression} call
 */
function registered(call) {
  const { expression: callee, arguments: args } = call;
  const last = args.at(-1);
  if (args.length < 2 || !last || !(ts.isArrowFunction(last) || ts.isFunctionExpression(last))) return undefined;
  const names = callee.getText().split(".");
  const [name, ...rest] = names.length > 1 && names[1] === "test" ? names.slice(1) : names;
  if (![...SUITES, ...TESTS].includes(name)) return undefined;
  const options = args.find(ts.isObjectLiteralExpression)?.properties ?? [];
  const isSkipped =
    rest.some((word) => word === "skip" || word === "todo") ||
    options.some(
      (option) =>
        ts.isPropertyAssignment(option) &&
        ["skip", "todo"].includes(option.name.getText()) &&
        option.initializer.kind !== ts.SyntaxKind.FalseKeyword,
    );
  if (isSkipped) return "skipped";
  return { isTest: TESTS.includes(name), title: titleOf(args[0]) };
}

/**
 * @param {ts.Expression} node
 * @returns {Title}
 */
function titleOf(node) {
  if (ts.isStringLiteralLike(node)) return [node.text];
  if (ts.isTemplateExpression(node)) {
    return [node.head.text, ...node.templateSpans.flatMap(({ literal }) => [null, literal.text])];
  }
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
    return [...titleOf(node.left), ...titleOf(node.right)];
  }
  return [null];
}

/**
 * The tests of a Rust source: functions with an attribute that makes them one, and none that ignores them.
 * @param {string} source
 */
export function rustTests(source) {
  // One that stands behind code may be in a text, as in "*/*".
  const code = source.replace(/^[ \t]*\/\*[^]*?\*\//gm, "");
  const items = /^((?:[ \t]*(?:#\[[^\n]*\]|\/\/[^\n]*)\n)+)[ \t]*(?:pub(?:\([^)\n]*\))? )?(?:async )?fn (\w+)/gm;
  return [...code.matchAll(items)]
    .filter(
      ([, attributes]) =>
        /^\s*#\[(?:\w+::)?(?:test|wasm_bindgen_test)\]/m.test(attributes) && !/^\s*#\[ignore/m.test(attributes),
    )
    .map(([, , name]) => name);
}
