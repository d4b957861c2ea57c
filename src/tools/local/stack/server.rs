//! The Topics server of a stack: its port, its caches and its webhooks.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};

use crate::domain::inbound::routes::Routes;
use crate::tools::local::port::Port;
use crate::tools::local::topics::{Limits, TopicsOptions, TopicsServer, Webhook, WebhookError};

/// Starts the Topics server on `port`, or on a free one where that is allowed.
pub(super) async fn start(
    port: Port,
    api_key: &str,
    caches: BTreeSet<String>,
    limits: Limits,
) -> Result<TopicsServer> {
    let on = async |port: u16| {
        TopicsServer::start(TopicsOptions {
            listen: (Ipv4Addr::LOCALHOST, port).into(),
            keys: [(api_key.to_owned(), None)].into(),
            caches: Some(caches.clone()),
            limits: limits.clone(),
            ..TopicsOptions::default()
        })
        .await
    };
    port.listen(on).await.with_context(|| match port {
        Port::Free => "cannot start the local Topics server".to_owned(),
        Port::Preferred(wanted) | Port::Exact(wanted) => format!("cannot start the local Topics server on port {wanted}; is it taken? `--topics-port` names another, without it a free one is used"),
    })
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

/// The webhooks of the routes, which come and go with them.
pub(super) struct RouteWebhooks {
    url: String,
    secret: String,
    /// The names of those put so far.
    names: BTreeSet<String>,
}

impl RouteWebhooks {
    pub fn new(url: &str, secret: &str) -> Self {
        Self {
            url: url.to_owned(),
            secret: secret.to_owned(),
            names: BTreeSet::new(),
        }
    }

    /// Puts a webhook for each new topic of the routes, and deletes those of topics that are gone: the webhook function finds
    /// all routes of a message. A pattern covered by another one would deliver twice.
    pub fn follow(&mut self, topics: &TopicsServer, routes: &Routes) -> Result<(), WebhookError> {
        let enabled = || {
            let enabled = routes.iter().filter(|route| route.enabled);
            enabled.map(|route| &route.from)
        };
        let mut wanted = BTreeSet::new();
        for from in enabled() {
            let (cache, topic) = (from.cache.as_str(), from.topic.as_str());
            if enabled().any(|other| other != from && other.covers(cache, topic)) {
                continue;
            }
            let name = format!("{cache}/{topic}");
            if !self.names.contains(&name) {
                let webhook = Webhook {
                    cache: cache.to_owned(),
                    topic: topic.to_owned(),
                    url: self.url.clone(),
                    secret: self.secret.clone(),
                    host: None,
                };
                topics.put_webhook(&name, webhook)?;
                self.names.insert(name.clone());
            }
            wanted.insert(name);
        }
        // Last: a message is delivered twice rather than not at all.
        for gone in self.names.difference(&wanted) {
            topics.delete_webhook(gone);
        }
        self.names = wanted;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::tools::local::topics::STABLE_API_KEY;

    async fn on(port: Port) -> Result<TopicsServer> {
        let caches = BTreeSet::from(["demo".to_owned()]);
        start(port, STABLE_API_KEY, caches, Limits::default()).await
    }

    #[tokio::test]
    async fn a_taken_port_is_replaced_unless_it_is_exact() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = on(Port::Exact(port)).await.err().unwrap();
        assert!(format!("{error:#}").contains("`--topics-port` names another"));
        let server = on(Port::Preferred(port)).await.unwrap();
        assert_ne!(server.port(), port);
        server.shutdown().await;
        drop(taken);
        let server = on(Port::Preferred(port)).await.unwrap();
        assert_eq!(server.port(), port);
        let second = on(Port::Preferred(port)).await.unwrap();
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
        let server = on(Port::Free).await.unwrap();
        create_caches(&server, &routes).unwrap();
        assert_eq!(server.caches(), ["audit", "chat", "demo", "replies"]);
    }

    #[tokio::test]
    async fn the_webhooks_follow_the_routes() {
        let routes = |topics: &[&str]| {
            let routes = topics.iter().enumerate().map(|(number, topic)| {
                serde_json::json!({
                    "name": format!("r{number}"), "from": {"cache": "demo", "topic": topic},
                    "to": {"stateMachine": "arn:aws:states:eu-west-1:123456789012:stateMachine:M"},
                })
            });
            let routes: Vec<_> = routes.collect();
            Routes::parse(&serde_json::json!({ "routes": routes }).to_string()).unwrap()
        };
        let server = on(Port::Free).await.unwrap();
        let mut webhooks = RouteWebhooks::new("http://127.0.0.1:1/", "secret");
        let own = Webhook {
            cache: "demo".to_owned(),
            topic: "own".to_owned(),
            url: "http://127.0.0.1:1/".to_owned(),
            secret: "secret".to_owned(),
            host: None,
        };
        server.put_webhook("own", own).unwrap();
        let steps: [(&[&str], &[&str]); 5] = [
            (&["a", "b"], &["demo/a", "demo/b", "own"]),
            (&["b", "c"], &["demo/b", "demo/c", "own"]),
            (&["b", "c", "*"], &["demo/*", "own"]),
            (&["c"], &["demo/c", "own"]),
            (&[], &["own"]),
        ];
        for (topics, expected) in steps {
            webhooks.follow(&server, &routes(topics)).unwrap();
            assert_eq!(server.webhooks(), expected);
        }
    }
}
