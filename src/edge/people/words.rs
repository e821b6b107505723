//! The words of the pages that people see, in both languages.

use crate::http::Language;

/// The words of one language.
#[derive(Debug)]
pub(super) struct PageWords {
    /// The title of a link's page, before the name of the connection.
    pub connect: &'static str,
    /// What the button of that page does.
    pub explain: &'static str,
    pub button: &'static str,
    /// A link that is used up or late.
    pub link_over: &'static str,
    pub ask_again: &'static str,
    pub connected: &'static str,
    pub not_connected: &'static str,
    pub close: &'static str,
    /// Why nothing is connected: the person or the provider refused.
    pub denied: &'static str,
    /// The flow is over, or belongs to another browser.
    pub over: &'static str,
    /// Something failed; the code comes behind it.
    pub failed: &'static str,
}

pub(super) const fn words(language: Language) -> &'static PageWords {
    match language {
        Language::English => &ENGLISH,
        Language::Portuguese => &PORTUGUESE,
    }
}

const ENGLISH: PageWords = PageWords {
    connect: "Connect an account:",
    explain: "Somebody sent you this link so that their application can use your account. The button leads to the provider, where you sign in and decide whether to allow it. Go on only if you know who sent the link.",
    button: "Go to the provider",
    link_over: "This link is no longer valid",
    ask_again: "It was used already, or it is older than 15 minutes. Ask whoever sent it for another one.",
    connected: "The account is connected",
    not_connected: "The account is not connected",
    close: "You can close this page.",
    denied: "Access was not allowed. To allow it, open the link again.",
    over: "This took too long, or it was begun in another browser. Open the link again.",
    failed: "Something went wrong. Open the link again; if that does not help, tell whoever sent it this code:",
};

const PORTUGUESE: PageWords = PageWords {
    connect: "Conectar uma conta:",
    explain: "Alguém enviou este link a você para que o aplicativo possa usar a sua conta. O botão leva ao provedor, onde você entra e decide se permite. Continue somente se souber quem enviou o link.",
    button: "Ir para o provedor",
    link_over: "Este link não vale mais",
    ask_again: "Ele já foi usado, ou tem mais de 15 minutos. Peça outro a quem o enviou.",
    connected: "A conta está conectada",
    not_connected: "A conta não está conectada",
    close: "Você pode fechar esta página.",
    denied: "O acesso não foi permitido. Para permitir, abra o link outra vez.",
    over: "Demorou demais, ou começou em outro navegador. Abra o link outra vez.",
    failed: "Algo deu errado. Abra o link outra vez; se não resolver, informe este código a quem o enviou:",
};
