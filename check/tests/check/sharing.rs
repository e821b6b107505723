//! Rules by which people reach a shared account.

use porteiro::config::VARIABLES;

use super::*;

const UNBOUND: &str = "CONNECTIONS.a.rules[0]: binds nothing to who calls, and the account is shared: \
     whoever it lets in reaches everybody's data; write, as fits the API, ";

/// A file with a connection of `provider`, whose rules begin in line 9.
fn file(provider: &str, rules: &str) -> String {
    let more = match provider {
        "custom" => ", grant = 'static'",
        "v8" => ", token_url = 'https://a.example/token'",
        _ => "",
    };
    format!(
        "[vars]\nALLOWED_ORIGINS = ['https://app.example.com']\nCALLERS.backend.kind = 'key'\n\
         CALLERS.staff = {{ kind = 'jwt', issuer = 'https://a.example', audience = 'a' }}\n\
         CALLERS.office = {{ kind = 'cloudflare-access', team_domain = 'a.cloudflareaccess.com', audience = 'a' }}\n\
         CALLERS.visitor.kind = 'anyone'\nCALLERS.member.kind = 'session'\n\
         CONNECTIONS.a = {{ provider = '{provider}', base_url = 'https://a.example'{more}, rules = [\n{rules}\n] }}\n"
    )
}

/// What is told of sharing in `text`, with the lines counted in it.
fn told_of_sharing(text: &str) -> Vec<String> {
    let report = report(&sound(text));
    expect(&report.problems, &[]);
    let is_of_sharing = |finding: &&Finding| finding.message.contains("binds nothing to who calls");
    let told = report.warnings.iter().filter(is_of_sharing);
    told.map(|it| format!("{} {}: {}", it.line - BEFORE, it.field, it.message)).collect()
}

/// Checks that the rule has the warning, and what it says to write.
#[track_caller]
fn check_unbound(provider: &str, rule: &str, advice: &str) {
    let told = told_of_sharing(&file(provider, rule));
    assert_eq!(told, [format!("9 {UNBOUND}{advice}")], "{rule}");
}

#[track_caller]
fn check_bound(rule: &str) {
    let told = told_of_sharing(&file("custom", rule));
    assert_eq!(told, Vec::<String>::new(), "{rule}");
}

fn rule(callers: &str, methods: &str, paths: &str, more: &str) -> String {
    format!("{{ callers = [{callers}], methods = [{methods}], paths = [{paths}] {more} }}")
}

#[test]
fn warns_of_a_rule_that_binds_nothing_to_people() {
    let query = "query = { customer = \"{claims.sub}\" }";
    let plain = |callers: &str| rule(callers, "'GET'", "'/invoices'", "");
    for callers in ["'staff'", "'office'", "'staff', 'office'"] {
        check_unbound("custom", &plain(callers), query);
    }
    for callers in ["'visitor'", "'anyone'", "'staff', 'anyone'", "'backend', 'staff'", "'backend', 'member'"]
    {
        let hint = " in a rule whose callers all have a token: no key and not anyone";
        check_unbound("custom", &plain(callers), &format!("{query}{hint}"));
    }
    for callers in ["'member'", "'session'", "'staff', 'member'"] {
        let hint = " in a rule for callers of kind jwt, or session with a connection, for any other session \
             has no claims; or give the connection subject = \"user\"";
        check_unbound("custom", &plain(callers), &format!("{query}{hint}"));
    }
    check_bound(&plain("'backend'"));
}

