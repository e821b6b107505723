// The broker of these pages. They have no build: their server gives them the client as porteiro.js. A page with a build
// imports it from "porteiro/client".

import { createPorteiro } from "./porteiro.js";

// The broker's address is also in the Content-Security-Policy of the pages.
export const BROKER = "http://localhost:8787";

export const porteiro = createPorteiro({ broker: BROKER });
