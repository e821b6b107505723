// The calls that any page makes to the broker, for people who sign in. It needs no library and no build: copy what you
// need.

// The broker's address is also in the Content-Security-Policy of the pages.
export const BROKER = "http://localhost:8787";

/** @import { Outcome, Problem, Session, SignedOut } from "./porteiro.d.ts" */

/** An answer other than a success. */
export class CallError extends Error {
  /**
   * @param {Response} response
   * @param {Problem} [problem] the broker's problem details; undefined if the API itself answered
   */
  constructor(response, problem) {
    super(problem?.title ?? `The API answered ${response.status}`);
    this.status = response.status;
    this.problem = problem;
    this.retryAfter = Number(response.headers.get("Retry-After")) || undefined; // seconds
  }
}

/**
 * @param {string} path the path at the broker
 * @param {{ method?: string, json?: unknown }} [options]
 */
export async function call(path, { method = "GET", json } = {}) {
  /** @type {RequestInit} */
  const init = { method, credentials: "include" };
  if (json !== undefined) {
    init.headers = { "Content-Type": "application/json" };
    init.body = JSON.stringify(json);
  }
  const response = await fetch(BROKER + path, init);
  if (!response.ok) {
    const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
    throw new CallError(response, isProblem ? await response.json() : undefined);
  }
  return response.status === 204 ? undefined : response.json();
}

/**
 * Who is signed in, and to which connections.
 * @returns {Promise<Session>}
 */
export const session = () => call("/auth/session");

// --- Sign in, and connect an account -------------------------------------------

/** This page's address, without what stands behind it. */
const here = () => location.origin + location.pathname;

/**
 * Leaves for the provider's sign-in page; the broker leads back to this page.
 * @param {string} url where the broker says that an account is connected: the `connect_url` of `not_connected`
 */
export function connectAt(url) {
  const address = new URL(url);
  address.searchParams.set("return_to", here());
  location.assign(address);
}

/** @param {string} connection */
export const connect = (connection) => connectAt(`${BROKER}/auth/${connection}/connect`);

/**
 * What came of it, when the page is back. The address keeps nothing of it.
 * @returns {Pick<Outcome, "outcome" | "code"> | undefined}
 */
export function outcomeInAddress() {
  const address = new URL(location.href);
  const outcome = address.searchParams.get("porteiro");
  const code = address.searchParams.get("porteiro_code");
  address.searchParams.delete("porteiro");
  address.searchParams.delete("porteiro_code");
  history.replaceState(history.state, "", address);
  if (outcome !== "connected" && outcome !== "failed") return undefined;
  return { outcome, code: /** @type {Outcome["code"]} */ (code) };
}

/**
 * Opens the provider's sign-in page in a window, and tells what came of it: undefined if the person closed the window.
 * Call it in the listener of a click, else the browser blocks the window.
 * @param {string} connection
 * @returns {Promise<Outcome | undefined>}
 */
export function connectInWindow(connection) {
  const parameters = new URLSearchParams({ display: "popup", return_to: here() });
  const address = `${BROKER}/auth/${connection}/connect?${parameters}`;
  const popup = open(address, "", "popup,width=480,height=720");
  return new Promise((resolve) => {
    if (!popup) return connect(connection); // blocked

    /** @param {MessageEvent} event */
    const told = ({ origin, source, data }) => {
      // Any page that has this window can send it a message.
      if (origin !== new URL(BROKER).origin || source !== popup) return;
      if (data?.source === "porteiro" && data.connection === connection) finish(data);
    };
    // No event tells that a window was closed. Its last message may still be on its way then.
    let wasClosed = false;
    const watching = setInterval(() => {
      if (wasClosed) finish(undefined);
      wasClosed = popup.closed;
    }, 500);
    /** @param {Outcome} [outcome] */
    const finish = (outcome) => {
      clearInterval(watching);
      removeEventListener("message", told);
      resolve(outcome);
    };
    addEventListener("message", told);
  });
}

/**
 * Disconnects the person's account. They stay signed in.
 * @param {string} connection
 * @returns {Promise<void>}
 */
export const disconnect = (connection) => call(`/auth/${connection}`, { method: "DELETE" });

/**
 * Signs out here.
 * @returns {Promise<void>}
 */
export const signOut = () => call("/auth/logout", { method: "POST" });

/** Signs out here, and leaves for the provider's page to sign out there. Returns where the provider has none. */
export async function signOutEverywhere() {
  const parameters = new URLSearchParams({ provider: "true", return_to: here() });
  /** @type {SignedOut | undefined} */
  const answer = await call(`/auth/logout?${parameters}`, { method: "POST" });
  if (answer) location.assign(answer.logout_url);
}
