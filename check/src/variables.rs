//! The variables and secrets, read by the Worker's own code.

use std::collections::BTreeSet;

use porteiro::config::{
    Config, FETCHERS, OTHER_CLIENT, Problem, VARIABLES, Variables, placed_secrets, secret_name, shown,
};
use serde_json::Value;

use crate::report::{Report, WantedSecret};
use crate::scope::Scope;
use crate::{Options, bindings, dangers, development};

/// The largest variable that Cloudflare accepts, in bytes: 5 KB.
const MAX_BYTES: usize = 5 * 1024;
/// How many variables and secrets a Worker may have, on the free plan and on the paid plan.
const MAX_FREE: usize = 64;
const MAX_PAID: usize = 128;

pub(crate) const ADMIN_KEY: &str = "ADMIN_KEY";
pub(crate) const SEALING_KEYS: &str = "SEALING_KEYS";
pub(crate) const EVENTS_SECRET: &str = "EVENTS_SECRET";

/// The fields of a connection that are always secret; its client id and its audience may be in the
/// file.
const SECRETS: [&str; 9] = [
    "TOKEN",
    "USERNAME",
    "PASSWORD",
    "REFRESH_TOKEN",
    "CLIENT_SECRET",
    "ACCOUNT_TOKEN",
    "WEBHOOK_SECRET",
    "PRIVATE_KEY",
    "SERVICE_ACCOUNT",
];
const CLIENT_ID: &str = "_CLIENT_ID";
const OPEN: [&str; 2] = ["CLIENT_ID", "AUDIENCE"];

/// Checks the variables of `scope`.
pub(crate) fn check(scope: &Scope<'_>, top: &Scope<'_>, options: &Options, report: &mut Report) {
    warn_of_what_is_not_inherited(scope, top, report);
    let none = Variables::new();
    let fields = scope.variables.as_ref().map_or(&none, |tree| &tree.fields);
    for (field, message) in scope.variables.iter().flat_map(|tree| &tree.refused) {
        report.problems.push(scope.variable(field, *message));
    }

    let names = Names::of(fields, options.local);
    let plain = fields.iter().filter(|(name, value)| names.are_read(name, value));
    let mut plain: Variables = plain.map(|(name, value)| (name.clone(), value.clone())).collect();
    plain.insert(FETCHERS.to_owned(), bindings::fetchers(scope));
    let whole = Completed::of(&plain);
    let is_known = |problem: &&Problem| !problem.is_missing_secret() && !whole.is_guessed(problem);
    let problems = whole.problems.iter().filter(is_known);
    report.problems.extend(problems.map(|problem| scope.variable(problem.field(), problem.message())));

    let is_mounted = bindings::is_mounted(scope, top);
    let is_wrong = |name: &String, value| !names.are_read(name, value) || whole.absent.contains(name);
    for (name, _) in fields.iter().filter(|(name, value)| is_wrong(name, value)) {
        let message = match () {
            () if whole.absent.contains(name) || name == ADMIN_KEY => format!(
                "is a secret and stands here as plain text: remove it, and set it with `{}`",
                command(name, scope, options)
            ),
            () if names.secret.contains(name) => {
                "is a secret that nothing here needs, as plain text: remove it".to_owned()
            }
            () if is_mounted && nearest(name, &names.secret).is_none() => continue,
            () => unknown(name, &names.secret),
        };
        report.problems.push(scope.variable(&shown(name), message));
    }
    if !options.local {
        list_secrets(scope, options, &whole.absent, report);
    }
    check_limits(scope, fields, whole.absent.len(), report);
    dangers::check(scope, &plain, &whole.config, options.local, report);
    for vars in options.dev_vars.iter().filter(|vars| scope.is_called(&vars.environment)) {
        development::check(scope, fields, vars, report);
    }
}

fn warn_of_what_is_not_inherited(scope: &Scope<'_>, top: &Scope<'_>, report: &mut Report) {
    if scope.variables.is_none() && top.variables.is_some() {
        let message = format!(
            "are not there, and environments do not inherit them: write [{}vars] with what the Worker reads",
            scope.prefix()
        );
        report.warnings.push(scope.variable("vars", message));
    }
}

/// The names of variables, by how they may be set.
struct Names {
    /// The names of the secrets of the configured connections and callers.
    secret: BTreeSet<String>,
    /// Names of secrets whose values may stand in the file.
    open: BTreeSet<String>,
    local: bool,
}

impl Names {
    fn of(fields: &Variables, local: bool) -> Self {
        let config = Config::from_variables(fields.clone());
        let of_all = |fields: &[&str]| {
            let names = |id: &String| fields.iter().map(|field| secret_name(id, field)).collect::<Vec<_>>();
            config.ids().flat_map(names).collect::<BTreeSet<_>>()
        };
        let mut secret = of_all(&SECRETS);
        secret.extend(placed(fields).map(|(_, name)| name));
        secret.extend(config.callers.keys().map(|id| secret_name(id, "KEY")));
        secret.extend([ADMIN_KEY, SEALING_KEYS, EVENTS_SECRET].map(str::to_owned));
        Self { secret, open: of_all(&OPEN), local }
    }

