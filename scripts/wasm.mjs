// Edits WebAssembly modules, by binaryen.
import binaryen from "binaryen";

/**
 * The module with each function whose name `isUnused` trapping at once, and their number.
 * @param {Uint8Array} bytes
 * @param {(name: string) => boolean} isUnused
 */
export function emptied(bytes, isUnused) {
  binaryen.setDebugInfo(true);
  const module = binaryen.readBinary(bytes);
  try {
    const all = Array.from({ length: module.getNumFunctions() }, (_, at) => module.getFunctionByIndex(at));
    const unused = all.filter((one) => isUnused(binaryen.getFunctionInfo(one).name));
    for (const one of unused) binaryen.Function.setBody(one, module.unreachable());
    return { module: module.emitBinary(), count: unused.length };
  } finally {
    module.dispose();
  }
}
