//! The Topics server of a stack: its port, its caches and its webhooks.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};

use crate::domain::inbound::routes::Routes;
use crate::tools::local::topics::{Limits, TopicsOptions, TopicsServer, Webhook, WebhookError};

/// The port of the Topics server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicsPort {
    /// A free one.
    Free,
    /// This one, or a free one when it is taken.
    Preferred(u16),
    Exact(u16),
}

impl TopicsPort {
    /// The port of the local mode of Momento's SDKs (`forMomentoLocal`).
    pub const DEFAULT: Self = Self::Preferred(8080);
}

/// Starts the Topics server on `port`, or on a free one where that is allowed.
pub(super) async fn start(
    port: TopicsPort,
    api_key: &str,
    caches: BTreeSet<String>,
    limits: Limits,
) -> Result<TopicsServer> {
    let on = |port: u16| {
        TopicsServer::start(TopicsOptions {
            listen: (Ipv4Addr::LOCALHOST, port).into(),
            keys: [(api_key.to_owned(), None)].into(),
            caches: Some(caches.clone()),
            limits: limits.clone(),
            ..TopicsOptions::default()
        })
    };
    let (TopicsPort::Preferred(wanted) | TopicsPort::Exact(wanted)) = port else {
        return on(0).await.context("cannot start the local Topics server");
    };
    match (on(wanted).await, port) {
        (Err(error), TopicsPort::Preferred(_)) if error.kind() == ErrorKind::AddrInUse => {
            on(0).await.context("cannot start the local Topics server")
        }
        (started, _) => started.with_context(|| format!("cannot start the local Topics server on port {wanted}; is it taken? `--topics-port` names another, without it a free one is used")),
    }
}

/// Creates the caches named in the routes, except patterns and placeholders.
pub(super) fn create_caches(topics: &TopicsServer, routes: &Routes) -> Result<()> {
    for route in routes.iter() {
        let reply = route.reply.as_ref();
        let reply = reply.map(|reply| reply.cache.as_glob(&route.from));
        for cache in [Some(&route.from.cache), reply.as_ref()]
            .into_iter()
            .flatten()
        {
            if cache.is_exact() {
                topics.create_cache(cache.as_str())?;
            }
        }
    }
    Ok(())
}

/// Creates one webhook per topic of the routes: the webhook function finds all routes of a message. A pattern covered by
/// another one would deliver twice.
pub(super) fn put_webhooks(
    topics: &TopicsServer,
    routes: &Routes,
    url: &str,
    secret: &str,
) -> Result<(), WebhookError> {
    let enabled = || {
        let enabled = routes.iter().filter(|route| route.enabled);
        enabled.map(|route| &route.from)
    };
    for from in enabled() {
        let (cache, topic) = (from.cache.as_str(), from.topic.as_str());
        if enabled().any(|other| other != from && other.covers(cache, topic)) {
            continue;
        }
        let webhook = Webhook {
            cache: cache.to_owned(),
            topic: topic.to_owned(),
            url: url.to_owned(),
            secret: secret.to_owned(),
            host: None,
        };
        topics.put_webhook(&format!("{cache}/{topic}"), webhook)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::tools::local::topics::STABLE_API_KEY;

    async fn on(port: TopicsPort) -> Result<TopicsServer> {
        let caches = BTreeSet::from(["demo".to_owned()]);
        start(port, STABLE_API_KEY, caches, Limits::default()).await
    }

    #[tokio::test]
    async fn a_taken_port_is_replaced_unless_it_is_exact() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = on(TopicsPort::Exact(port)).await.err().unwrap();
        assert!(format!("{error:#}").contains("`--topics-port` names another"));
        let server = on(TopicsPort::Preferred(port)).await.unwrap();
        assert_ne!(server.port(), port);
        server.shutdown().await;
        drop(taken);
        let server = on(TopicsPort::Preferred(port)).await.unwrap();
        assert_eq!(server.port(), port);
        let second = on(TopicsPort::Preferred(port)).await.unwrap();
        assert_ne!(second.port(), port);
    }

    #[tokio::test]
    async fn the_caches_of_the_routes_exist() {
        let route = |name: &str, cache: &str, reply: serde_json::Value| {
            serde_json::json!({
                "name": name, "from": {"cache": cache, "topic": "in"},
                "to": {"stateMachine": "arn:aws:states:eu-west-1:123456789012:stateMachine:M"},
                "reply": reply,
            })
        };
        let replies = serde_json::json!({"cache": "replies", "topics": ["out"]});
        let own = serde_json::json!({"cache": "{cache}", "topics": ["out"]});
        let unknown = serde_json::json!({"cache": "of-{token_id}", "topics": ["out"]});
        let routes = serde_json::json!({"routes": [
            route("a", "chat", replies), route("b", "orders-*", own.clone()), route("c", "audit", own),
            route("d", "chat", unknown),
        ]});
        let routes = Routes::parse(&routes.to_string()).unwrap();
        let server = on(TopicsPort::Free).await.unwrap();
        create_caches(&server, &routes).unwrap();
        assert_eq!(server.caches(), ["audit", "chat", "demo", "replies"]);
    }
}
