// Providers' rate limits, and their answers above them.

/** @import { Limit } from "./types.js" */

/** Counts calls by key, in windows that begin with the key's first call. */
export class Windows {
  /** @type {Map<string, { count: number, endsAt: number }>} */
  #windows = new Map();

  /** @param {Limit} limit */
  constructor({ most, seconds }) {
    this.most = most;
    this.seconds = seconds;
  }

  /** Counts a call; returns the calls left in the window, negative once it is full. @param {string} key */
  count(key) {
    const now = Date.now();
    let window = this.#windows.get(key);
    if (!window || window.endsAt <= now) {
      window = { count: 0, endsAt: now + this.seconds * 1000 };
      this.#windows.set(key, window);
    }
    window.count += 1;
    const wait = Math.ceil((window.endsAt - now) / 1000);
    return { most: this.most, left: this.most - window.count, wait, endsAt: Math.ceil(window.endsAt / 1000) };
  }

  clear() {
    this.#windows.clear();
  }
}
