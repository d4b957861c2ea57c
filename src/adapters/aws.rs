//! AWS's JSON protocol, which all services speak that the functions call: one signed POST an operation.
//!
//! The SDKs do the same, and much more that is switched off here: retries ([`crate::retry`] repeats calls, since it knows the
//! deadline and reads what a 200 may hide), profiles, waiters, stores of settings. What they cost was more than half of a
//! message: docs/performance.md has the figures.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

pub mod credentials;
mod endpoint;
pub mod fault;
pub mod services;
pub mod signature;

use super::https::{self, Pool, RootsError};
use crate::config::environment;
use crate::ports::Fault;
use credentials::Source;
pub use endpoint::Endpoints;
use services::Service;
use signature::{Signable, Signer};

/// Bound of a connection's set-up.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// The trace of Lambda's own, of the invocation under way.
const LAMBDA_TRACE: &str = "_X_AMZN_TRACE_ID";

const TRACE: HeaderName = HeaderName::from_static("x-amzn-trace-id");
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Room for the headers of a call, and for the length that is added when it is sent.
const HEADERS: usize = 12;

const NAME: &str = concat!("workflow-bridge/", env!("CARGO_PKG_VERSION"));

/// What all clients of a process share.
#[derive(Clone, Debug)]
pub struct Aws {
    pub region: Option<String>,
    pub credentials: Source,
    pub endpoints: Endpoints,
    pub pool: Pool,
}

impl Aws {
    /// As Lambda tells it to a function in variables; nothing else is looked for, no profile, no instance, no container.
    ///
    /// # Errors
    ///
    /// When a variable names trusted roots that cannot be read.
    pub fn of_function() -> Result<Self, RootsError> {
        let region = ["AWS_REGION", "AWS_DEFAULT_REGION"];
        Ok(Self {
            region: region.into_iter().find_map(environment),
            credentials: Source::variables(&environment),
            endpoints: Endpoints::variables(&environment),
            pool: Pool::new(https::roots(&environment)?, CONNECT_WITHIN),
        })
    }
}

/// One service.
#[derive(Debug)]
pub struct Client {
    service: &'static Service,
    address: Result<Address, Fault>,
    credentials: Source,
    signer: Signer,
    pool: Pool,
    /// A function's calls belong to the trace of its invocation: Lambda finds loops by it.
    in_lambda: bool,
}

#[derive(Debug)]
struct Address {
    uri: http::Uri,
    host: HeaderValue,
}

/// An error that the service answered, with all that it said.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub fault: Fault,
    /// Empty where there was no answer.
    pub body: Bytes,
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        refusal.fault
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let body = Bytes::new();
        Self { fault, body }
    }
}

impl Client {
    pub fn new(aws: &Aws, service: &'static Service) -> Self {
        let region = aws.region.as_deref();
        Self {
            service,
            address: address(&aws.endpoints, service, region),
            credentials: aws.credentials.clone(),
            signer: Signer::new(region.unwrap_or_default(), service.name),
            pool: aws.pool.clone(),
            in_lambda: environment("AWS_LAMBDA_FUNCTION_NAME").is_some(),
        }
    }

    /// Calls an operation whose answer says nothing of interest.
    ///
    /// # Errors
    ///
    /// When it did not succeed.
    pub async fn tell(&self, operation: &str, input: &impl Serialize) -> Result<(), Refusal> {
        self.call::<IgnoredAny>(operation, input).await.map(drop)
    }

    /// Calls an operation.
    ///
    /// # Errors
    ///
    /// When it did not succeed, or its answer is not what it should be.
    pub async fn call<T: DeserializeOwned>(
        &self,
        operation: &str,
        input: &impl Serialize,
    ) -> Result<T, Refusal> {
        let trace = std::env::var(LAMBDA_TRACE).ok().filter(|_| self.in_lambda);
        let body = serde_json::to_vec(input).map_err(|_| unbuilt())?;
        self.call_in(trace.as_deref(), operation, body).await
    }

