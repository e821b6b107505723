// The broker in React: who is signed in, what they connected, and the client.

import { createContext, createElement, useContext, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { createPorteiro, PorteiroError } from "./porteiro.js";

/** @import { ReactNode } from "react" */
/** @import { Session } from "./answers.d.ts" */
/** @import { ConnectOptions, Porteiro } from "./porteiro.js" */

/**
 * @typedef {object} SessionState
 * @property {"loading" | "signed-in" | "signed-out" | "failed"} status
 * @property {Session | null} session
 * @property {unknown} [error] why it is not known who is signed in
 */

/** What all components of a page know of the session. */
class SessionStore {
  /** @type {SessionState} */
  state = { status: "loading", session: null };
  #listeners = new Set();
  #asked = 0;

  /** @param {Porteiro} porteiro */
  constructor(porteiro) {
    this.porteiro = porteiro;
  }

  /** @param {() => void} listener */
  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  read = () => this.state;

  /** @param {SessionState} state */
  set(state) {
    this.state = state;
    for (const listener of this.#listeners) listener();
  }

  ended = () => {
    this.#asked++;
    this.set({ status: "signed-out", session: null });
  };

  refresh = async () => {
    const asked = ++this.#asked;
    /** @type {SessionState} */
    let state;
    try {
      const session = await this.porteiro.session();
      state = { status: session ? "signed-in" : "signed-out", session };
    } catch (error) {
      state = { status: "failed", session: null, error };
    }
    // A later answer counts more.
    if (asked === this.#asked) this.set(state);
  };
}

/** @type {import("react").Context<SessionStore | null>} */
const StoreContext = createContext(/** @type {SessionStore | null} */ (null));

/**
 * Gives everything below it one broker: one that was created, or one at the address `broker`.
 * @param {{ porteiro?: Porteiro, broker?: string, children?: ReactNode }} props
 */
export function PorteiroProvider({ porteiro, broker, children }) {
  const store = useMemo(() => new SessionStore(porteiro ?? createPorteiro({ broker })), [porteiro, broker]);
  useEffect(() => {
    store.porteiro.addEventListener("sessionend", store.ended);
    void store.refresh();
    return () => store.porteiro.removeEventListener("sessionend", store.ended);
  }, [store]);
  return createElement(StoreContext.Provider, { value: store }, children);
}

function useStore() {
  const store = useContext(StoreContext);
  if (!store) throw new Error("A PorteiroProvider must be above this component");
  return store;
}

/** The client of the `PorteiroProvider` above. */
export const usePorteiro = () => useStore().porteiro;

/** Who is signed in; `refresh` asks again. */
export function useSession() {
  const store = useStore();
  const state = useSyncExternalStore(store.subscribe, store.read, store.read);
  return { ...state, refresh: store.refresh };
}

/**
 * A connection of whoever is signed in: whether it is connected, how to connect and disconnect it, whether that is
 * being done, and what came of it last.
 * @param {string} id
 */
export function useConnection(id) {
  const store = useStore();
  const { session } = useSyncExternalStore(store.subscribe, store.read, store.read);
  const [{ isPending, error }, setProgress] = useState({ isPending: false, error: failureOf(store.porteiro) });
  /** @param {() => Promise<unknown>} action */
  const run = async (action) => {
    setProgress({ isPending: true, error: undefined });
    try {
      await action();
      await store.refresh();
      setProgress({ isPending: false, error: undefined });
    } catch (error) {
      setProgress({ isPending: false, error });
    }
  };
  return {
    isConnected: session?.connections.some((connection) => connection.id === id) ?? false,
    /** @param {ConnectOptions} [options] */
    connect: (options) => run(() => store.porteiro.connect(id, options)),
    disconnect: () => run(() => store.porteiro.disconnect(id)),
    isPending,
    error,
  };
}

/**
 * Why a consent failed that led back to this page.
 * @param {Porteiro} porteiro
 * @returns {unknown}
 */
const failureOf = ({ outcome }) =>
  outcome?.outcome === "failed" ? new PorteiroError(0, { code: outcome.code ?? undefined }) : undefined;