#[test]
fn says_what_would_bind_the_rule_by_its_method_and_path() {
    let tenant = "claims = { tenant = \"{connection}\" }";
    let body = "body = { \"/customer\" = \"{claims.sub}\" }";
    let query = "query = { customer = \"{claims.sub}\" }";
    let subscriber = "query = { busca = \"cpf_cnpj\", termo_busca = \"{claims.cpf}\" }";
    let buyer = "query = { contact_email = \"{claims.email}\" }";
    let client = "'/api/v1/integracao/cliente', '/api/v1/integracao/cliente/financeiro'";
    for (provider, methods, paths, advice) in [
        ("custom", "'GET', 'HEAD'", "'/a', '/b'", query),
        ("custom", "'GET'", "'/a', '/b/*'", tenant),
        ("custom", "'GET'", "'/**'", tenant),
        ("custom", "'POST', 'PUT', 'PATCH'", "'/a'", body),
        ("custom", "'POST', 'DELETE'", "'/a'", tenant),
        ("custom", "'GET', 'POST'", "'/a'", tenant),
        ("custom", "'PUT'", "'/a/*'", tenant),
        ("hubsoft", "'GET'", client, subscriber),
        ("hubsoft", "'GET'", "'/api/v1/integracao/atendimento'", query),
        ("guru", "'GET'", "'/transactions'", buyer),
        ("guru", "'GET'", "'/subscriptions'", query),
        ("guru", "'GET'", "'/transactions', '/transactions/*'", tenant),
        ("v8", "'GET'", "'/private-consignment/simulation'", tenant),
        ("v8", "'GET', 'POST'", "'/private-consignment/simulation'", tenant),
    ] {
        check_unbound(provider, &rule("'staff'", methods, paths, ""), advice);
    }
}

/// What the warning says to write is accepted where it says so, and ends the warning.
#[test]
fn says_only_what_the_configuration_accepts() {
    for (provider, methods, paths) in [
        ("custom", "'GET'", "'/a'"),
        ("custom", "'GET'", "'/**'"),
        ("custom", "'POST'", "'/a'"),
        ("custom", "'GET', 'POST'", "'/a'"),
        ("hubsoft", "'GET'", "'/api/v1/integracao/cliente/financeiro'"),
        ("guru", "'GET'", "'/transactions'"),
        ("v8", "'GET'", "'/private-consignment/simulation'"),
    ] {
        let unbound = told_of_sharing(&file(provider, &rule("'staff'", methods, paths, "")));
        let advice = unbound[0].split("write, as fits the API, ").nth(1).unwrap();
        let bound = file(provider, &rule("'staff'", methods, paths, &format!(", {advice}")));
        assert_eq!(told_of_sharing(&bound), Vec::<String>::new(), "{advice}");
    }
}

#[test]
fn is_content_with_a_rule_that_binds() {
    for (methods, path, more) in [
        ("'GET'", "/a", ", claims = { role = 'support' }"),
        ("'GET'", "/a/*", ", claims = { tenant = '{connection}' }"),
        ("'GET'", "/customers/{claims.sub}/**", ""),
        ("'GET'", "/a", ", query = { kind = 'own', customer = '{claims.sub}' }, query_allowed = ['*']"),
        ("'POST'", "/a", ", body = { '/customer/id' = '{claims.sub}' }"),
    ] {
        check_bound(&rule("'staff', 'office'", methods, &format!("'{path}'"), more));
    }
    // A fixed text is all that can be bound for a caller without claims.
    check_bound(&rule("'visitor'", "'GET'", "'/a'", ", query = { visibility = 'public' }"));
}

#[test]
fn is_not_content_with_what_is_the_same_for_everybody() {
    let query = "query = { customer = \"{claims.sub}\" }";
    for more in [
        ", query = { busca = 'cpf_cnpj' }, query_allowed = ['termo_busca']",
        ", query_allowed = ['limit']",
        ", rate_limit = { requests = 30, seconds = 60 }",
    ] {
        check_unbound("custom", &rule("'staff'", "'GET'", "'/a'", more), query);
    }
    for more in [
        ", query = { of = '{connection}' }",
        ", claims = { sub = '{claims.sub}' }",
        ", claims = { sub = ['x', '{claims.sub}'] }",
        ", claims = {}",
    ] {
        check_unbound("custom", &rule("'staff'", "'GET'", "'/a'", more), query);
    }
    let body = "body = { \"/customer\" = \"{claims.sub}\" }";
    check_unbound("custom", &rule("'staff'", "'POST'", "'/a'", ", body = { '/of' = '{connection}' }"), body);
    check_unbound("custom", &rule("'staff'", "'GET'", "'/of/{connection}'", ""), query);
    check_unbound(
        "custom",
        &rule("'visitor'", "'GET'", "'/of/{connection}'", ""),
        &format!("{query}{}", " in a rule whose callers all have a token: no key and not anyone"),
    );
}

