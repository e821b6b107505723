// Questions to the person at the terminal; their answers are not shown.
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { Failure } from "./lib.mjs";

/** Whether a person can answer. */
export const atTerminal = () => Boolean(process.stdin.isTTY && process.stdout.isTTY && !process.env.CI);

export class Dialog {
  #lines;
  #output;
  /** @type {(reason: Failure) => void} */
  #stop = () => {};
  #stopped = new Promise((_, reject) => (this.#stop = reject));

  /**
   * @param {NodeJS.ReadableStream} [input]
   * @param {NodeJS.WritableStream} [output]
   * @param {string} [stopped] what is said if the person ends it
   */
  constructor(input = process.stdin, output = process.stdout, stopped = "Stopped: nothing was deployed.") {
    this.#output = output;
    this.#stopped.catch(() => {});
    const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
    this.#lines = createInterface({ input, output: nowhere, terminal: true, historySize: 0 });
    this.#lines.on("close", () => this.#stop(new Failure(stopped)));
  }

  /**
   * The line that the person types, trimmed.
   * @param {string} question
   * @returns {Promise<string>}
   */
  async hidden(question) {
    this.#output.write(question);
    const answer = new Promise((resolve) => this.#lines.question("", resolve));
    const line = await Promise.race([answer, this.#stopped]);
    this.#output.write("\n");
    return line.trim();
  }

  close() {
    this.#lines.close();
  }
}
