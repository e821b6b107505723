// What both pages of the example need of their documents.

import { BROKER } from "./broker.js";
import { PorteiroError } from "./porteiro.js";
import { errorWords, locale, outcomeWords, put, words } from "./words.js";

/** @import { Outcome, ProblemCode } from "./porteiro.d.ts" */

/** An API's own refusal, in its own words. */
export class Refusal extends Error {}

/**
 * The element with this id in the page.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`The page has no ${type.name} #${id}`);
  return found;
}

/**
 * @param {string} tag
 * @param {string} className
 * @param {...(string | Node)} children text goes in as text, never as HTML
 */
export function make(tag, className, ...children) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children);
  return node;
}

/**
 * @param {HTMLElement} place
 * @param {unknown} error
 */
export function showError(place, error) {
  const box = make("div", "message bad");
  if (error instanceof PorteiroError && !error.status) {
    // A consent that failed has no answer.
    return showFailure(place, error.code ?? null);
  }
  if (error instanceof PorteiroError) {
    const { problem, code, status, retryAfter } = error;
    const known = code && errorWords[/** @type {ProblemCode} */ (code)];
    box.append(make("strong", "", known ?? problem?.title ?? put(words.apiAnswered, status)));
    if (problem && !known) box.append(make("p", "", problem.detail ?? ""));
    if (retryAfter) {
      const then = new Date(Date.now() + retryAfter * 1000);
      box.append(make("p", "", put(words.tryAgain, then.toLocaleTimeString(locale))));
    }
    if (problem) box.append(make("p", "quiet", put(words.request, code, error.requestId)));
  } else if (error instanceof Refusal) {
    box.append(make("strong", "", error.message));
  } else {
    // The browser gives the page no details of an answer that it may not read.
    box.append(make("strong", "", words.noAnswer));
    box.append(make("p", "", put(words.noAnswerWhy, BROKER, location.origin)));
    console.error(error);
  }
  place.replaceChildren(box);
}

/**
 * Tells why somebody could not sign in or connect an account.
 * @param {HTMLElement} place
 * @param {Outcome["code"]} code
 */
export function showFailure(place, code) {
  const text =
    (code && (outcomeWords[code] ?? errorWords[/** @type {ProblemCode} */ (code)])) ?? put(words.failed, code ?? "?");
  place.replaceChildren(make("div", "message bad", make("strong", "", text)));
}

/**
 * Runs an action that calls the broker, and shows its error, if any.
 * @param {HTMLElement} place where the error is shown
 * @param {HTMLElement} trigger
 * @param {() => Promise<void>} action
 * @param {Partial<Record<ProblemCode, (error: PorteiroError) => void>>} handled what is done instead, by code
 */
export async function attempt(place, trigger, action, handled) {
  if (trigger.ariaBusy === "true") return;
  trigger.ariaBusy = "true";
  place.replaceChildren();
  try {
    await action();
  } catch (error) {
    const handle = error instanceof PorteiroError && handled[/** @type {ProblemCode} */ (error.code)];
    if (handle) handle(error);
    else showError(place, error);
  } finally {
    trigger.ariaBusy = null;
  }
}
