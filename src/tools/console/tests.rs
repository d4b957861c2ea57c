//! All pages through the router, with fakes of the sources.

mod fake;
mod pages;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use tower::ServiceExt as _;

use self::fake::Fake;
use super::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const PORT: u16 = 8484;

/// A page by its status, headers and text.
struct Got {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    text: String,
}

async fn got(response: Response<Body>) -> Got {
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    Got {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.into()).unwrap(),
    }
}

/// A request of the console's own pages, with its cookie.
fn request(method: &str, address: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(address)
        .header("host", format!("127.0.0.1:{PORT}"))
        .header("origin", format!("http://127.0.0.1:{PORT}"))
        .header("cookie", format!("bridge-console-{PORT}={TOKEN}"))
}

async fn send(fake: &Fake, request: Request<Body>) -> Got {
    let router = router(fake.app(), Access::new(TOKEN, PORT));
    got(router.oneshot(request).await.unwrap()).await
}

async fn page(fake: &Fake, address: &str) -> Got {
    send(fake, request("GET", address).body(Body::empty()).unwrap()).await
}

async fn form(fake: &Fake, address: &str, fields: &[(&str, &str)]) -> Got {
    let body = text::query(fields);
    let request = request("POST", address)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(body));
    send(fake, request.unwrap()).await
}

#[tokio::test]
async fn every_answer_has_the_policies() {
    let fake = Fake::new();
    for address in [
        "/",
        "/console.css",
        "/console.js",
        "/nowhere",
        "/runs/x.json",
    ] {
        let got = page(&fake, address).await;
        let header = |name: &str| got.headers[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"));
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("cache-control"), "no-store");
    }
    // Nothing in the pages that the policy would refuse.
    for address in ["/", "/publish", "/routes", "/letters", "/queues"] {
        let text = page(&fake, address).await.text;
        assert!(
            !text.contains(" style=") && !text.contains(" onclick"),
            "{address}"
        );
    }
}

#[tokio::test]
async fn a_stranger_sees_nothing() {
    let fake = Fake::new();
    fake.publish("demo", "in", "hush");
    let ask = async |edit: fn(axum::http::request::Builder) -> axum::http::request::Builder| {
        let builder = edit(Request::builder().uri("/"));
        send(&fake, builder.body(Body::empty()).unwrap()).await
    };
    let no_cookie = ask(|b| b.header("host", "127.0.0.1:8484")).await;
    assert_eq!(no_cookie.status, StatusCode::UNAUTHORIZED);
    let rebound = ask(|b| {
        b.header("host", "evil.example:8484")
            .header("cookie", format!("bridge-console-8484={TOKEN}"))
    })
    .await;
    assert_eq!(rebound.status, StatusCode::MISDIRECTED_REQUEST);
    for got in [&no_cookie, &rebound] {
        assert!(!got.text.contains("hush"));
    }
    let entered = ask(|b| {
        b.uri(format!("/?token={TOKEN}&q=a"))
            .header("host", "127.0.0.1:8484")
    })
    .await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER);
    assert_eq!(entered.headers["location"], "/?q=a");
    let cookie = entered.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
}

#[tokio::test]
async fn a_form_of_another_site_changes_nothing() {
    let fake = Fake::new();
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let mut request = request("POST", "/publish")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from("cache=demo&topic=in&text=x"))
            .unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(send(&fake, request).await.status, StatusCode::FORBIDDEN);
    }
    let mut request = request("POST", "/publish").body(Body::empty()).unwrap();
    request.headers_mut().remove("origin");
    assert_eq!(send(&fake, request).await.status, StatusCode::FORBIDDEN);
    assert_eq!(fake.calls(), [""; 0]);
}

#[tokio::test]
async fn a_console_that_reads_refuses_all_changes() {
    let fake = Fake::new().read_only();
    let arn = "arn:aws:states:us-east-1:123456789012:execution:M:n";
    for (address, fields) in [
        (
            "/publish",
            vec![("cache", "demo"), ("topic", "in"), ("text", "x")],
        ),
        ("/runs/0123456789abcdef/deliver", vec![]),
        ("/letters/back", vec![("queue", "messages")]),
        ("/executions/stop", vec![("arn", arn)]),
        ("/executions/redrive", vec![("arn", arn)]),
        ("/tasks/answer", vec![("token", "t"), ("output", "1")]),
    ] {
        let got = form(&fake, address, &fields).await;
        assert_eq!(got.status, StatusCode::FORBIDDEN, "{address}");
        assert!(
            got.text.contains("--allow-changes"),
            "{address}: {}",
            got.text
        );
    }
    assert_eq!(fake.calls(), [""; 0]);
}
