//! The messages of a deployed stack, from its logs.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use momento::{CacheClient, TopicClient};
use tokio::sync::broadcast;

use super::arrivals::Arrivals;
use super::gaps::{self, Gaps};
use super::model::{Delivery, Filter, Listed, Row};
use super::post::{post, resolve};
use super::source::Messages;
use crate::adapters::aws::secrets::SecretsManager;
use crate::adapters::momento::{fault, items, topics};
use crate::clock::now_ms;
use crate::config::MomentoEndpoint;
use crate::domain::fault::Fault;
use crate::domain::inbound::routes::Routes;
use crate::domain::inbound::secrets::parse;
use crate::domain::inbound::signature::SigningSecret;
use crate::domain::ports::{Answer, Secrets as _, Stage};
use crate::tools::place::Place;
use crate::tools::trace::model::Unanswered;

/// How long routes are used before they are read again.
const ROUTES_AGE: Duration = Duration::from_secs(30);

/// Momento, where its key is known.
pub struct Momento {
    topics: TopicClient,
    items: CacheClient,
}

impl Momento {
    /// # Errors
    ///
    /// When the key is not a v2 key.
    pub fn connect(key: &str, endpoint: &MomentoEndpoint) -> momento::MomentoResult<Self> {
        let cache = momento::cache::configurations::Laptop::latest();
        let laptop = momento::topics::configurations::Laptop::latest();
        Ok(Self {
            topics: topics::connect(key, endpoint, laptop)?,
            items: items::connect(key, endpoint, cache)?,
        })
    }
}

/// The webhook's address, and its signing secret if it is known; else it is read when needed.
pub struct Webhook {
    pub url: Option<String>,
    pub secret: Option<String>,
}

/// The messages of a stack by its logs, which know no texts.
pub struct LoggedMessages {
    place: Place,
    arrivals: Arrivals,
    webhook: Webhook,
    momento: Option<Momento>,
    http: reqwest::Client,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    routes: Option<(Instant, Arc<Routes>, Vec<Unanswered>)>,
    caches: BTreeSet<String>,
    seen: HashMap<String, i64>,
}

impl LoggedMessages {
    /// # Errors
    ///
    /// When the HTTP client cannot be made.
    pub fn new(place: Place, webhook: Webhook, momento: Option<Momento>) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        Ok(Self {
            arrivals: Arrivals::of(&place),
            place,
            webhook,
            momento,
            http: http.build()?,
            kept: Mutex::default(),
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn known(&self) -> (Arc<Routes>, Vec<Unanswered>) {
        let recent = |at: &Instant| at.elapsed() < ROUTES_AGE;
        if let Some((at, routes, unread)) = &self.kept().routes
            && recent(at)
        {
            return (Arc::clone(routes), unread.clone());
        }
        let (read, unread) = self.place.routes().await;
        let read = Arc::new(read);
        let unread: Vec<_> = unread.into_iter().collect();
        let mut kept = self.kept();
        let sources = read.iter().map(|route| &route.from.cache);
        let exact = sources.filter(|cache| cache.is_exact());
        kept.caches
            .extend(exact.map(|cache| cache.as_str().to_owned()));
        kept.routes = Some((Instant::now(), Arc::clone(&read), unread.clone()));
        (read, unread)
    }

    async fn secret(&self) -> Result<SigningSecret, Fault> {
        let missing = |text: &str| Fault::permanent("NoSecret", text);
        let text = match (
            &self.webhook.secret,
            self.place.outputs.get("SigningSecretId"),
        ) {
            (Some(secret), _) => secret.clone(),
            (None, Some(id)) => {
                let secrets = SecretsManager::new(&self.place.config, id.clone());
                let found = secrets.fetch(Stage::Current).await?;
                found.ok_or_else(|| missing("expected a signing secret, found none: put one"))?
            }
            (None, None) => {
                return Err(missing(
                    "expected an output `SigningSecretId`, found none: deploy this version's template.yaml",
                ));
            }
        };
        let first = parse(&text)?.into_iter().next();
        first.ok_or_else(|| missing("expected a signing secret, found none"))
    }
}

impl Messages for LoggedMessages {
    fn list<'a>(&'a self, filter: &'a Filter) -> Answer<'a, Listed> {
        Box::pin(async move {
            let (routes, _) = self.known().await;
            let listed = self.arrivals.list(filter, &routes, now_ms()).await?;
            let mut kept = self.kept();
            for row in &listed.rows {
                for leg in &row.legs {
                    let seen = kept.seen.entry(leg.route.clone()).or_default();
                    *seen = row.at.max(*seen);
                }
            }
            Ok(listed)
        })
    }

    fn changes(&self) -> Option<broadcast::Receiver<u64>> {
        None
    }

    fn at(&self, _: u64) -> Option<(Row, Option<String>)> {
        None
    }

    fn find(&self, _: &str) -> Option<Row> {
        None
    }

    fn delivery(&self, _: &str) -> Option<Delivery> {
        None
    }

    fn published(&self, _: &[String], _: i64) -> Vec<(Row, String)> {
        Vec::new()
    }

    fn last_seen(&self, route: &str) -> Option<i64> {
        self.kept().seen.get(route).copied()
    }

    fn routes(&self) -> Answer<'_, (Arc<Routes>, Vec<Unanswered>)> {
        Box::pin(async { Ok(self.known().await) })
    }

    fn gaps(&self) -> Answer<'_, Gaps> {
        Box::pin(async { Ok(gaps::of_relay(&self.place).await) })
    }

    fn caches(&self) -> Vec<String> {
        self.kept().caches.iter().cloned().collect()
    }

    fn publish<'a>(
        &'a self,
        cache: &'a str,
        topic: &'a str,
        text: &'a str,
    ) -> Answer<'a, Option<String>> {
        Box::pin(async move {
            let momento = self.momento.as_ref().ok_or_else(|| {
                let text = "expected the Momento API key in MOMENTO_API_KEY and its endpoint in MOMENTO_ENDPOINT, found none: set them and start the console again";
                Fault::permanent("Refused", text)
            })?;
            let published = momento.topics.publish(cache, topic, text.to_owned()).await;
            // Momento does not tell the message's number.
            published.map(|_| None).map_err(|error| fault(&error))
        })
    }

    fn deliver(&self, body: Vec<u8>) -> Answer<'_, (u16, String)> {
        Box::pin(async move {
            let secret = self.secret().await?;
            let url = self.webhook.url.as_deref().ok_or_else(|| {
                let text = "expected an output `WebhookUrl`, found none: deploy this version's template.yaml";
                Fault::permanent("NoWebhook", text)
            })?;
            post(&self.http, url, secret.sign(&body), body).await
        })
    }

    fn claimed<'a>(&'a self, text: &'a str) -> Answer<'a, Option<String>> {
        let items = self.momento.as_ref().map(|momento| &momento.items);
        Box::pin(resolve(items, text))
    }
}
