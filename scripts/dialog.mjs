// Questions to the person at the terminal; answers that may be secret are not shown.
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { Failure } from "./lib.mjs";

/** Whether a person can answer. */
export const atTerminal = () => Boolean(process.stdin.isTTY && process.stdout.isTTY && !process.env.CI);

export class Dialog {
  #lines;
  #output;
  #isShown = false;
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
    const shown = new Writable({
      write: (chunk, _encoding, done) => {
        if (this.#isShown) output.write(chunk);
        done();
      },
    });
    this.#lines = createInterface({ input, output: shown, terminal: true, historySize: 0 });
    this.#lines.on("close", () => this.#stop(new Failure(stopped)));
  }

  /**
   * The line that the person types, trimmed.
   * @param {string} question
   * @returns {Promise<string>}
   */
  async hidden(question) {
    this.#output.write(question);
    const line = await this.#answer("");
    this.#output.write("\n");
    return line;
  }

  /**
   * The same of a line that is shown while it is typed.
   * @param {string} question
   * @returns {Promise<string>}
   */
  async shown(question) {
    this.#isShown = true;
    const line = await this.#answer(question);
    this.#isShown = false;
    return line;
  }

  /** @param {string} question @returns {Promise<string>} */
  async #answer(question) {
    const answer = new Promise((resolve) => this.#lines.question(question, resolve));
    const line = await Promise.race([answer, this.#stopped]);
    return line.trim();
  }

  close() {
    this.#lines.close();
  }
}
