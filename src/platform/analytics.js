// One data point for each proxied call, for a Worker that has a dataset of Analytics Engine.
// docs/guides/observe.md says what the columns mean. Queries name columns by number: a new column
// comes behind the others.

// Analytics Engine takes 16 KB in all blobs of a point together.
const LONGEST_PATH = 2000;

/**
 * Writes the data point of the call whose log line is `text`; nothing for other lines. Never throws.
 * @param {AnalyticsEngineDataset} dataset
 * @param {string} text
 */
export function writeDataPoint(dataset, text) {
  try {
    const line = JSON.parse(text);
    // A preflight that passes is no call yet.
    if (line.event !== "call" || (line.connection ?? line.code) === undefined) return;
    const { connection = "", caller = "", method, path = "", code = "", token = "", reason = "" } = line;
    const { status, token_ms = 0, upstream_ms, replayed, request_id } = line;
    const sent = upstream_ms === undefined ? 0 : replayed ? 2 : 1;
    dataset.writeDataPoint({
      indexes: [connection],
      blobs: [connection, caller, method, path.slice(0, LONGEST_PATH), code, token, reason, request_id],
      doubles: [status, token_ms, upstream_ms ?? 0, sent],
    });
  } catch {
    // A data point is worth less than the call.
  }
}
