// A person at a browser, from the broker's point of view: signs in, keeps the cookie, sends it with every call.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { assertStatus } from "./assertions.mjs";
import { ORIGIN } from "./broker.mjs";

/** @import { Broker } from "./broker.mjs" */
/** @import { Answer, CallOptions } from "./client.mjs" */
/** @import { Connection } from "./upstream.mjs" */

/**
 * The part of a broker that a person needs, which may also be reached in another way.
 *
 * @typedef {Pick<Broker, "vars" | "call">} Reached
 */

/** @typedef {CallOptions & { cookie?: string | null, headers?: { [name: string]: string } }} PersonOptions */

export const COOKIE = "__Host-Http-porteiro";
/** The cookie by which the broker recognises a browser in which a person has signed in. */
export const DEVICE_COOKIE = "__Host-Http-porteiro-device";

/** The cookie's attributes, in lower case and order. */
export const STRICT = ["httponly", "path=/", "samesite=strict", "secure"];
export const CROSS_SITE = ["httponly", "partitioned", "path=/", "samesite=none", "secure"];

/**
 * The values of the Set-Cookie fields of `answer`.
 *
 * @param {Pick<Answer, "rawHeaders">} answer
 */
export const setCookies = ({ rawHeaders }) =>
  rawHeaders.filter(([name]) => name.toLowerCase() === "set-cookie").map(([, value]) => value);

/**
 * The one cookie that `answer` sets, besides the browser's.
 *
 * @param {Pick<Answer, "rawHeaders">} answer
 */
export function cookieOf(answer) {
  const all = setCookies(answer).filter((field) => !field.startsWith(`${DEVICE_COOKIE}=`));
  assert.equal(all.length, 1, `Set-Cookie: ${JSON.stringify(all)}`);
  const [pair, ...attributes] = all[0].split(";").map((part) => part.trim());
  const at = pair.indexOf("=");
  return {
    name: pair.slice(0, at),
    value: pair.slice(at + 1),
    attributes: attributes.map((one) => one.toLowerCase()).sort(),
  };
}

/**
 * The id of the session that `answer` starts or continues.
 *
 * @param {Pick<Answer, "rawHeaders">} answer
 */
export function sessionIdOf(answer, attributes = STRICT) {
  const cookie = cookieOf(answer);
  assert.deepEqual([cookie.name, cookie.attributes], [COOKIE, attributes]);
  assert.match(cookie.value, /^[A-Za-z0-9_-]{43}$/);
  return cookie.value;
}

/**
 * Checks that an answer deletes the session cookie.
 *
 * @param {Pick<Answer, "rawHeaders">} answer
 */
export function assertCleared(answer, attributes = STRICT) {
  const cookie = cookieOf(answer);
  assert.deepEqual(cookie, { name: COOKIE, value: "", attributes: [...attributes, "max-age=0"].sort() });
}

/** A part of every name in this run, so that one search finds any of them. */
export const NAME_MARK = randomBytes(9).toString("hex");
/** A part of every password in this run. */
export const PASSWORD_MARK = randomBytes(9).toString("hex");

/** A name not used before. */
export const newName = () => `person-${NAME_MARK}-${randomBytes(4).toString("hex")}@example.com`;

/** A password not used before, with characters that forms and JSON must escape. */
export const newPassword = () => `senha "de" +&%é€ \\ ${PASSWORD_MARK} ${randomBytes(4).toString("hex")}`;

let addresses = 0;

/** An address from which, and near which, no other test calls: refused sign-ins count by address and by network. */
export function newAddress() {
  addresses += 1;
  return `198.18.${addresses & 255}.${addresses >> 8}`;
}

/**
 * Sends a sign-in; `body` is sent as JSON, or unchanged if `options` set its type.
 *
 * @param {Reached} broker
 * @param {string} id of the connection
 * @param {unknown} body
 * @param {PersonOptions & { address?: string }} [options]
 */
export function login(broker, id, body, { cookie, address = newAddress(), headers, ...options } = {}) {
  return broker.call(`${broker.vars.BASE_PATH ?? ""}/auth/${id}/login`, {
    method: "POST",
    key: null,
    origin: ORIGIN,
    ...("body" in options ? {} : { json: body }),
    ...options,
    headers: { "CF-Connecting-IP": address, ...(cookie ? { Cookie: `${COOKIE}=${cookie}` } : {}), ...headers },
  });
}

export class Person {
  /**
   * The id of the session, if any.
   *
   * @type {string | undefined}
   */
  cookie;

  /**
   * A person with an account at all of `connections`.
   *
   * @param {Reached} broker
   * @param {Pick<Connection, "addUser">[]} connections
   */
  constructor(broker, ...connections) {
    this.broker = broker;
    this.name = newName();
    this.password = newPassword();
    this.address = newAddress();
    for (const connection of connections) connection.addUser(this.name, this.password);
  }

  get attributes() {
    return this.broker.vars.SESSION_CROSS_SITE ? CROSS_SITE : STRICT;
  }

  get credentials() {
    return { username: this.name, password: this.password };
  }

  /**
   * Sends a sign-in with the cookie, if any.
   *
   * @param {Pick<Connection, "id">} connection
   * @param {Omit<PersonOptions, "body"> & { body?: unknown, address?: string }} [options]
   */
  login(connection, { body = this.credentials, ...options } = {}) {
    return login(this.broker, connection.id, body, { address: this.address, cookie: this.cookie, ...options });
  }

  /**
   * Signs in, and keeps the cookie.
   *
   * @param {Pick<Connection, "id">} connection
   * @param {Omit<PersonOptions, "body"> & { body?: unknown, address?: string }} [options]
   */
  async signIn(connection, options) {
    const answer = assertStatus(await this.login(connection, options));
    this.cookie = sessionIdOf(answer, this.attributes);
    return answer;
  }

  /**
   * Sends any request to the broker with the cookie, from an allowed page.
   *
   * @param {string} target
   * @param {PersonOptions} [options]
   */
  send(target, { cookie = this.cookie, headers, ...options } = {}) {
    /** @type {{ [name: string]: string }} */
    const field = cookie ? { Cookie: `${COOKIE}=${cookie}` } : {};
    return this.broker.call(`${this.broker.vars.BASE_PATH ?? ""}${target}`, {
      key: null,
      origin: ORIGIN,
      ...options,
      headers: { "CF-Connecting-IP": this.address, ...field, ...headers },
    });
  }

  /**
   * Calls an API.
   *
   * @param {Pick<Connection, "api">} connection
   * @param {string} [path]
   * @param {PersonOptions} [options]
   */
  call(connection, path, options) {
    return this.send(connection.api(path), options);
  }

  /** @param {PersonOptions} [options] */
  session(options) {
    return this.send("/auth/session", options);
  }

  /** @param {PersonOptions} [options] */
  logout(options) {
    return this.send("/auth/logout", { method: "POST", ...options });
  }

  /**
   * The connections to which the person is signed in, according to the broker.
   *
   * @returns {Promise<string[]>}
   */
  async signedInTo() {
    const answer = await this.session();
    if (answer.status === 401) return [];
    /** @type {{ connections: { id: string }[] }} */
    const { connections } = assertStatus(answer).json();
    return connections.map(({ id }) => id).sort();
  }
}
