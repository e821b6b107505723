// The broker in React: who is signed in, what they connected, and the client.
"use client";

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

/** What is known before the broker was asked, and what a server knows that renders the page. @type {SessionState} */
const LOADING = { status: "loading", session: null };

/** @type {SessionState} */
const SIGNED_OUT = { status: "signed-out", session: null };

/** What all components of a page know of the session at one client's broker. */
class SessionStore {
  state = LOADING;
  #listeners = new Set();
  #asked = 0;

  /** @param {Porteiro} porteiro */
  constructor(porteiro) {
    this.porteiro = porteiro;
    porteiro.addEventListener("sessionend", () => {
      this.#asked++;
      this.set(SIGNED_OUT);
    });
  }

  /** @param {() => void} listener */
  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  read = () => this.state;

  /** What came of a consent that led back to this page. */
  readOutcome = () => this.porteiro.outcome;

  /** @param {SessionState} state */
  set(state) {
    this.state = state;
    for (const listener of this.#listeners) listener();
  }

  refresh = async () => {
    const asked = ++this.#asked;
    /** @type {SessionState} */
    let state;
    try {
      const session = await this.porteiro.session();
      state = session ? { status: "signed-in", session } : SIGNED_OUT;
    } catch (error) {
      state = { status: "failed", session: null, error };
    }
    // A later answer counts more.
    if (asked === this.#asked) this.set(state);
  };
}

/** @type {import("react").Context<SessionStore | null>} */
const StoreContext = createContext(/** @type {SessionStore | null} */ (null));

/** @type {WeakMap<Porteiro, SessionStore>} */
const stores = new WeakMap();

/** @param {Porteiro} porteiro */
function storeOf(porteiro) {
  const store = stores.get(porteiro) ?? new SessionStore(porteiro);
  stores.set(porteiro, store);
  return store;
}

/** The clients of this page, by the broker's address. @type {Map<string | undefined, Porteiro>} */
const clients = new Map();

/**
 * React may render what it then throws away: what a client took from the page's address must not go with it.
 * @param {string} [broker]
 */
function clientAt(broker) {
  const porteiro = clients.get(broker) ?? createPorteiro({ broker });
  // A server that renders pages keeps nothing between them.
  if (globalThis.document) clients.set(broker, porteiro);
  return porteiro;
}

/**
 * Gives everything below it one broker: one that was created, or one at the address `broker`.
 * @param {{ porteiro?: Porteiro, broker?: string, children?: ReactNode }} props
 */
export function PorteiroProvider({ porteiro, broker, children }) {
  const store = useMemo(() => storeOf(porteiro ?? clientAt(broker)), [porteiro, broker]);
  useEffect(() => {
    void store.refresh();
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

/** @param {SessionStore} store */
const useStored = (store) => useSyncExternalStore(store.subscribe, store.read, () => LOADING);

/** @param {SessionStore} store */
const useLanded = (store) => useSyncExternalStore(store.subscribe, store.readOutcome, () => undefined);

/** Who is signed in; `refresh` asks again. */
export function useSession() {
  const store = useStore();
  return { ...useStored(store), refresh: store.refresh };
}

/**
 * A connection of whoever is signed in: whether it is connected, how to connect and disconnect it, whether that is
 * being done, and what came of it last.
 * @param {string} id
 */
export function useConnection(id) {
  const store = useStore();
  const { session } = useStored(store);
  const landed = useLanded(store);
  const [progress, setProgress] = useState(IDLE);
  const actions = useMemo(() => {
    /** @param {() => Promise<unknown>} action */
    const run = async (action) => {
      setProgress({ isPending: true });
      try {
        await action();
        await store.refresh();
        setProgress({ isPending: false });
      } catch (error) {
        setProgress({ isPending: false, error });
      }
    };
    return {
      /** @param {ConnectOptions} [options] */
      connect: (options) => run(() => store.porteiro.connect(id, options)),
      disconnect: () => run(() => store.porteiro.disconnect(id)),
    };
  }, [store, id]);
  const failure = useMemo(() => failureOf(id, landed), [id, landed]);
  return {
    isConnected: session?.connections.some((connection) => connection.id === id) ?? false,
    ...actions,
    isPending: progress.isPending,
    error: /** @type {unknown} */ (progress.error ?? failure),
  };
}

/** @type {{ isPending: boolean, error?: unknown }} */
const IDLE = { isPending: false };

/**
 * Why a consent failed that led back to this page.
 * @param {string} id
 * @param {Porteiro["outcome"]} landed
 */
const failureOf = (id, landed) =>
  landed?.outcome === "failed" && (landed.connection ?? id) === id
    ? new PorteiroError(0, { code: landed.code ?? undefined })
    : undefined;
