// The common settings of all measurements: their duration, and the fields of a call.

/** How many times each subject is measured, and for how many seconds each time. */
export const ROUNDS = Number(process.env.ROUNDS ?? 15);
export const SECONDS = Number(process.env.SECONDS ?? 1);

export const KEY = "bench-caller-key-0123456789-0123456789";
export const ORIGIN = "http://localhost:8790";

/** The fields that a browser sends with a plain fetch. */
export const BROWSER_HEADERS = {
  accept: "application/json",
  "accept-language": "pt-BR,pt;q=0.9,en;q=0.8",
  "accept-encoding": "gzip, deflate, br",
  "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
  "sec-ch-ua": '"Chromium";v="141", "Not?A_Brand";v="8"',
  "sec-ch-ua-mobile": "?0",
  "sec-ch-ua-platform": '"Linux"',
  "sec-fetch-dest": "empty",
  "sec-fetch-mode": "cors",
  "sec-fetch-site": "cross-site",
  referer: "http://localhost/app",
};

export const KIB = 1024;
export const MIB = 1024 * KIB;
