//! The body of a problem (RFC 9457 §3.1), and the page behind its type.

use super::{Code, english, portuguese};
use crate::http::Language;
use crate::json::Members;

impl Code {
    /// The problem details of one occurrence, as JSON, with title and detail in `language`. `cause`
    /// is the failure that the connection backs off from; `connection` is the one that was called.
    #[must_use]
    pub fn details(
        self,
        language: Language,
        broker: &str,
        request_id: &str,
        cause: Option<Self>,
        connection: Option<&str>,
    ) -> String {
        let (code, [title, detail, _]) = (self.as_str(), self.words(language));
        let kind = [broker, "/problems/", code].concat();
        let cause = cause.map(Self::as_str);
        let connection = connection.filter(|_| self == Self::NotConnected);
        let connect_url = connection.map(|id| [broker, "/auth/", id, "/connect"].concat());
        Members(&[
            ("type", &kind),
            ("title", &title),
            ("status", &self.status()),
            ("code", &code),
            ("detail", &detail),
            ("request_id", &request_id),
            ("cause", &cause),
            ("connect_url", &connect_url),
        ])
        .lean_text()
    }

    /// The text behind the problem's `type` address in `language`: what happened and what to do.
    #[must_use]
    pub fn page(self, language: Language) -> String {
        let [title, detail, advice] = self.words(language);
        let status = self.status().to_string();
        [self.as_str(), " (HTTP ", &status, "): ", title, ".\n\n", detail, "\n\n", advice, "\n"].concat()
    }

    /// The code's title, detail and advice.
    const fn words(self, language: Language) -> [&'static str; 3] {
        match language {
            Language::English => self.in_english(),
            Language::Portuguese => self.in_portuguese(),
        }
    }
}

/// The detail of a registration that has problems.
pub const fn wrong_registration(language: Language) -> &'static str {
    match language {
        Language::English => english::WRONG_REGISTRATION,
        Language::Portuguese => portuguese::WRONG_REGISTRATION,
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const LANGUAGES: [Language; 2] = [Language::English, Language::Portuguese];

    /// The words of a sentence, in lower case.
    fn words(text: &str) -> BTreeSet<String> {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '{' | '}');
        text.split(|c| !is_part(c)).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
    }

    /// What a program reads: the names of variables, fields, parameters and addresses.
    fn names(text: &str) -> BTreeSet<String> {
        let is_name = |word: &&str| {
            word.contains(['_', '/'])
                || (word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase()))
                || word.split_once('-').is_some_and(|(first, second)| {
                    first.starts_with(char::is_uppercase) && second.starts_with(char::is_uppercase)
                })
        };
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '{' | '}');
        text.split(|c| !is_part(c)).filter(is_name).map(str::to_owned).collect()
    }

    #[test]
    fn says_each_thing_in_both_languages() {
        for code in Code::ALL {
            let [english, portuguese] = LANGUAGES.map(|language| code.words(language));
            for (one, other) in english.into_iter().zip(portuguese) {
                assert!(!one.is_empty() && !other.is_empty() && one != other, "{code:?}: {one}");
                assert_eq!(names(one), names(other), "{code:?}");
                assert!(one.is_ascii() && other.ends_with('.') == one.ends_with('.'), "{code:?}: {other}");
            }
        }
    }

    #[test]
    fn leaves_no_word_of_one_language_in_the_other() {
        let text = |language| {
            let all = Code::ALL.into_iter().flat_map(|code| code.words(language));
            all.collect::<Vec<_>>().join(" ")
        };
        let [english, portuguese] = LANGUAGES.map(|language| words(&text(language)));
        let names = "access_token account_token allow allowed_origins authorization base_url bearer cause connect_url connections fetch get grant head json password request_id retry-after scope token_url toml unicode username wrangler http https /api/{connection}/{path} 15";
        let borrowed =
            "api broker cookie deploy endpoint link log login script secret secrets token webhook worker";
        let alike = "a as do no use";
        let both: Vec<&str> = [names, borrowed, alike].iter().flat_map(|words| words.split(' ')).collect();
        let shared: Vec<&String> =
            english.intersection(&portuguese).filter(|word| !both.contains(&word.as_str())).collect();
        assert!(shared.is_empty(), "{shared:?}");
    }

    #[test]
    fn tells_a_problem_in_full() {
        for (language, title, detail) in [
            (Language::English, "Connection unavailable", "The connection waits after a failure"),
            (Language::Portuguese, "Conexão indisponível", "A conexão aguarda depois de uma falha"),
        ] {
            let cause = Some(Code::CredentialsRejected);
            let details = Code::ConnectionUnavailable.details(
                language,
                "https://broker.example/b",
                "r1",
                cause,
                Some("a"),
            );
            assert!(!details.contains("connect_url"));
            let details: serde_json::Value = serde_json::from_str(&details).unwrap();
            assert_eq!(details["type"], "https://broker.example/b/problems/connection_unavailable");
            assert_eq!(details["status"], 503);
            assert_eq!(details["code"], "connection_unavailable");
            assert_eq!(details["request_id"], "r1");
            assert_eq!(details["cause"], "credentials_rejected");
            assert_eq!(details["title"], title);
            assert!(details["detail"].as_str().unwrap().starts_with(detail));
        }
    }

    #[test]
    fn tells_a_person_where_to_connect() {
        let broker = "https://broker.example/b";
        let details = Code::NotConnected.details(Language::English, broker, "r1", None, Some("acme"));
        let details: serde_json::Value = serde_json::from_str(&details).unwrap();
        assert_eq!(details["connect_url"], "https://broker.example/b/auth/acme/connect");
    }

    #[test]
    fn explains_a_code_with_all_its_words() {
        for code in Code::ALL {
            for language in LANGUAGES {
                let page = code.page(language);
                assert!(page.starts_with(&format!("{} (HTTP {}): ", code.as_str(), code.status())));
                assert!(code.words(language).iter().all(|words| page.contains(words)), "{page}");
            }
        }
    }
}
