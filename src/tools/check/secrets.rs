//! Secrets that the template or the stack exposes.

use serde_json::Value;

use super::code::Code;
use super::findings::Findings;
use super::functions::{Function, Variable, variables};
use super::template::Template;
use crate::tools::template::{below, text};

/// The bridge's variables with the name or ARN of a secret.
const IDS: [&str; 2] = ["SIGNING_SECRET_ID", "MOMENTO_SECRET_ID"];

/// Suffixes of names whose values are secrets.
const SECRET_NAMES: [&str; 10] = [
    "secret",
    "apikey",
    "password",
    "passphrase",
    "token",
    "authtoken",
    "privatekey",
    "signingkey",
    "secretkey",
    "accesskey",
];

pub fn check(template: &Template, functions: &[Function], findings: &mut Findings) {
    for (id, parameter) in template.value()["Parameters"]
        .as_object()
        .into_iter()
        .flatten()
    {
        of_parameter(template, id, parameter, findings);
    }
    for function in functions {
        for id in IDS {
            if let Some(variable) = function.variables.get(id) {
                of_id(template, function, id, variable, findings);
            }
        }
    }
    let kinds = ["AWS::Serverless::Function", "AWS::Lambda::Function"];
    for function in template
        .resources()
        .filter(|resource| kinds.contains(&resource.kind()))
    {
        for (name, variable) in variables(template, function)
            .iter()
            .filter(|(name, _)| !IDS.contains(&name.as_str()))
        {
            let written = template.value().pointer(&variable.pointer).and_then(text);
            if written.is_some_and(|text| is_secret(name, &text)) {
                plain(
                    template,
                    &variable.pointer,
                    &format!("variable `{name}` of function `{}`", function.id),
                    findings,
                );
            }
        }
    }
    for secret in template.of_type("AWS::SecretsManager::Secret") {
        let at = secret.property("SecretString");
        if template
            .value()
            .pointer(&at)
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty() && !text.starts_with("{{resolve:"))
        {
            plain(
                template,
                &at,
                &format!("`SecretString` of `{}`", secret.id),
                findings,
            );
        }
    }
}

/// The finding never repeats the secret.
fn plain(template: &Template, pointer: &str, what: &str, findings: &mut Findings) {
    let text = format!(
        "{what}: expected the name or ARN of a secret of Secrets Manager, found a value that looks like the secret itself; store it there, and change it, since this file exposed it"
    );
    findings.add(template.source, pointer, Code::SecretInPlain, text);
}

fn of_parameter(template: &Template, id: &str, parameter: &Value, findings: &mut Findings) {
    if parameter["Type"] != "String" {
        return;
    }
    let at = below("/Parameters", id);
    let default = parameter["Default"].as_str().unwrap_or_default();
    if is_secret(id, default) {
        plain(
            template,
            &format!("{at}/Default"),
            &format!("default of parameter `{id}`"),
            findings,
        );
    }
    let hidden = text(&parameter["NoEcho"]).as_deref() == Some("true");
    if names_a_secret(id) && !hidden && !default.starts_with("arn:") {
        let text = format!(
            "parameter `{id}`: expected `NoEcho: true`, since the name is that of a secret, found none: the console shows the value to all readers of the stack; add it, or better take the ARN of a secret"
        );
        findings.add(template.source, &at, Code::SecretShown, text);
    }
}

fn of_id(
    template: &Template,
    function: &Function,
    name: &str,
    variable: &Variable,
    findings: &mut Findings,
) {
    let what = format!("variable `{name}` of function `{}`", function.resource.id);
    let written = template
        .value()
        .pointer(&variable.pointer)
        .unwrap_or(&Value::Null);
    let value = variable.text.as_deref().unwrap_or_default();
    let dynamic =
        value.contains("{{resolve:secretsmanager:") || value.contains("{{resolve:ssm-secure:");
    if dynamic || super::template::is_hidden_parameter(template, written) {
        let text = format!(
            "{what}: expected the name or ARN of a secret of Secrets Manager, found a value that the function's environment shows in plain to all readers of the function; give the secret's ARN"
        );
        findings.add(
            template.source,
            &variable.pointer,
            Code::SecretInPlain,
            text,
        );
    } else if looks_secret(value) {
        plain(template, &variable.pointer, &what, findings);
    }
}

fn names_a_secret(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|end| plain.ends_with(end))
}

/// Whether a value has the form of a known secret, or a secret's name and random characters.
fn is_secret(name: &str, value: &str) -> bool {
    let begins = value.starts_with("eyJ") && value.len() >= 40 // base64 of a JSON object: keys of Momento, JWTs
        || value.starts_with("-----BEGIN ")
        || (value.starts_with("AKIA") && value.len() == 20 && value.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()));
    begins || (names_a_secret(name) && is_random(value))
}

/// Whether a value that should be a name or an ARN looks like a secret.
pub fn looks_secret(value: &str) -> bool {
    is_secret("", value) || (!value.starts_with("arn:") && is_random(value))
}

/// Whether a value is long and mixed, unlike a path or a sentence.
fn is_random(value: &str) -> bool {
    const LEAST: usize = 20;
    let count = |fits: fn(&u8) -> bool| value.bytes().filter(fits).count();
    let plain = value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"+=_-".contains(&b));
    let digits = count(u8::is_ascii_digit);
    let mixed =
        count(u8::is_ascii_uppercase) > 2 && count(u8::is_ascii_lowercase) > 2 && digits > 2;
    let hex = value.len() >= 32 && value.bytes().all(|b| b.is_ascii_hexdigit()) && digits > 2;
    plain && value.len() >= LEAST && (mixed || hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_from_names() {
        for (name, value, secret) in [
            ("", &format!("eyJ{}", "hbGciOiJI".repeat(6)), true),
            ("ApiKey", &"fK3s9QmZ1xT7pLw2VbN8".to_owned(), true),
            ("SIGNING_SECRET", &"0123456789abcdef".repeat(4), true),
            ("Key", &"fK3s9QmZ1xT7pLw2VbN8".to_owned(), false),
            ("ApiKey", &"prod/momento/api-key-2".to_owned(), false),
            ("ApiKey", &"workflow-bridge-secret-123".to_owned(), false),
            (
                "ApiKey",
                &"arn:aws:secretsmanager:us-east-1:123456789012:secret:Abc-123456".to_owned(),
                false,
            ),
            ("ApiKey", &String::new(), false),
        ] {
            assert_eq!(is_secret(name, value), secret, "{name} {value}");
        }
    }

    #[test]
    fn names_of_secrets_are_known() {
        for name in ["MomentoApiKey", "DbPassword", "SIGNING_SECRET", "AuthToken"] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in [
            "SigningSecretArn",
            "SecretName",
            "TokenValidityMinutes",
            "CacheName",
            "KeyId",
        ] {
            assert!(!names_a_secret(name), "{name}");
        }
    }
}
