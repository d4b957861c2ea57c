//! The topics to relay: those of the routes, or a list.

use std::collections::BTreeSet;

use super::TopicName;
use crate::domain::inbound::routes::{Route, Routes};

/// Reads `CACHE/TOPIC`, split at the first `/`.
///
/// # Errors
///
/// A sentence, when cache or topic is missing.
pub fn parse(text: &str) -> Result<TopicName, String> {
    match text.split_once('/') {
        Some((cache, topic)) if !cache.is_empty() && !topic.is_empty() => Ok(TopicName {
            cache: cache.to_owned(),
            topic: topic.to_owned(),
        }),
        _ => Err(format!(
            "expected a cache and a topic, such as `demo/orders`, found `{text}`"
        )),
    }
}

/// The topics of the enabled routes, without duplicates.
///
/// # Errors
///
/// A sentence, when no route is enabled, and as [`check`].
pub fn of_routes(routes: &Routes) -> Result<BTreeSet<TopicName>, String> {
    check(routes)?;
    let topics = exact(routes);
    if topics.is_empty() {
        return Err("expected at least one enabled route, found none".to_owned());
    }
    Ok(topics)
}

/// Checks that all enabled routes have exact topics.
///
/// # Errors
///
/// A sentence that names the routes with a `*`, since their topics need a list.
pub fn check(routes: &Routes) -> Result<(), String> {
    let wild: Vec<_> = wild(routes)
        .map(|route| format!("`{}` ({})", route.name, source(route)))
        .collect();
    if wild.is_empty() {
        return Ok(());
    }
    Err(format!(
        "expected exact topics, since a subscription has no wildcard, found routes with `*`: {}; list all topics to relay with `--topic CACHE/TOPIC`",
        wild.join(", ")
    ))
}

/// The exact topics of the enabled routes.
pub fn exact(routes: &Routes) -> BTreeSet<TopicName> {
    let exact = enabled(routes).filter(|route| is_exact(route));
    let topics = exact.map(|route| TopicName {
        cache: route.from.cache.as_str().to_owned(),
        topic: route.from.topic.as_str().to_owned(),
    });
    topics.collect()
}

/// The enabled routes with a wildcard, whose topics cannot be subscribed to.
pub fn wild(routes: &Routes) -> impl Iterator<Item = &Route> {
    enabled(routes).filter(|route| !is_exact(route))
}

/// The cache and topic of a route, which may have wildcards.
pub fn source(route: &Route) -> String {
    let (cache, topic) = (route.from.cache.as_str(), route.from.topic.as_str());
    format!("{cache}/{topic}")
}

fn enabled(routes: &Routes) -> impl Iterator<Item = &Route> {
    routes.iter().filter(|route| route.enabled)
}

fn is_exact(route: &Route) -> bool {
    route.from.cache.is_exact() && route.from.topic.is_exact()
}

/// The listed topics without an enabled route: their messages would be unrouted.
pub fn without_route<'a>(
    topics: impl IntoIterator<Item = &'a TopicName>,
    routes: &Routes,
) -> Vec<&'a TopicName> {
    let routed = |topic: &&TopicName| {
        !enabled(routes).any(|route| route.from.covers(&topic.cache, &topic.topic))
    };
    topics.into_iter().filter(routed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn routes(list: &[(&str, &str, &str, bool)]) -> Routes {
        let routes: Vec<_> = list
            .iter()
            .map(|(name, cache, topic, enabled)| {
                json!({"name": name, "enabled": enabled, "from": {"cache": cache, "topic": topic}, "to": {"eventBus": "default"}})
            })
            .collect();
        Routes::parse(&json!({ "routes": routes }).to_string()).unwrap()
    }

    #[test]
    fn a_topic_may_have_a_slash_and_a_cache_may_not() {
        let name = parse("demo/orders/eu").unwrap();
        assert_eq!(
            (name.cache.as_str(), name.topic.as_str()),
            ("demo", "orders/eu")
        );
        assert_eq!(name.to_string(), "demo/orders/eu");
        for wrong in ["", "demo", "/orders", "demo/"] {
            let error = parse(wrong).unwrap_err();
            assert!(error.contains(&format!("found `{wrong}`")), "{error}");
        }
    }

    #[test]
    fn enabled_routes_name_their_topics_once() {
        let routes = routes(&[
            ("a", "demo", "in", true),
            ("b", "demo", "in", true),
            ("c", "demo", "other", true),
            ("d", "demo", "off", false),
            ("e", "demo", "wild*", false),
        ]);
        let topics = of_routes(&routes).unwrap();
        let names: Vec<_> = topics.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["demo/in", "demo/other"]);
        let listed = [parse("demo/in").unwrap(), parse("demo/off").unwrap()];
        assert_eq!(without_route(&listed, &routes), [&listed[1]]);
    }

    #[test]
    fn a_wildcard_needs_a_list() {
        let error = of_routes(&routes(&[("audit", "*", "orders/*", true)])).unwrap_err();
        assert!(
            error.contains("`audit` (*/orders/*)") && error.contains("--topic"),
            "{error}"
        );
        assert!(of_routes(&routes(&[])).is_err());
    }

    #[test]
    fn a_wildcard_leaves_the_exact_topics() {
        let routes = routes(&[
            ("a", "demo", "in", true),
            ("b", "demo", "in*", true),
            ("c", "*", "in", true),
            ("d", "*", "in", false),
        ]);
        let names: Vec<_> = exact(&routes).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["demo/in"]);
        let wild: Vec<_> = wild(&routes).map(source).collect();
        assert_eq!(wild, ["demo/in*", "*/in"]);
        let error = check(&routes).unwrap_err();
        assert!(error.contains("`b` (demo/in*), `c` (*/in);"), "{error}");
    }
}
