// A stand-in of Cloudflare's API, as wrangler deploys by it: one account, one zone. It refuses
// what it does not know, holds uploads to what the platform asks of them, and records every call.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";

const NOT_FOUND = [404, 10007, "This Worker does not exist on your account."];

/** A call that is refused: status, Cloudflare's code, and its message. */
class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

export class Cloudflare {
  /** What it should be given in place of wrangler's own way to sign in. */
  token = `token-${randomUUID()}`;
  account = randomUUID().replaceAll("-", "");
  zone = { id: randomUUID().replaceAll("-", ""), name: "example.com" };
  /** Every call in its order: { call, body }. */
  calls = [];
  /** What it did not know. */
  unknown = [];
  /** Workers by name: { bindings, secrets, migration, settings, subdomain, routes, versions, deployments }. */
  workers = {};
  /** KV namespaces: { id, title }. */
  namespaces = [];
  /** What the next uploads of a Worker are refused with: [status, code, message]. */
  refusals = [];
  /** Called whenever a Worker is uploaded, before it is answered. */
  onUpload = () => {};
  #server;

  static async start() {
    const cloudflare = new Cloudflare();
    cloudflare.#server = createServer((request, response) => void cloudflare.#serve(request, response));
    await new Promise((resolve) => cloudflare.#server.listen(0, "127.0.0.1", resolve));
    cloudflare.url = `http://127.0.0.1:${cloudflare.#server.address().port}/client/v4`;
    return cloudflare;
  }

  stop() {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(resolve));
  }

  /** The variables that make wrangler call it. */
  get env() {
    return { CLOUDFLARE_API_BASE_URL: this.url, CLOUDFLARE_API_TOKEN: this.token, CLOUDFLARE_ACCOUNT_ID: this.account };
  }

  /** The calls, as "METHOD path", that change something. */
  get changes() {
    return this.calls.map(({ call }) => call).filter((call) => !call.startsWith("GET "));
  }

  async #serve(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const address = new URL(request.url, "http://127.0.0.1");
    const path = address.pathname.replace(/^\/client\/v4/, "").replace(`/accounts/${this.account}`, "");
    const call = `${request.method} ${path}`;
    this.calls.push({ call, body: body.toString("latin1") });
    let answer;
    try {
      if (request.headers.authorization !== `Bearer ${this.token}`)
        throw new Refusal(403, 10000, "Authentication error");
      const found = this.#find(call);
      if (!found) {
        this.unknown.push(call);
        throw new Refusal(404, 7003, `The stand-in knows no ${call}`);
      }
      const read = () => (body.length ? JSON.parse(body) : undefined);
      const form = () =>
        new Response(body, { headers: { "Content-Type": request.headers["content-type"] } }).formData();
      answer = [
        200,
        { success: true, errors: [], messages: [], result: await found({ query: address.searchParams, read, form }) },
      ];
    } catch (error) {
      if (!(error instanceof Refusal)) this.unknown.push(`${call}: ${error.stack}`);
      const { status = 500, code = 10013, message } = error;
      answer = [status, { success: false, errors: [{ code, message }], messages: [], result: null }];
    }
    response.writeHead(answer[0], { "Content-Type": "application/json" }).end(JSON.stringify(answer[1]));
  }

  #find(call) {
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
      [/^GET \/zones$/, ({ query }) => [this.zone].filter(({ name }) => name === query.get("name"))],
      [/^GET \/zones\/(\w+)\/workers\/routes$/, () => this.#allRoutes()],
      [/^GET \/storage\/kv\/namespaces$/, () => this.namespaces],
      [/^POST \/storage\/kv\/namespaces$/, ({ read }) => this.#namespace(read())],
    ];
    for (const [pattern, act] of routes) {
      const found = call.match(pattern);
      if (found) return (asked) => act(...found.slice(1), asked);
    }
    return undefined;
  }

  #worker(name) {
    const worker = this.workers[name];
    if (!worker) throw new Refusal(...NOT_FOUND);
    return worker;
  }

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

  #secrets({ secrets }) {
    return Object.keys(secrets).map((name) => ({ name, type: "secret_text" }));
  }

  #putSecrets(worker, { secrets }) {
    for (const [name, { text }] of Object.entries(secrets)) worker.secrets[name] = text;
    return this.#secrets(worker);
  }

  #namespace({ title }) {
    if (this.namespaces.some((one) => one.title === title)) {
      throw new Refusal(400, 10014, "A namespace with this account ID and title already exists.");
    }
    const namespace = { id: randomUUID().replaceAll("-", ""), title };
    this.namespaces.push(namespace);
    return namespace;
  }

  async #upload(name, { form }, deployed) {
    this.onUpload();
    const refusal = this.refusals.shift();
    if (refusal) throw new Refusal(...refusal);
    const parts = await form();
    const metadata = JSON.parse(await parts.get("metadata"));
    const before = this.workers[name];
    const bindings = metadata.bindings.map((binding) => this.#bind(before, binding));
    const classes = bindings.some(({ type }) => type === "durable_object_namespace");
    const migration = this.#migrate(before, metadata.migrations, classes);
    const modules = Object.fromEntries(
      [...parts].filter(([part]) => part !== "metadata").map(([part, file]) => [part, file]),
    );
    if (!(metadata.main_module in modules)) throw new Refusal(400, 10021, "The main module is missing.");
    const secrets = metadata.keep_bindings?.includes("secret_text") ? { ...before?.secrets } : {};
    for (const { name: secret, text } of bindings.filter(({ type }) => type === "secret_text")) secrets[secret] = text;
    const worker = before ?? {
      name,
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
    // A migration is applied at once, with the upload.
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

  /** The migration's tag after an upload: steps are applied once, and only from where the Worker is. */
  #migrate(before, migrations, classes) {
    if (!migrations) {
      if (classes && !before?.migration)
        throw new Refusal(400, 10061, "Cannot create binding for class that is not exported by script.");
      return before?.migration;
    }
    if (migrations.old_tag !== before?.migration) throw new Refusal(412, 10079, "Migration tag precondition failed.");
    return migrations.new_tag;
  }

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

  #deploy(worker, { versions }) {
    const [{ version_id: id }] = versions;
    const version = worker.versions.find((one) => one.id === id);
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

  #subdomain(worker, { enabled, previews_enabled }) {
    Object.assign(worker.subdomain, {
      enabled,
      previews_enabled: previews_enabled ?? worker.subdomain.previews_enabled,
    });
    return worker.subdomain;
  }

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
