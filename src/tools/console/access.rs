//! Who may use the console: this machine's browser with the token, on the console's own pages.
//!
//! Other users of the machine and other sites in the browser can reach the port. They lack the token; a page of another site
//! that is called `127.0.0.1` by its own name server has another `Host`; a form of another site has another `Origin`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The token and the port of a console.
#[derive(Clone)]
pub struct Access {
    token: Arc<str>,
    port: u16,
}

/// Everything from the console itself: no other site, no inline script and no inline style.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    Host(String),
    Token,
    Method(Method),
    Origin(String),
    Site(String),
}

/// A request with the right token.
#[derive(Debug, PartialEq, Eq)]
enum Pass {
    /// By its cookie.
    In,
    /// By its address: it gets the cookie, and this address without the token.
    Exchange(String),
}

impl Access {
    pub fn new(token: &str, port: u16) -> Self {
        Self {
            token: token.into(),
            port,
        }
    }

    /// The name of the cookie. Cookies do not know ports, so each console has a name of its own.
    fn cookie(&self) -> String {
        format!("bridge-console-{}", self.port)
    }

    fn is_token(&self, found: &str) -> bool {
        let (one, two) = (self.token.as_bytes(), found.as_bytes());
        let differing = one.iter().zip(two).fold(0, |sum, (a, b)| sum | (a ^ b));
        one.len() == two.len() && differing == 0
    }

    /// Decides on a request by its head alone.
    fn decide(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Pass, Refused> {
        let text = |name| headers.get(name).map(HeaderValue::to_str);
        let host = match text(header::HOST) {
            Some(Ok(host)) => host.to_owned(),
            Some(Err(_)) => return Err(Refused::Host("other bytes".to_owned())),
            // HTTP/2 has it in the address.
            None => uri.authority().map(ToString::to_string).unwrap_or_default(),
        };
        if !self.is_own(&host) {
            return Err(Refused::Host(host));
        }
        if method != Method::GET && method != Method::HEAD && method != Method::POST {
            return Err(Refused::Method(method.clone()));
        }
        let given = uri.query().and_then(|query| query_without_token(query).0);
        let pass = match given {
            Some(token) if self.is_token(&token) && method == Method::GET => {
                Pass::Exchange(without_token(uri))
            }
            _ => {
                let cookies = headers.get_all(header::COOKIE).iter();
                let cookies = cookies.filter_map(|value| value.to_str().ok());
                let mut pairs = cookies.flat_map(|line| line.split(';'));
                let name = self.cookie();
                let is_ours = |pair: &str| {
                    let pair = pair.trim().split_once('=');
                    pair.is_some_and(|(of, token)| of == name && self.is_token(token))
                };
                if !pairs.any(is_ours) {
                    return Err(Refused::Token);
                }
                Pass::In
            }
        };
        if method == Method::POST {
            let origin = match text(header::ORIGIN) {
                Some(Ok(origin)) => origin,
                _ => return Err(Refused::Origin(String::new())),
            };
            if !origin
                .strip_prefix("http://")
                .is_some_and(|host| self.is_own(host))
            {
                return Err(Refused::Origin(origin.to_owned()));
            }
            let site = headers.get("sec-fetch-site");
            let site = site.map(|site| site.to_str().unwrap_or("other bytes"));
            if let Some(site) = site.filter(|site| !["same-origin", "none"].contains(site)) {
                return Err(Refused::Site(site.to_owned()));
            }
        }
        Ok(pass)
    }

    /// Whether it is a loopback name or address with the console's port.
    fn is_own(&self, host: &str) -> bool {
        let Some((name, port)) = host.rsplit_once(':') else {
            return false;
        };
        let known = matches!(name, "127.0.0.1" | "localhost" | "[::1]");
        known && port.parse() == Ok(self.port)
    }
}

/// The token of a query, if any, and the rest of the query.
fn query_without_token(query: &str) -> (Option<String>, String) {
    let (mut token, mut rest) = (None, Vec::new());
    for pair in query.split('&') {
        match pair.strip_prefix("token=") {
            Some(value) => token = Some(value.to_owned()),
            None => rest.push(pair),
        }
    }
    (token, rest.join("&"))
}

fn without_token(uri: &Uri) -> String {
    // Two slashes would begin the address of another site.
    let path = format!("/{}", uri.path().trim_start_matches('/'));
    match query_without_token(uri.query().unwrap_or_default()).1 {
        rest if rest.is_empty() => path,
        rest => format!("{path}?{rest}"),
    }
}

/// Lets requests of the console's own pages through, and sets the headers of every answer.
pub async fn guard(State(access): State<Access>, request: Request, next: Next) -> Response {
    let decided = access.decide(request.method(), request.uri(), request.headers());
    let mut response = match decided {
        Ok(Pass::In) => next.run(request).await,
        Ok(Pass::Exchange(to)) => exchange(&access, &to),
        Err(refused) => refused.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: browsers would then send the `Origin` of a form as `null`.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn exchange(access: &Access, to: &str) -> Response {
    let (name, token) = (access.cookie(), &access.token);
    // The cookie outlives the browser, since the token outlives a restart.
    let cookie = format!("{name}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age=2592000");
    let headers = [(header::LOCATION, to), (header::SET_COOKIE, &cookie)];
    (StatusCode::SEE_OTHER, headers, Body::empty()).into_response()
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::Host(host) => (
                StatusCode::MISDIRECTED_REQUEST,
                format!(
                    "expected this console's own address, `127.0.0.1` or `localhost` with its port, found the host {host:?}"
                ),
            ),
            Self::Token => (
                StatusCode::UNAUTHORIZED,
                "expected the console's token, found none or another: open the whole address, with `?token=`, that the terminal of `bridge local` or `bridge console` shows".to_owned(),
            ),
            Self::Method(method) => (
                StatusCode::METHOD_NOT_ALLOWED,
                format!("expected GET or POST, found {method}"),
            ),
            Self::Origin(origin) if origin.is_empty() => (
                StatusCode::FORBIDDEN,
                "expected a form of this console, found a request without `Origin`; for programs there are the commands of `bridge`".to_owned(),
            ),
            Self::Origin(origin) => (
                StatusCode::FORBIDDEN,
                format!("expected a form of this console, found one of {origin:?}"),
            ),
            Self::Site(site) => (
                StatusCode::FORBIDDEN,
                format!("expected a form of this console, found `Sec-Fetch-Site: {site}`"),
            ),
        };
        (status, text + "\n").into_response()
    }
}

#[cfg(test)]
mod tests;
