//! The webhook's part of an event, whichever trigger sent it, read in one pass: method, path, signature and body.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method, Request, Uri};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;

use super::Trigger;
use crate::domain::inbound::signature;

/// A request, with the relevant headers only, and its trigger.
///
/// Its body has the bytes as sent. If the event promises base64 and the body is not base64, the body is taken as it is: the
/// signature decides.
#[derive(serde::Deserialize)]
#[serde(try_from = "Fields")]
pub struct Event {
    pub trigger: Trigger,
    pub request: Request<Vec<u8>>,
    /// When the front end received it, in ms since the epoch; missing in an ALB's event.
    pub received_at: Option<i64>,
}

/// Why an event is not a request.
#[derive(Debug, thiserror::Error)]
enum NoRequest {
    #[error(
        "expected the event of a Function URL, API Gateway or an ALB, found something else; let one of them invoke the function"
    )]
    Trigger,
    #[error("expected an HTTP method in the event, found something else")]
    Method,
}

/// The relevant fields of all triggers' events.
#[derive(serde::Deserialize)]
#[serde(
    rename_all = "camelCase",
    expecting = "the event of a Function URL, API Gateway or an ALB"
)]
struct Fields {
    /// In payload 2.0 it is in the context.
    http_method: Option<String>,
    path: Option<String>,
    /// The path of payload 2.0.
    raw_path: Option<String>,
    #[serde(default)]
    headers: Signatures,
    #[serde(default)]
    multi_value_headers: Signatures,
    request_context: Option<Context>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

/// Distinguishes the triggers: payload 2.0 has `http`, and an ALB `elb`.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    stage: Option<String>,
    http: Option<Http>,
    elb: Option<IgnoredAny>,
    /// Of payload 2.0.
    time_epoch: Option<Value>,
    /// Of payload 1.0.
    request_time_epoch: Option<Value>,
}

#[derive(serde::Deserialize)]
struct Http {
    method: String,
}

impl TryFrom<Fields> for Event {
    type Error = NoRequest;

    fn try_from(fields: Fields) -> Result<Self, NoRequest> {
        let context = fields.request_context.ok_or(NoRequest::Trigger)?;
        let (trigger, method, path) = match (context.http, context.elb, fields.http_method) {
            (Some(http), _, _) => (Trigger::Http, http.method, fields.raw_path),
            (None, Some(_), Some(method)) => (Trigger::Alb, method, fields.path),
            (None, None, Some(method)) => (Trigger::Rest, method, fields.path),
            (None, _, None) => return Err(NoRequest::Trigger),
        };
        let body = fields.body.unwrap_or_default();
        let time = context.time_epoch.or(context.request_time_epoch);
        let decoded = match fields.is_base64_encoded {
            Some(true) => STANDARD.decode(&body).ok(),
            _ => None,
        };
        // REST APIs and ALBs send the last value of each header and, separately, all values.
        let signatures = match fields.multi_value_headers {
            Signatures(none) if none.is_empty() => fields.headers,
            all => all,
        };

        let mut request = Request::new(decoded.unwrap_or_else(|| body.into_bytes()));
        *request.method_mut() =
            Method::from_bytes(method.as_bytes()).map_err(|_| NoRequest::Method)?;
        *request.uri_mut() = uri(&path.unwrap_or_default(), context.stage.as_deref());
        for value in signatures.0 {
            request.headers_mut().append(signature::HEADER, value);
        }
        Ok(Self {
            trigger,
            request,
            received_at: time.and_then(|ms| ms.as_i64()),
        })
    }
}

/// The requested path, without the stage that HTTP APIs put before it.
fn uri(path: &str, stage: Option<&str>) -> Uri {
    let rest = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
    let path = rest.filter(|rest| rest.starts_with('/')).unwrap_or(path);
    if !path.starts_with('/') {
        return Uri::default();
    }
    // Only the root matters, and an invalid URI is not the root.
    path.parse().unwrap_or_else(|_| Uri::from_static("*"))
}

/// All values of the signature's header, whatever its letter case. Other headers are skipped.
#[derive(Default)]
struct Signatures(Vec<HeaderValue>);

impl<'de> Deserialize<'de> for Signatures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Headers)
    }
}

struct Headers;

impl<'de> Visitor<'de> for Headers {
    type Value = Signatures;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("headers")
    }

    fn visit_unit<E>(self) -> Result<Signatures, E> {
        Ok(Signatures::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut headers: A) -> Result<Signatures, A::Error> {
        let mut found = Signatures::default();
        while let Some(IsSignature(is_signature)) = headers.next_key()? {
            if is_signature {
                headers.next_value_seed(Values(&mut found.0))?;
            } else {
                headers.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Whether the name of a header is the signature's.
struct IsSignature(bool);

impl<'de> Deserialize<'de> for IsSignature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = IsSignature;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a header")
            }

            fn visit_str<E>(self, name: &str) -> Result<IsSignature, E> {
                let is_signature = name.eq_ignore_ascii_case(signature::HEADER);
                Ok(IsSignature(is_signature))
            }
        }

        deserializer.deserialize_str(Name)
    }
}

/// Takes one value of a header, or a list of them.
struct Values<'a>(&'a mut Vec<HeaderValue>);

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header's value or a list of them")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        // A value invalid in a header is not a signature, but it counts as present.
        let value = HeaderValue::from_str(value);
        self.0
            .push(value.unwrap_or_else(|_| HeaderValue::from_static("")));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Values(self.0))?.is_some() {}
        Ok(())
    }
}