    /// Whether the Worker reads a variable of this name from the file.
    fn are_read(&self, name: &str, value: &Value) -> bool {
        // An empty client secret is no secret: it means that the client has none.
        let is_empty_client_secret = || value == "" && name.ends_with("_CLIENT_SECRET");
        VARIABLES.contains(&name)
            || self.open.contains(name)
            || (self.secret.contains(name) && (self.local || is_empty_client_secret()))
    }
}

/// The secrets that the fields of connections place, such as `headers`: the connection's id, and the
/// secret's name.
pub(crate) fn placed(fields: &Variables) -> impl Iterator<Item = (String, String)> {
    let Value::Object(connections) = structure(fields, "CONNECTIONS") else { return Vec::new().into_iter() };
    let of_one = |(id, fields): (String, Value)| {
        let names = fields.as_object().map(placed_secrets).unwrap_or_default();
        names.into_iter().map(move |name| (id.clone(), secret_name(&id, &name.to_ascii_uppercase())))
    };
    connections.into_iter().flat_map(of_one).collect::<Vec<_>>().into_iter()
}

/// The variable called `name`; a text that is JSON is parsed.
pub(crate) fn structure(variables: &Variables, name: &str) -> Value {
    let value = variables.get(name).cloned().unwrap_or_default();
    value.as_str().and_then(|text| serde_json::from_slice(text.as_bytes()).ok()).unwrap_or(value)
}

/// A configuration with a value for every secret.
pub(crate) struct Completed {
    pub config: Config,
    pub problems: Vec<Problem>,
    /// The missing secrets.
    pub absent: Vec<String>,
}

impl Completed {
    /// Whether a problem may come of a client's id that is not known here.
    fn is_guessed(&self, problem: &Problem) -> bool {
        problem.message() == OTHER_CLIENT && self.absent.iter().any(|name| name.ends_with(CLIENT_ID))
    }

    /// Reads `variables` with a placeholder for each missing secret, since the other problems show
    /// only then.
    pub(crate) fn of(variables: &Variables) -> Self {
        let mut variables = variables.clone();
        let mut absent: Vec<String> = Vec::new();
        loop {
            let config = Config::from_variables(variables.clone());
            let problems = config.problems();
            let mut is_whole = true;
            for problem in &problems {
                let name = problem.field();
                let value = if absent.iter().any(|known| known == name) {
                    variables.get(name).and_then(Value::as_str).and_then(next_key).map(str::to_owned)
                } else if problem.is_missing_secret() {
                    absent.push(name.to_owned());
                    Some(placeholder(name))
                } else {
                    None
                };
                is_whole &= value.is_none();
                variables.extend(value.map(|value| (name.to_owned(), Value::String(value))));
            }
            if is_whole {
                return Self { config, problems, absent };
            }
        }
    }
}

/// A placeholder of the form that the secret must have, different for each name.
fn placeholder(name: &str) -> String {
    let zeros = "A".repeat(43);
    if name == SEALING_KEYS {
        format!("k1:{zeros}=")
    } else if name.ends_with("_WEBHOOK_SECRET") || name == EVENTS_SECRET {
        format!("whsec_{zeros}=")
    } else if name.ends_with(CLIENT_ID) {
        // Connections may share a client.
        CLIENT_ID.to_owned()
    } else if name.ends_with("_PRIVATE_KEY") {
        KEYS.first().copied().unwrap_or_default().to_owned()
    } else if name.ends_with("_SERVICE_ACCOUNT") {
        ACCOUNT.to_owned()
    } else {
        format!("{name:->32}")
    }
}

/// Keys of the form of each kind, one of which fits the algorithm of a connection.
const KEYS: [&str; 5] = [
    r#"{"kty":"RSA","n":"","e":"","d":"","p":"","q":"","dp":"","dq":"","qi":""}"#,
    r#"{"kty":"EC","crv":"P-256","x":"","y":"","d":""}"#,
    r#"{"kty":"EC","crv":"P-384","x":"","y":"","d":""}"#,
    r#"{"kty":"EC","crv":"P-521","x":"","y":"","d":""}"#,
    r#"{"kty":"OKP","crv":"Ed25519","x":"","d":""}"#,
];

/// The file of a service account, with the beginning of an RSA key.
const ACCOUNT: &str = r#"{
    "client_email": "a",
    "private_key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAA==\n-----END PRIVATE KEY-----\n",
    "token_uri": "https://a.example"
}"#;

/// The placeholder to try after `key`, which does not fit.
fn next_key(key: &str) -> Option<&'static str> {
    let at = KEYS.iter().position(|known| *known == key)?;
    KEYS.get(at + 1).copied()
}

