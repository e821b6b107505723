// A person at the agenda's pages, in a browser, and the agenda's secrets.

/** @import { Page } from "playwright-core" */
/** @import { Agenda } from "../../../sandbox/types.js" */

/**
 * Waits for the agenda's page, chooses an account there, and allows what is asked for.
 *
 * @param {Page} page
 * @param {string} name
 */
export async function allow(page, name) {
  await page.getByLabel(name).check();
  await page.locator("button[value=allow]").click();
}

/**
 * Waits for the agenda's page, and denies what is asked for.
 *
 * @param {Page} page
 */
export const deny = (page) => page.locator("button[value=deny]").click();

/**
 * The agenda's connections of the sandbox's configuration, at the agenda's own address.
 *
 * @param {{ [id: string]: object }} connections
 * @param {Agenda} agenda
 */
export const connectionsAt = ({ agenda: own, "agenda-shared": shared }, { url }) => ({
  agenda: { ...own, issuer: url, base_url: url },
  "agenda-shared": { ...shared, issuer: url, base_url: url },
});

/**
 * The secrets of these connections, as the broker gets them.
 *
 * @param {Agenda} agenda
 */
export const clientSecrets = ({ clients: [own, shared] }) => ({
  AGENDA_CLIENT_ID: own.client_id,
  AGENDA_CLIENT_SECRET: own.client_secret,
  AGENDA_SHARED_CLIENT_ID: shared.client_id,
  AGENDA_SHARED_CLIENT_SECRET: shared.client_secret,
});

/**
 * What no page may ever see: client secrets, and every token.
 *
 * @param {Agenda} agenda
 */
export const agendaSecrets = ({ clients, issued }) => ({
  ...Object.fromEntries(clients.map(({ client_secret }, i) => [`client secret ${i + 1}`, client_secret])),
  ...Object.fromEntries(issued.map((token, i) => [`token ${i + 1}`, token])),
});
