// Records sealed with AES-256-GCM; a record opens only under its own name.

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NONCE_BYTES = 12;

export async function seal(value, name, key) {
  const iv = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const sealed = await crypto.subtle.encrypt(parameters(iv, name), key, encoder.encode(JSON.stringify(value)));
  return `${toBase64(iv)}.${toBase64(new Uint8Array(sealed))}`;
}

/** The text sealed under `name`; undefined if the record does not open. */
export async function open(sealed, name, key) {
  try {
    const [iv, bytes] = sealed.split(".").map(fromBase64);
    return JSON.parse(decoder.decode(await crypto.subtle.decrypt(parameters(iv, name), key, bytes)));
  } catch {
    return undefined;
  }
}

const parameters = (iv, name) => ({ name: "AES-GCM", iv, additionalData: encoder.encode(name) });
const toBase64 = (bytes) => btoa(String.fromCharCode(...bytes));
const fromBase64 = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