fn list_secrets(scope: &Scope<'_>, options: &Options, absent: &[String], report: &mut Report) {
    // The keys without which nothing works come first, the optional key last.
    let is_first = |name: &&str| *name == SEALING_KEYS;
    let names = || absent.iter().map(String::as_str);
    let needed = names().filter(is_first).chain(names().filter(|name| !is_first(name)));
    for (name, needed) in needed.map(|name| (name, true)).chain([(ADMIN_KEY, false)]) {
        report.secrets.push(WantedSecret {
            environment: scope.name.clone(),
            name: name.to_owned(),
            needed,
            set: None,
            command: command(name, scope, options),
        });
    }
}

/// The command that sets a secret.
fn command(name: &str, scope: &Scope<'_>, options: &Options) -> String {
    let environment = scope.name.as_deref().map(shown);
    let options = [("--env", &environment), ("--config", &options.config)];
    let given =
        options.iter().filter_map(|(option, value)| Some(format!(" {option} {}", quoted(value.as_ref()?))));
    let file = match () {
        () if name.ends_with("_PRIVATE_KEY") => " < key.pem",
        () if name.ends_with("_SERVICE_ACCOUNT") => " < account.json",
        () => "",
    };
    format!("npx wrangler secret put {name}{}{file}", given.collect::<String>())
}

/// `text` quoted as one word of a shell command.
fn quoted(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./@%+=:,".contains(&b);
    if !text.is_empty() && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn check_limits(scope: &Scope<'_>, fields: &Variables, secrets: usize, report: &mut Report) {
    for (name, value) in fields {
        let bytes = value.as_str().map_or_else(|| value.to_string().len(), str::len);
        if bytes > MAX_BYTES {
            let message = format!(
                "must be shorter: Cloudflare takes {MAX_BYTES} bytes of JSON for a variable, and this has {bytes}"
            );
            report.problems.push(scope.variable(&shown(name), message));
        }
    }
    let count = fields.len() + secrets;
    let message =
        |most| format!("must be fewer: Cloudflare takes {most}, secrets counted, and there are {count}");
    if count > MAX_PAID {
        report.problems.push(scope.variable("vars", message(MAX_PAID)));
    } else if count > MAX_FREE {
        report.warnings.push(scope.variable("vars", format!("{} on the free plan", message(MAX_FREE))));
    }
}

/// The name that an unknown variable may have been intended to have, and whether it is one of `secrets`.
fn nearest<'n>(name: &str, secrets: &'n BTreeSet<String>) -> Option<(&'n str, bool)> {
    let is_near = |known: &str| distance(name, known) <= 2;
    let variable = VARIABLES.into_iter().find(|known| is_near(known)).map(|known| (known, false));
    variable.or_else(|| secrets.iter().find(|known| is_near(known)).map(|known| (known.as_str(), true)))
}

/// The message about an unknown variable; `secrets` are names that may have been intended.
fn unknown(name: &str, secrets: &BTreeSet<String>) -> String {
    let what = match nearest(name, secrets) {
        Some((known, false)) => format!("write {known}"),
        Some((known, true)) => format!("remove it; {known} is a secret, set with wrangler"),
        None => "remove it".to_owned(),
    };
    format!("is not a variable that the Worker knows: {what}")
}

/// The Levenshtein distance of two names, ignoring case.
pub(crate) fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.bytes().enumerate() {
        let mut next = vec![at + 1];
        for (to, (wanted, pair)) in other.bytes().zip(row.windows(2)).enumerate() {
            let [diagonal, above] = *pair else { continue };
            let left = next.get(to).copied().unwrap_or_default();
            let changed = usize::from(!letter.eq_ignore_ascii_case(&wanted));
            next.push((diagonal + changed).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_how_near_two_names_are() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("a", "A", 0),
            ("ORIGIN", "ORIGINS", 1),
            ("CALERS", "CALLERS", 1),
            ("AB", "BA", 2),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
        let secrets = ["V8_PASSWORD".to_owned()].into();
        for (name, expected) in [
            ("ALLOWED-ORIGIN", "write ALLOWED_ORIGINS"),
            ("V8_PASWORD", "remove it; V8_PASSWORD is a secret, set with wrangler"),
            ("LOG_LEVEL", "remove it"),
        ] {
            assert_eq!(
                unknown(name, &secrets),
                format!("is not a variable that the Worker knows: {expected}")
            );
        }
    }

    #[test]
    fn writes_words_that_a_shell_takes_as_one() {
        for (text, expected) in
            [("staging", "staging"), ("a/b.toml", "a/b.toml"), ("a b", "'a b'"), ("a'b", r"'a'\''b'")]
        {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn stands_in_for_every_secret_with_what_has_its_form() {
        let names = ["A_KEY", "B_KEY", "SEALING_KEYS", "A_WEBHOOK_SECRET"].map(placeholder);
        assert!(names[0] != names[1] && names[0].len() == 32);
        assert!(names[2].starts_with("k1:") && names[3].starts_with("whsec_"));
    }
}
