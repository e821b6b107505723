// A stand-in for the part of Cloudflare's API that wrangler deploys with: one account, one zone. It refuses unknown
// requests, checks uploads as the platform does, and records every call.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import { closeServer, listening } from "./servers.mjs";

/** @import { IncomingMessage, ServerResponse } from "node:http" */

/**
 * A refusal: status, Cloudflare's code, and its message.
 *
 * @typedef {[status: number, code: number, message: string]} Refused
 */

/** @typedef {{ name: string, type: string, text?: string, namespace_id?: string, [member: string]: unknown }} Binding */

/**
 * The metadata of an upload, besides a Worker's modules.
 *
 * @typedef {object} Metadata
 * @property {string} main_module
 * @property {Binding[]} bindings
 * @property {string[]} [keep_bindings]
 * @property {{ old_tag?: string, new_tag: string, [member: string]: unknown }} [migrations]
 * @property {string[]} [compatibility_flags]
 * @property {object} [observability]
 */

/** @typedef {{ [name: string]: string }} Secrets */

/**
 * A version of a Worker.
 *
 * @typedef {{ id: string, metadata: Metadata, bindings: Binding[], secrets: Secrets, modules: string[] }} Version
 */

/** @typedef {{ version_id: string, percentage: number }[]} Shares */

/**
 * A Worker. `bindings` and `secrets` are those of the deployed version.
 *
 * @typedef {object} Worker
 * @property {string} name
 * @property {Binding[]} bindings
 * @property {Secrets} secrets
 * @property {string} [migration]
 * @property {{ tags?: string[], [member: string]: unknown }} settings
 * @property {{ enabled: boolean, previews_enabled: boolean }} subdomain
 * @property {string[]} routes
 * @property {Version[]} versions
 * @property {{ id: string, versions: Shares, [member: string]: unknown }[]} deployments
 */

/**
 * The input of a call: its query, and its body, as JSON (in any form that wrangler writes) or as a form.
 *
 * @typedef {{ query: URLSearchParams, read: () => any, form: () => Promise<FormData> }} Asked
 */

/** @type {Refused} */
const NOT_FOUND = [404, 10007, "This Worker does not exist on your account."];

