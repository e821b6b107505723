// A front end whose people sign in at a provider through the broker, and see what is theirs there. The page handles no
// password, no code and no token. It needs no build: copy what you need.

import { porteiro } from "./broker.js";
import { attempt, element, make, showError, showFailure } from "./page.js";
import { fill, locale, words } from "./words.js";

import { PorteiroError } from "./porteiro.js";

/** @import { Session } from "./porteiro.d.ts" */

const CONNECTION = "agenda";

// --- This API -------------------------------------------------------------------

/** @typedef {{ starts_at: string, title: string, place: string }} Appointment */

/** @returns {Promise<Appointment[]>} */
async function appointments() {
  const response = await porteiro.fetch(`/api/${CONNECTION}/appointments`);
  return (await response.json()).appointments;
}

// --- The page -------------------------------------------------------------------

const page = {
  loading: element("loading", HTMLElement),
  signedOut: element("signed-out", HTMLElement),
  signedIn: element("signed-in", HTMLElement),
  who: element("who", HTMLElement),
  person: element("person", HTMLElement),
  signInMessage: element("sign-in-message", HTMLElement),
  signIn: element("sign-in", HTMLButtonElement),
  signInWindow: element("sign-in-window", HTMLButtonElement),
  signOut: element("sign-out", HTMLButtonElement),
  signOutEverywhere: element("sign-out-everywhere", HTMLButtonElement),
  deskMessage: element("desk-message", HTMLElement),
  appointmentsSection: element("appointments-section", HTMLElement),
  appointments: element("appointments", HTMLElement),
  noAppointments: element("no-appointments", HTMLElement),
  reload: element("reload", HTMLButtonElement),
  connected: element("connected", HTMLElement),
  notConnected: element("not-connected", HTMLElement),
  disconnect: element("disconnect", HTMLButtonElement),
  connect: element("connect", HTMLButtonElement),
  connectWindow: element("connect-window", HTMLButtonElement),
};

/** @param {string} [notice] why the person must sign in */
function showSignIn(notice) {
  page.loading.hidden = page.signedIn.hidden = page.who.hidden = true;
  page.signedOut.hidden = false;
  // The next person at this screen must not see the last person's data.
  page.person.textContent = "";
  page.appointments.replaceChildren();
  page.signInMessage.replaceChildren(...(notice ? [make("p", "message", notice)] : []));
}

/** @param {Session} session */
async function showDesk({ connections, person }) {
  // The provider's claims: only those that the connection's person_claims name.
  const { name, email } = person?.claims ?? {};
  page.person.textContent = [name ?? person?.subject, email].filter(Boolean).join(", ");
  const isConnected = connections.some(({ id }) => id === CONNECTION);
  showConnected(isConnected);
  if (isConnected) await showAppointments();
  page.loading.hidden = page.signedOut.hidden = true;
  page.signedIn.hidden = page.who.hidden = false;
}

/** @param {boolean} isConnected */
function showConnected(isConnected) {
  page.connected.hidden = page.appointmentsSection.hidden = !isConnected;
  page.notConnected.hidden = isConnected;
  if (!isConnected) page.appointments.replaceChildren();
}

async function showAppointments() {
  let own;
  try {
    own = await appointments();
  } catch (error) {
    if (!(error instanceof PorteiroError && error.code === "not_connected")) throw error;
    // The person is still signed in, and their account is not connected any more.
    return showConnected(false);
  }
  page.noAppointments.hidden = own.length > 0;
  page.appointments.replaceChildren(
    ...own.map(({ title, place, starts_at }) =>
      make(
        "li",
        "",
        make("strong", "", title),
        make("span", "quiet", place),
        make("time", "mark", new Date(starts_at).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" })),
      ),
    ),
  );
}

/**
 * @param {HTMLElement} place where an error is shown
 * @param {HTMLElement} trigger
 * @param {() => Promise<void>} action
 */
const run = (place, trigger, action) =>
  attempt(place, trigger, action, { caller_unauthenticated: () => showSignIn(words.expired) });

/**
 * @param {HTMLElement} place
 * @param {HTMLElement} trigger
 */
const runInWindow = (place, trigger) =>
  run(place, trigger, async () => {
    const session = await porteiro.connect(CONNECTION, { popup: true });
    if (session) await showDesk(session);
  });

page.signIn.addEventListener("click", () => porteiro.connect(CONNECTION));
page.signInWindow.addEventListener("click", () => runInWindow(page.signInMessage, page.signInWindow));
page.connect.addEventListener("click", () => porteiro.connect(CONNECTION));
page.connectWindow.addEventListener("click", () => runInWindow(page.deskMessage, page.connectWindow));
page.reload.addEventListener("click", () => run(page.deskMessage, page.reload, showAppointments));

page.disconnect.addEventListener("click", () =>
  run(page.deskMessage, page.disconnect, async () => {
    await porteiro.disconnect(CONNECTION);
    showConnected(false);
  }),
);

page.signOut.addEventListener("click", () =>
  run(page.deskMessage, page.signOut, async () => {
    await porteiro.signOut();
    showSignIn(words.signedOut);
  }),
);

page.signOutEverywhere.addEventListener("click", () =>
  run(page.deskMessage, page.signOutEverywhere, async () => {
    await porteiro.signOut({ provider: true });
    showSignIn(words.signedOut);
  }),
);

async function start() {
  try {
    const session = await porteiro.session();
    if (session) await showDesk(session);
    else showSignIn();
  } catch (error) {
    showSignIn();
    showError(page.signInMessage, error);
  }
  // Told once.
  const { outcome } = porteiro;
  porteiro.outcome = undefined;
  if (outcome?.outcome === "failed")
    showFailure(page.signedIn.hidden ? page.signInMessage : page.deskMessage, outcome.code);
}

fill();
// Another page of the application may have signed out.
porteiro.addEventListener("sessionend", () => page.signedIn.hidden || showSignIn(words.signedOut));
// The event also fires when the browser restores the page from its history: the person may have signed out since.
addEventListener("pageshow", start);
