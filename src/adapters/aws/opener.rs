//! Connections opened ahead of the first call.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http::Uri;
use http_body_util::BodyExt as _;

/// Opens the connection for a request by an unsigned GET of `/`, and drops the request.
#[derive(Debug)]
pub struct Opener(pub SharedHttpClient);

impl HttpClient for Opener {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(OpenOnly(self.0.http_connector(settings, components)))
    }
}

#[derive(Debug)]
struct OpenOnly(SharedHttpConnector);

impl HttpConnector for OpenOnly {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let opened = root(request.uri()).map(|request| self.0.call(request));
        HttpConnectorFuture::new(async move {
            if let Some(response) = opened {
                // The connection returns to the pool once the response is read to its end.
                let _ = response.await?.into_body().collect().await;
            }
            Err(ConnectorError::other("a connection only".into(), None))
        })
    }
}

fn root(uri: &str) -> Option<HttpRequest> {
    let mut parts = uri.parse::<Uri>().ok()?.into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    let mut request = http::Request::new(SdkBody::empty());
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    request.try_into().ok()
}