    /// Calls an operation, with the body as it is sent, as a part of a trace: the header `X-Amzn-Trace-Id`.
    ///
    /// # Errors
    ///
    /// As [`Self::call`].
    pub async fn call_in<T: DeserializeOwned>(
        &self,
        trace: Option<&str>,
        operation: &str,
        body: Vec<u8>,
    ) -> Result<T, Refusal> {
        let request = self.request(trace, operation, body).await?;
        let response = self.pool.call(request).await?;
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            let fault = fault::answered(head.status.as_u16(), &head.headers, &body);
            return Err(Refusal { fault, body });
        }
        // ChangeMessageVisibility, for one, answers with nothing.
        let text = if body.is_empty() { b"{}" } else { &*body };
        serde_json::from_slice(text).map_err(|_| {
            let text = format!("the answer of {operation} could not be read");
            Fault::transient("BadResponse", text).into()
        })
    }

    /// Opens a connection, for the first call to come: asks for nothing that the service knows, without a signature. The
    /// answer, which is a refusal, is of no interest.
    pub async fn connect(&self) {
        if let Ok(address) = &self.address {
            let mut request = Request::new(Full::default());
            *request.uri_mut() = address.uri.clone();
            let _ = self.pool.call(request).await;
        }
    }

    async fn request(
        &self,
        trace: Option<&str>,
        operation: &str,
        body: Vec<u8>,
    ) -> Result<Request<Full<Bytes>>, Fault> {
        let address = self.address.as_ref().map_err(Clone::clone)?;
        let credentials = self.credentials.get().await?;
        let time = signature::time(SystemTime::now());
        let target = [self.service.target, ".", operation].concat();
        let host = address.host.to_str().map_err(|_| unbuilt())?;
        let mut signed = Vec::with_capacity(5);
        signed.extend([
            ("content-type", self.service.content_type),
            ("host", host),
            ("x-amz-date", &*time),
        ]);
        let token = credentials.session_token.as_deref();
        signed.extend(token.map(|token| ("x-amz-security-token", token)));
        signed.push(("x-amz-target", &*target));
        let authorization = self.signer.authorization(
            &credentials,
            &time,
            Signable {
                method: "POST",
                path: address.uri.path(),
                query: "",
                headers: &signed,
                payload: &signature::sha256(&body),
            },
        );
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| unbuilt());
        let mut headers = HeaderMap::with_capacity(HEADERS);
        let content_type = HeaderValue::from_static(self.service.content_type);
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(HOST, address.host.clone());
        headers.insert(DATE, value(&time)?);
        headers.insert(TARGET, value(&target)?);
        headers.insert(AUTHORIZATION, value(&authorization)?);
        headers.insert(USER_AGENT, HeaderValue::from_static(NAME));
        if let Some(token) = token {
            headers.insert(TOKEN, value(token)?);
        }
        if let Some(trace) = trace {
            headers.insert(TRACE, value(trace)?);
        }
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = address.uri.clone();
        *request.headers_mut() = headers;
        Ok(request)
    }
}

fn address(
    endpoints: &Endpoints,
    service: &Service,
    region: Option<&str>,
) -> Result<Address, Fault> {
    let url = endpoints.of(service, region)?;
    let wrong = || {
        let text = format!("expected the URL of an endpoint, found `{url}`");
        Fault::permanent("BadRequest", text)
    };
    let uri: http::Uri = url.parse().map_err(|_| wrong())?;
    let authority = uri.authority().ok_or_else(wrong)?;
    let usual = match uri.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        _ => return Err(wrong()),
    };
    let host = match authority.port_u16() {
        Some(port) if port != usual => format!("{}:{port}", authority.host()),
        _ => authority.host().to_owned(),
    };
    let host = HeaderValue::from_str(&host).map_err(|_| wrong())?;
    Ok(Address { uri, host })
}

/// A request that HTTP has no words for.
pub(super) fn unbuilt() -> Fault {
    Fault::permanent("BadRequest", "the request could not be built")
}

#[cfg(test)]
mod tests;