#[test]
fn looks_at_every_path() {
    let tenant = "claims = { tenant = \"{connection}\" }";
    let paths = "'/customers/{claims.sub}', '/customers/*'";
    check_unbound("custom", &rule("'staff'", "'GET'", paths, ""), tenant);
    for more in [", claims = { tenant = '{connection}' }", ", query = { of = '{claims.sub}' }"] {
        check_bound(&rule("'staff'", "'GET'", paths, more));
    }
    check_bound(&rule("'staff'", "'GET'", "'/customers/{claims.sub}', '/{claims.sub}/**'", ""));
}

#[test]
fn warns_once_for_each_rule_at_its_line() {
    let one = rule("'staff', 'office'", "'GET'", "'/a', '/b'", "");
    let bound = rule("'staff'", "'GET'", "'/c'", ", claims = { tenant = '{connection}' }");
    let told = told_of_sharing(&file("custom", &[one.as_str(), &bound, &one].join(",\n")));
    let starts: Vec<&str> =
        told.iter().filter_map(|text| text.split_once(": ")).map(|(start, _)| start).collect();
    assert_eq!(starts, ["9 CONNECTIONS.a.rules[0]", "11 CONNECTIONS.a.rules[2]"]);
    let text = "[vars.CALLERS.staff]\nkind = 'jwt'\nissuer = 'https://a.example'\naudience = 'a'\n\
         [vars.CONNECTIONS.guru]\nprovider = 'guru'\n\n[[vars.CONNECTIONS.guru.rules]]\ncallers = ['staff']\n\
         methods = ['GET']\npaths = ['/transactions']\n";
    let told = told_of_sharing(text);
    assert!(told.len() == 1 && told[0].starts_with("8 CONNECTIONS.guru.rules[0]: "), "{told:?}");
}

#[test]
fn is_content_where_each_person_has_a_token_of_their_own() {
    let text = file("hubsoft", &rule("'session'", "'GET'", "'/api/v1/integracao/cliente'", ""));
    assert_eq!(told_of_sharing(&text).len(), 1);
    let people = text.replace("provider = 'hubsoft'", "provider = 'hubsoft', subject = 'user'");
    assert_eq!(told_of_sharing(&people), Vec::<String>::new());
}

#[test]
fn is_content_where_each_caller_s_own_token_is_exchanged() {
    const EXCHANGE: &str =
        "grant = 'token_exchange', token_url = 'https://a.example/token', client_auth = 'none'";
    let unbound = rule("'staff', 'office'", "'GET'", "'/a'", "");
    let shared = file("custom", &unbound);
    assert_eq!(told_of_sharing(&shared).len(), 1);
    assert_eq!(told_of_sharing(&shared.replace("grant = 'static'", EXCHANGE)), Vec::<String>::new());
    let template = |grant: &str| {
        let bound = rule("'backend'", "'GET'", "'/a'", "");
        let fields = format!("provider = 'custom', {grant}, rules = [\n{unbound}\n]");
        format!("{}TEMPLATES.shop = {{ {fields} }}\n", file("custom", &bound))
    };
    assert_eq!(told_of_sharing(&template("grant = 'static'")).len(), 1);
    assert_eq!(told_of_sharing(&template(EXCHANGE)), Vec::<String>::new());
}

#[test]
fn looks_at_templates_of_registered_connections() {
    let text = |more: &str| {
        let rule = rule("'staff', 'office'", "'GET'", "'/a'", more);
        format!("{}TEMPLATES.shop = {{ provider = 'guru', rules = [\n{rule}\n] }}\n", file("custom", &rule))
    };
    let fields = |more: &str| -> Vec<String> {
        let report = report(&sound(&text(more)));
        report.warnings.iter().map(|it| it.field.clone()).filter(|field| field.ends_with(']')).collect()
    };
    let both = ["CONNECTIONS.a.rules[0]", "TEMPLATES.shop.rules[0]"];
    // A Worker that knows no templates ignores theirs.
    let known = if VARIABLES.contains(&"TEMPLATES") { &both[..] } else { &both[..1] };
    assert_eq!(fields(""), known);
    assert_eq!(fields(", claims = { tenant = '{connection}' }"), Vec::<String>::new());
}

#[test]
fn tells_nothing_of_the_rules_values() {
    let text = file("custom", &rule("'staff'", "'GET'", "'/canary'", ", query_allowed = ['canary']"));
    let json = serde_json::to_string(&report(&sound(&text))).unwrap();
    assert!(json.contains("{claims.sub}") && !json.contains("canary"), "{json}");
}