/** A refused call: status, Cloudflare's code, and its message. */
class Refusal extends Error {
  /** @param {Refused} refused */
  constructor(...[status, code, message]) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export class Cloudflare {
  /** The token for wrangler, in place of its own sign-in. */
  token = `token-${randomUUID()}`;
  account = randomUUID().replaceAll("-", "");
  zone = { id: randomUUID().replaceAll("-", ""), name: "example.com" };
  /**
   * All calls, in order.
   *
   * @type {{ call: string, body: string }[]}
   */
  calls = [];
  /**
   * The calls that the stand-in does not know.
   *
   * @type {string[]}
   */
  unknown = [];
  /** @type {{ [name: string]: Worker }} */
  workers = {};
  /**
   * KV namespaces.
   *
   * @type {{ id: string, title: string }[]}
   */
  namespaces = [];
  /**
   * The refusals of a Worker's next uploads.
   *
   * @type {Refused[]}
   */
  refusals = [];
  /**
   * Called for each upload of a Worker, before the answer.
   *
   * @type {() => void}
   */
  onUpload = () => {};
  url = "";
  #server = createServer((request, response) => void this.#serve(request, response));

  static async start() {
    const cloudflare = new Cloudflare();
    cloudflare.url = `${await listening(cloudflare.#server)}/client/v4`;
    return cloudflare;
  }

  stop() {
    return closeServer(this.#server);
  }

  /** The variables that make wrangler call the stand-in. */
  get env() {
    return { CLOUDFLARE_API_BASE_URL: this.url, CLOUDFLARE_API_TOKEN: this.token, CLOUDFLARE_ACCOUNT_ID: this.account };
  }

  /** The calls that change something, as "METHOD path". */
  get changes() {
    return this.calls.map(({ call }) => call).filter((call) => !call.startsWith("GET "));
  }

  /**
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   */
  async #serve(request, response) {
    const body = await buffer(request);
    const address = new URL(request.url ?? "", "http://127.0.0.1");
    const path = address.pathname.replace(/^\/client\/v4/, "").replace(`/accounts/${this.account}`, "");
    const call = `${request.method} ${path}`;
    this.calls.push({ call, body: body.toString("latin1") });
    /** @type {[status: number, body: object]} */
    let answer;
    try {
      if (request.headers.authorization !== `Bearer ${this.token}`)
        throw new Refusal(403, 10000, "Authentication error");
      const found = this.#find(call);
      if (!found) {
        this.unknown.push(call);
        throw new Refusal(404, 7003, `The stand-in knows no ${call}`);
      }
      const read = () => (body.length ? JSON.parse(body.toString()) : undefined);
      const form = () =>
        new Response(body, { headers: { "Content-Type": request.headers["content-type"] ?? "" } }).formData();
      answer = [
        200,
        { success: true, errors: [], messages: [], result: await found({ query: address.searchParams, read, form }) },
      ];
    } catch (error) {
      const {
        status = 500,
        code = 10013,
        message,
        stack,
      } = /** @type {Error & { status?: number, code?: number }} */ (error);
      if (!(error instanceof Refusal)) this.unknown.push(`${call}: ${stack}`);
      answer = [status, { success: false, errors: [{ code, message }], messages: [], result: null }];
    }
    response.writeHead(answer[0], { "Content-Type": "application/json" }).end(JSON.stringify(answer[1]));
  }

  /**
   * The handler of a call.
   *
   * @param {string} call
   * @returns {((asked: Asked) => unknown) | undefined}
   */
  #find(call) {
    /** @type {[pattern: RegExp, act: (name: string, ...rest: any[]) => unknown][]} */
    const routes = [
      [/^GET \/workers\/services\/([\w-]+)$/, (name) => this.#service(this.#worker(name))],
      [/^GET \/workers\/scripts\/([\w-]+)\/secrets$/, (name) => this.#secrets(this.#worker(name))],
      [
        /^PATCH \/workers\/scripts\/([\w-]+)\/secrets-bulk$/,
        (name, { read }) => this.#putSecrets(this.#worker(name), read()),
      ],
      [/^GET \/workers\/scripts\/([\w-]+)\/settings$/, (name) => ({ bindings: this.#worker(name).bindings })],
      [
        /^GET \/workers\/scripts\/([\w-]+)\/deployments$/,
        (name) => ({ deployments: this.#worker(name).deployments.slice(0, 10) }),
      ],
      [
        /^POST \/workers\/scripts\/([\w-]+)\/deployments$/,
        (name, { read }) => this.#deploy(this.#worker(name), read()),
      ],
      [/^GET \/workers\/scripts\/([\w-]+)\/versions\/([\w-]+)$/, (name, id) => this.#version(this.#worker(name), id)],
      [/^PUT \/workers\/scripts\/([\w-]+)$/, (name, asked) => this.#upload(name, asked, true)],
      [
        /^POST \/workers\/scripts\/([\w-]+)\/versions$/,
        (name, asked) => this.#upload(this.#worker(name).name, asked, false),
      ],
      [
        /^PATCH \/workers\/scripts\/([\w-]+)\/script-settings$/,
        (name, { read }) => Object.assign(this.#worker(name).settings, read()),
      ],
      [/^GET \/workers\/workers\/([\w-]+)$/, (name) => ({ subdomain: this.#worker(name).subdomain })],
      [
        /^POST \/workers\/scripts\/([\w-]+)\/subdomain$/,
        (name, { read }) => this.#subdomain(this.#worker(name), read()),
      ],
      [/^PUT \/workers\/scripts\/([\w-]+)\/routes$/, (name, { read }) => this.#routes(this.#worker(name), read())],
      [/^GET \/workers\/subdomain$/, () => ({ subdomain: "acme" })],
      [/^GET \/zones$/, (_, { query }) => [this.zone].filter(({ name }) => name === query.get("name"))],
      [/^GET \/zones\/(\w+)\/workers\/routes$/, () => this.#allRoutes()],
      [/^GET \/storage\/kv\/namespaces$/, () => this.namespaces],
      [/^POST \/storage\/kv\/namespaces$/, (_, { read }) => this.#namespace(read())],
    ];
    for (const [pattern, act] of routes) {
      const found = call.match(pattern);
      if (found) return (asked) => act(found[1], ...found.slice(2), asked);
    }
    return undefined;
  }

  /** @param {string} name */
  #worker(name) {
    const worker = this.workers[name];
    if (!worker) throw new Refusal(...NOT_FOUND);
    return worker;
  }

  /** @param {Worker} worker */
  #service({ name, settings, migration }) {
    const script = {
      id: name,
      tag: `tag-of-${name}`,
      tags: settings.tags ?? [],
      migration_tag: migration,
      last_deployed_from: "wrangler",
    };
    return { id: name, default_environment: { environment: "production", script } };
  }

  /** @param {Worker} worker */
  #secrets({ secrets }) {
    return Object.keys(secrets).map((name) => ({ name, type: "secret_text" }));
  }

  /**
   * @param {Worker} worker
   * @param {{ secrets: { [name: string]: { text: string } } }} asked
   */
  #putSecrets(worker, { secrets }) {
    for (const [name, { text }] of Object.entries(secrets)) worker.secrets[name] = text;
    return this.#secrets(worker);
  }

  /** @param {{ title: string }} asked */
  #namespace({ title }) {
    if (this.namespaces.some((one) => one.title === title)) {
      throw new Refusal(400, 10014, "A namespace with this account ID and title already exists.");
    }
    const namespace = { id: randomUUID().replaceAll("-", ""), title };
    this.namespaces.push(namespace);
    return namespace;
  }

  /**
   * @param {string} name
   * @param {Asked} asked
   * @param {boolean} deployed
   */
  async #upload(name, { form }, deployed) {
    this.onUpload();
    const refusal = this.refusals.shift();
    if (refusal) throw new Refusal(...refusal);
    const parts = await form();
    /** @type {Metadata} */
    const metadata = JSON.parse(String(parts.get("metadata")));
    const before = this.workers[name];
    const bindings = metadata.bindings.map((binding) => this.#bind(before, binding));
    const classes = bindings.some(({ type }) => type === "durable_object_namespace");
    const migration = this.#migrate(before, metadata.migrations, classes);
    const modules = Object.fromEntries(
      [...parts].filter(([part]) => part !== "metadata").map(([part, file]) => [part, file]),
    );
    if (!(metadata.main_module in modules)) throw new Refusal(400, 10021, "The main module is missing.");
    /** @type {Secrets} */
    const secrets = metadata.keep_bindings?.includes("secret_text") ? { ...before?.secrets } : {};
    for (const { name: secret, text } of bindings.filter(({ type }) => type === "secret_text"))
      secrets[secret] = text ?? "";
    /** @type {Worker} */
    const worker = before ?? {
      name,
      bindings: [],
      secrets: {},
      settings: {},
      subdomain: { enabled: false, previews_enabled: false },
      routes: [],
      versions: [],
      deployments: [],
    };
    const version = {
      id: randomUUID(),
      metadata,
      bindings: bindings.filter(({ type }) => type !== "secret_text"),
      secrets,
      modules: Object.keys(modules),
    };
    worker.versions.push(version);
    // A migration is applied with the upload, not with the deployment.
    worker.migration = migration;
    this.workers[name] = worker;
    if (deployed) this.#deploy(worker, { versions: [{ version_id: version.id, percentage: 100 }] });
    return {
      id: version.id,
      deployment_id: version.id.replaceAll("-", ""),
      startup_time_ms: 1,
      resources: { script: { etag: "e" } },
      etag: "e",
    };
  }

  /**
   * The migration's tag after an upload: each step is applied once, and only from the Worker's current tag.
   *
   * @param {Worker | undefined} before
   * @param {Metadata["migrations"]} migrations
   * @param {boolean} classes whether the upload binds any classes
   */
  #migrate(before, migrations, classes) {
    if (!migrations) {
      if (classes && !before?.migration)
        throw new Refusal(400, 10061, "Cannot create binding for class that is not exported by script.");
      return before?.migration;
    }
    if (migrations.old_tag !== before?.migration) throw new Refusal(412, 10079, "Migration tag precondition failed.");
    return migrations.new_tag;
  }

  /**
   * @param {Worker | undefined} before
   * @param {Binding} binding
   */
  #bind(before, binding) {
    if (binding.type === "inherit") {
      const inherited = before?.bindings.find(({ name }) => name === binding.name);
      if (!inherited) throw new Refusal(400, 10057, `inherit binding '${binding.name}' is invalid`);
      return inherited;
    }
    if (binding.type === "kv_namespace" && !this.namespaces.some(({ id }) => id === binding.namespace_id)) {
      throw new Refusal(400, 10041, `KV namespace '${binding.namespace_id}' is not valid.`);
    }
    return binding;
  }

  /**
   * @param {Worker} worker
   * @param {{ versions: Shares }} asked
   */
  #deploy(worker, { versions }) {
    const [{ version_id: id }] = versions;
    const version = worker.versions.find((one) => one.id === id);
    if (!version) throw new Refusal(404, 10007, "There is no such version.");
    Object.assign(worker, { bindings: version.bindings, secrets: version.secrets });
    const deployment = {
      id: randomUUID(),
      versions,
      created_on: new Date().toISOString(),
      source: "wrangler",
      strategy: "percentage",
    };
    worker.deployments.unshift(deployment);
    return deployment;
  }

  /**
   * @param {Worker} worker
   * @param {string} id
   */
  #version(worker, id) {
    const version = worker.versions.find((one) => one.id === id);
    if (!version) throw new Refusal(404, 10007, "There is no such version.");
    return {
      id,
      number: 1,
      metadata: { created_on: new Date().toISOString(), source: "wrangler" },
      annotations: {},
      resources: { bindings: version.bindings, script: {}, script_runtime: {} },
    };
  }

  /**
   * @param {Worker} worker
   * @param {{ enabled: boolean, previews_enabled?: boolean }} asked
   */
  #subdomain(worker, { enabled, previews_enabled }) {
    Object.assign(worker.subdomain, {
      enabled,
      previews_enabled: previews_enabled ?? worker.subdomain.previews_enabled,
    });
    return worker.subdomain;
  }

  /**
   * @param {Worker} worker
   * @param {{ pattern: string, zone_name: string }[]} routes
   */
  #routes(worker, routes) {
    for (const { pattern, zone_name } of routes) {
      if (zone_name !== this.zone.name) throw new Refusal(400, 10020, `The zone ${zone_name} is not yours.`);
      if (this.#allRoutes().some((one) => one.pattern === pattern && one.script !== worker.name)) {
        throw new Refusal(409, 10020, `A route with the pattern ${pattern} exists.`);
      }
    }
    worker.routes = routes.map(({ pattern }) => pattern);
    return worker.routes;
  }

  #allRoutes() {
    return Object.values(this.workers).flatMap(({ name, routes }) =>
      routes.map((pattern) => ({ id: pattern, pattern, script: name })),
    );
  }
}
