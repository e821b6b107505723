// A page of an application in React, which uses everything of porteiro/react.

import { StrictMode, createElement } from "react";
import { createRoot, hydrateRoot } from "react-dom/client";
import { PorteiroProvider, useConnection, usePorteiro, useSession } from "../../../client/react.js";

const h = createElement;

/** @param {{ id: string }} props */
function Account({ id }) {
  const { isConnected, connect, disconnect, isPending, error } = useConnection(id);
  const { code = error } = /** @type {{ code?: unknown }} */ (error ?? {});
  /** @param {string} name @param {() => unknown} onClick */
  const button = (name, onClick) => h("button", { onClick, disabled: isPending }, name);
  return h(
    "section",
    { id },
    h("output", null, [isConnected ? "connected" : "not connected", code].filter(Boolean).join(": ")),
    button("Window", () => connect({ popup: true })),
    button("Leave", () => connect()),
    button("Disconnect", disconnect),
  );
}

function Desk() {
  const { status, session, refresh } = useSession();
  const porteiro = usePorteiro();
  return h(
    "main",
    null,
    h("h1", null, [status, session?.person?.subject].filter(Boolean).join(": ")),
    h("button", { onClick: refresh }, "Refresh"),
    h("button", { onClick: () => porteiro.signOut() }, "Sign out"),
    h(Account, { id: "calendar" }),
    h(Account, { id: "mail" }),
  );
}

/** @param {{ broker: string }} props */
export const App = ({ broker }) => h(StrictMode, null, h(PorteiroProvider, { broker }, h(Desk)));

/** Shows the page; where a server rendered it, in what is there. @param {string} broker @param {string} [rendered] */
export function show(broker, rendered) {
  const place = document.createElement("div");
  document.body.append(place);
  place.innerHTML = rendered ?? "";
  const page = h(App, { broker });
  if (rendered) return hydrateRoot(place, page);
  const root = createRoot(place);
  root.render(page);
  return root;
}
