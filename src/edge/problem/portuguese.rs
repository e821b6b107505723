//! The words of problems in Brazilian Portuguese.

use super::Code;

/// The detail of a registration that has problems.
pub const WRONG_REGISTRATION: &str =
    "A conexão não foi registrada nem alterada: problems indica cada campo errado.";

impl Code {
    /// The code's title, detail and advice in Brazilian Portuguese.
    #[expect(clippy::too_many_lines, reason = "it is one table")]
    pub(super) const fn in_portuguese(self) -> [&'static str; 3] {
        match self {
            Self::BadRequest => [
                "Requisição inválida",
                "A requisição não pode ser repassada como está.",
                "Não envie um parâmetro access_token, nem um que indique outro método, nem um caractere de controle em um campo de cabeçalho, nem um corpo com GET ou HEAD; envie o login como JSON com username e password; não carregue uma resposta como script, estilo ou worker, nem chame o broker por meio dele mesmo.",
            ],
            Self::BadPath => [
                "Caminho inválido",
                "O caminho tem um segmento que um servidor poderia ler como outro caminho.",
                "Retire do caminho os segmentos de pontos, os segmentos vazios, as barras invertidas, os caracteres de controle e as barras codificadas, mesmo que codificados duas vezes ou trocados por equivalentes do Unicode, e um ? ou # codificado antes de outro segmento.",
            ],
            Self::CallerUnauthenticated => [
                "Chamada sem autenticação",
                "A requisição não prova quem a faz.",
                "Envie a credencial de quem chama: um servidor envia a sua chave e uma pessoa o seu token, como token Bearer em Authorization; uma página com sessões do broker envia o cookie dela. Se já havia uma credencial, faça login de novo.",
            ],
            Self::NotConnected => [
                "Conta não conectada",
                "Ninguém conectou uma conta aqui ainda, ou esse consentimento terminou.",
                "Leve a pessoa ao endereço do membro connect_url, com uma navegação da página; se é a causa, o operador conecta a conta, ou envia um link a quem é dono dela.",
            ],
            Self::LoginRejected => [
                "Login recusado",
                "O provedor recusou este usuário e senha.",
                "Peça à pessoa que digite os dois de novo. Depois de cinco recusas em um minuto, o broker pede uma pausa.",
            ],
            Self::WebhookRejected => [
                "Webhook recusado",
                "O evento não prova quem o enviou.",
                "O token de conta do remetente é o secret ACCOUNT_TOKEN da conexão: está onde a conexão o espera, ou é a chave da assinatura, feita há pouco; nenhum membro do evento aparece duas vezes.",
            ],
            Self::OriginNotAllowed => [
                "Origem não permitida",
                "As páginas desta origem não podem chamar o broker.",
                "O operador lista em ALLOWED_ORIGINS as origens exatas dos front-ends.",
            ],
            Self::OperationNotAllowed => [
                "Operação não permitida",
                "Nenhuma regra permite que você use este método neste caminho com estes dados.",
                "Peça somente os dados de quem chama. O operador define nas regras da conexão quem pode chamar, com quais métodos, em quais caminhos e com quais dados.",
            ],
            Self::CrossSiteRequest => [
                "Requisição de outro site",
                "A requisição traz o cookie de uma sessão, mas não prova que vem de uma página que pode chamar.",
                "Chame com fetch a partir de uma página cuja origem esteja em ALLOWED_ORIGINS, ou da própria origem do broker.",
            ],
            Self::InsecureTransport => [
                "Transporte inseguro",
                "A requisição veio por http simples, em que outras pessoas podem ler a credencial que ela traz.",
                "Chame o endereço https e troque a credencial que foi enviada. O operador faz com que o http seja redirecionado antes de chegar ao broker.",
            ],
            Self::NotFound => [
                "Não encontrado",
                "Não há nada neste endereço.",
                "As chamadas a uma API vão para /api/{connection}/{path}, abaixo do endereço do broker.",
            ],
            Self::UnknownConnection => [
                "Conexão desconhecida",
                "Nenhuma conexão tem este nome.",
                "O operador configura as conexões em CONNECTIONS, ou as registra.",
            ],
            Self::MethodNotAllowed => [
                "Método não permitido",
                "Este endereço não aceita este método.",
                "Use um dos métodos que o cabeçalho Allow indica.",
            ],
            Self::RequestTimeout => [
                "Tempo da requisição esgotado",
                "O corpo da requisição não chegou a tempo.",
                "Envie a requisição de novo, inteira, em até 15 segundos.",
            ],
            Self::ConnectionConfigured => [
                "Conexão já configurada",
                "A conexão está na configuração e não pode ser alterada aqui.",
                "Altere a conexão em wrangler.toml e faça o deploy, ou registre outra com outro nome.",
            ],
            Self::BodyTooLarge => {
                ["Corpo grande demais", "O corpo é maior do que este endereço aceita.", "Envie menos dados."]
            }
            Self::RateLimited => [
                "Limite de requisições atingido",
                "Houve requisições demais deste tipo.",
                "Chame de novo depois do tempo indicado em Retry-After.",
            ],
            Self::QuotaExhausted => [
                "Cota esgotada",
                "O orçamento de requisições da conexão acabou.",
                "Chame de novo depois do tempo indicado em Retry-After.",
            ],
            Self::UpstreamLimited => [
                "API sobrecarregada",
                "A API avisou que recebe requisições demais.",
                "Chame de novo depois do tempo indicado em Retry-After.",
            ],
            Self::Internal => [
                "Erro interno",
                "Aconteceu algo imprevisto dentro do broker.",
                "O log do broker tem uma linha com o mesmo request_id.",
            ],
            Self::CredentialsRejected => [
                "Credenciais recusadas",
                "O endpoint de token do provedor recusou as credenciais do broker.",
                "O operador confere os secrets da conexão. Enquanto nenhum deles mudar, a próxima tentativa só acontece depois de um minuto ou mais.",
            ],
            Self::TokenEndpointUnreachable => [
                "Endpoint de token inacessível",
                "Não foi possível acessar o endpoint de token do provedor, ou ele está fora do ar.",
                "Chame de novo depois do tempo indicado em Retry-After.",
            ],
            Self::TokenResponseInvalid => [
                "Resposta de token inválida",
                "A resposta do endpoint de token do provedor não traz um token válido.",
                "O operador confere token_url, grant e scope da conexão.",
            ],
            Self::UpstreamUnauthorized => [
                "Token recusado pela API",
                "A API do provedor recusou o token do broker, ou o recusou em uma chamada com corpo grande demais para ser enviado duas vezes.",
                "Chame mais uma vez. Se o erro continuar, o operador confere o que a conta pode fazer.",
            ],
            Self::UpstreamUnreachable => [
                "API inacessível",
                "Não foi possível acessar a API do provedor, ou ela interrompeu a conexão.",
                "Uma chamada que altera dados pode ter tido efeito: verifique antes de chamar de novo.",
            ],
            Self::UpstreamRedirect => [
                "Redirecionamento da API",
                "A API do provedor redirecionou para um lugar fora da conexão.",
                "O operador confere o base_url da conexão.",
            ],
            Self::ConnectionUnavailable => [
                "Conexão indisponível",
                "A conexão aguarda depois de uma falha, que o membro cause indica.",
                "Chame de novo depois do tempo indicado em Retry-After.",
            ],
            Self::Misconfigured => [
                "Configuração incorreta",
                "O broker ou esta conexão não tem uma configuração correta.",
                "O log do broker lista o que está errado, pelos nomes das variáveis e dos campos.",
            ],
            Self::TokenEndpointTimeout => [
                "Tempo do endpoint de token esgotado",
                "O endpoint de token do provedor demorou demais.",
                "Chame de novo depois do tempo indicado em Retry-After.",
            ],
            Self::UpstreamTimeout => [
                "Tempo da API esgotado",
                "A API do provedor demorou demais para responder.",
                "Uma chamada que altera dados pode ter tido efeito: verifique antes de chamar de novo.",
            ],
        }
    }
}
