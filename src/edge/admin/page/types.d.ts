// What the broker says of connections and events, and what the page keeps of it.

/** A connection, as docs/reference/openapi.yaml has it; a newer broker may know other states and codes. */
export interface Entry {
  id: string;
  provider: string | null;
  grant: string | null;
  subject: string | null;
  source: string;
  state: string;
  obtained_at: string | null;
  expires_at: string | null;
  grants: number;
  /** `reason` and `status` are what the token endpoint answered. */
  last_error: { code: string; at: string; reason?: string | null; status?: number | null } | null;
  retry_at: string | null;
  sealing_key: string | null;
  webhooks: { failed: number; pending: number } | null;
  /** Why it is misconfigured; an older broker does not say it. */
  problems?: { field: string; message: string }[] | null;
}

/** An entry with the browser's time at which it was asked for, and the filters that it stands under. */
export type Kept = Entry & { at: number; placed: string[] };

/** An event that is kept for a receiver. */
export interface Webhook {
  id: string;
  state: string;
  accepted_at: string;
  attempts: number;
  outcome: string | null;
  status: number | null;
  next_at: string | null;
}

/** Where the operator's events go, and whether they arrive. */
export interface Events {
  to: string | null;
  problems: { field: string; message: string }[];
  webhooks: {
    failed: number;
    pending: number;
    last?: { at: string; outcome: string; status: number | null };
  } | null;
}

/** How an action ended; `what` is what failed. */
export interface Outcome {
  what?: string;
  text: string;
  at?: number;
}

/** A row, its parts by their `data-is`, and its buttons. */
export interface Row {
  node: HTMLElement;
  is: Record<string, HTMLElement>;
  buttons: HTMLButtonElement[];
}

/** A part of a list whose rows are made and thrown away together. */
export type Block = HTMLElement & { ids: string[]; isNear: boolean; sizedFor?: number };

/** The elements of index.html that are more than an HTMLElement. */
export interface Elements {
  q: HTMLInputElement;
  ask: HTMLDialogElement;
  hooks: HTMLDialogElement;
  row: HTMLTemplateElement;
  event: HTMLTemplateElement;
}
