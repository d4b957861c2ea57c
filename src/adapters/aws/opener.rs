//! Connections opened ahead of the first call.

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http::Uri;

tokio::task_local! {
    static OPENING: ();
}

/// Runs calls that only open a connection: each sends an unsigned GET of `/` in place of its request, and fails.
pub async fn opening<T>(calls: impl Future<Output = T>) -> T {
    OPENING.scope((), calls).await
}

pub(super) fn is_opening() -> bool {
    OPENING.try_with(|()| ()).is_ok()
}

/// The request that opens the connection for another.
pub(super) fn root(uri: &str) -> Option<HttpRequest> {
    let mut parts = uri.parse::<Uri>().ok()?.into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    let mut request = http::Request::new(SdkBody::empty());
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    request.try_into().ok()
}
