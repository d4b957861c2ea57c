//! Cross-origin requests: pages of this machine may call the server, pages of other sites may not.
//!
//! Every page in a browser on this machine can reach the port. `Origin` names the page's site, and a page cannot change it.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};

use super::http::HttpRefusal;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT");
/// The result of a gRPC-web call without a message.
const EXPOSED: HeaderValue = HeaderValue::from_static("grpc-status, grpc-message, err");

/// Opens the app to the pages of this machine.
pub(super) fn guard(app: Router) -> Router {
    app.layer(from_fn(cross_origin))
}

/// Cross-origin resource sharing, by the Fetch standard.
async fn cross_origin(request: Request, next: Next) -> Response {
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return next.run(request).await;
    };
    if !is_local(&origin) {
        let text = format!(
            "expected a page of this machine, such as `http://localhost:3000`, found the origin {origin:?}; the local stack answers no other pages"
        );
        return HttpRefusal::new(StatusCode::FORBIDDEN, text).into_response();
    }
    let asked = request
        .headers()
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .cloned();
    let mut response = match *request.method() {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    allow(response.headers_mut(), origin, asked);
    response
}

/// Allows the page to send the request with the headers it asked for, and to read the response.
fn allow(headers: &mut HeaderMap, origin: HeaderValue, asked: Option<HeaderValue>) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(asked) = asked {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
    }
}

/// Whether the page comes from this machine's loopback names and addresses.
fn is_local(origin: &HeaderValue) -> bool {
    let uri = origin
        .to_str()
        .ok()
        .and_then(|text| text.parse::<Uri>().ok());
    let Some(host) = uri.as_ref().and_then(Uri::host) else {
        return false;
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_origins_are_local() {
        let local = |origin| is_local(&HeaderValue::from_static(origin));
        for origin in [
            "http://localhost:3000",
            "https://localhost",
            "http://app.localhost:5173",
            "http://127.0.0.1:8080",
            "http://127.1.2.3",
            "http://[::1]:3000",
        ] {
            assert!(local(origin), "{origin}");
        }
        for origin in [
            "https://example.com",
            "http://localhost.example.com",
            "http://notlocalhost",
            "http://10.0.0.1",
            "http://[::2]",
            "null",
            "",
            "file://",
        ] {
            assert!(!local(origin), "{origin}");
        }
    }
}
