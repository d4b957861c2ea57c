//! The Momento endpoint of a command.

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use momento::TopicClient;
use momento::topics::configurations::Laptop;
use workflow_bridge::adapters::momento::{items, topics};
use workflow_bridge::clock;
use workflow_bridge::config::MomentoEndpoint;
use workflow_bridge::tools::local::claim::Resolver;
use workflow_bridge::tools::local::workspace::{State, Workspace};

const API_KEY: &str = "MOMENTO_API_KEY";
const ENDPOINT: &str = "MOMENTO_ENDPOINT";

/// Options of the commands that talk to topics.
#[derive(Args)]
pub struct Connection {
    /// Cache of the topics [default: the local stack's; required elsewhere]
    #[arg(long, value_name = "NAME")]
    cache: Option<String>,

    /// Momento endpoint, such as `cell-4-us-west-2-1.prod.a.momentohq.com`, or an `http://` URL of a local server; the API key is in the variable MOMENTO_API_KEY [default: the variable MOMENTO_ENDPOINT, else the running local stack]
    #[arg(
        long,
        visible_alias = "momento-endpoint",
        value_name = "HOST",
        conflicts_with = "local"
    )]
    endpoint: Option<String>,

    /// Talk to the running local stack even where MOMENTO_API_KEY and MOMENTO_ENDPOINT are set
    #[arg(long)]
    local: bool,
}

/// An endpoint, with its API key and a cache.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    endpoint: String,
    api_key: String,
    pub cache: String,
    /// For people: "the local stack" or the endpoint.
    pub name: String,
    /// The running local stack, if this is its endpoint.
    pub local: Option<State>,
}

impl Connection {
    /// Decides by the options, the environment and the running local stack.
    pub fn place(&self) -> Result<Place> {
        let variable = |name| {
            std::env::var(name)
                .ok()
                .filter(|value: &String| !value.is_empty())
        };
        self.decide(variable(API_KEY), variable(ENDPOINT), running_stack)
    }

    fn decide(
        &self,
        api_key: Option<String>,
        endpoint: Option<String>,
        running: impl FnOnce() -> Result<State>,
    ) -> Result<Place> {
        let remote = match (&self.endpoint, api_key, endpoint) {
            _ if self.local => None,
            (Some(endpoint), Some(key), _) => Some((endpoint.clone(), key)),
            (Some(endpoint), None, _) => {
                bail!("expected the API key for `{endpoint}` in the variable {API_KEY}, found none")
            }
            (None, Some(key), Some(endpoint)) => Some((endpoint, key)),
            (None, None, None) => None,
            (None, Some(_), None) => bail!(
                "expected {API_KEY} and {ENDPOINT} together, found only {API_KEY}: set the other one too, or pass `--local`"
            ),
            (None, None, Some(_)) => bail!(
                "expected {API_KEY} and {ENDPOINT} together, found only {ENDPOINT}: set the other one too, or pass `--local`"
            ),
        };
        let Some((endpoint, api_key)) = remote else {
            let state = running().with_context(|| match self.local {
                true => "`--local` asks for the local stack".to_owned(),
                false => {
                    format!(
                        "no {API_KEY} and {ENDPOINT} in the environment, so the local stack is used"
                    )
                }
            })?;
            return Ok(Place {
                endpoint: state.topics_endpoint.clone(),
                api_key: state.api_key.clone(),
                cache: self.cache.clone().unwrap_or(state.cache.clone()),
                name: "the local stack".to_owned(),
                local: Some(state),
            });
        };
        let cache = self.cache.clone().with_context(|| {
            format!("expected the name of a cache at `{endpoint}`, found none: pass `--cache NAME`")
        })?;
        Ok(Place {
            name: format!("`{endpoint}`"),
            endpoint,
            api_key,
            cache,
            local: None,
        })
    }
}

impl Place {
    pub fn client(&self) -> Result<TopicClient> {
        topics::connect(&self.api_key, &self.endpoint()?, Laptop::latest())
            .map_err(|_| bad_api_key())
    }

    /// Resolves claims of large values, with the same key.
    pub fn resolver(&self) -> Result<Resolver> {
        let laptop = momento::cache::configurations::Laptop::latest();
        let items = items::connect(&self.api_key, &self.endpoint()?, laptop);
        let resolver = Resolver::new(items.map_err(|_| bad_api_key())?, clock::now_ms);
        resolver.context("cannot make the client that reads objects")
    }

    fn endpoint(&self) -> Result<MomentoEndpoint> {
        MomentoEndpoint::parse(&self.endpoint).map_err(|text| anyhow!(text))
    }

    /// Waits until a plain `http://` endpoint refuses connections: a local server stopped.
    pub async fn gone(&self) {
        while self.is_there().await {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }

    /// Whether a plain `http://` endpoint takes connections; any other one does.
    pub async fn is_there(&self) -> bool {
        match self.endpoint.strip_prefix("http://") {
            None => true,
            Some(address) => tokio::net::TcpStream::connect(address).await.is_ok(),
        }
    }
}

fn bad_api_key() -> anyhow::Error {
    anyhow!(
        "expected a Momento API key of version 2 in {API_KEY}, found something else: make one in Momento's console"
    )
}

/// The newest running local stack.
pub fn running_stack() -> Result<State> {
    let running = Workspace::find()?.running()?;
    running.into_iter().next().context("expected a running local stack, found none: start it with `cargo bridge local` in another terminal")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(cache: Option<&str>, endpoint: Option<&str>, local: bool) -> Connection {
        Connection {
            cache: cache.map(Into::into),
            endpoint: endpoint.map(Into::into),
            local,
        }
    }

    fn state() -> Result<State> {
        Ok(State {
            topics_endpoint: "http://127.0.0.1:1".into(),
            api_key: "local key".into(),
            cache: "demo".into(),
            ..State::default()
        })
    }

    fn none() -> Result<State> {
        bail!("expected a running local stack")
    }

    #[test]
    fn the_local_stack_is_the_default() {
        let place = connection(None, None, false)
            .decide(None, None, state)
            .unwrap();
        assert_eq!(
            (place.endpoint.as_str(), place.cache.as_str()),
            ("http://127.0.0.1:1", "demo")
        );
        let place = connection(Some("c"), None, true)
            .decide(Some("k".into()), Some("e".into()), state)
            .unwrap();
        assert_eq!(
            (place.api_key.as_str(), place.cache.as_str()),
            ("local key", "c")
        );
        assert!(
            connection(None, None, false)
                .decide(None, None, none)
                .is_err()
        );
    }

    #[test]
    fn momento_is_used_when_it_is_configured() {
        let place = connection(Some("c"), None, false)
            .decide(Some("k".into()), Some("e".into()), none)
            .unwrap();
        assert_eq!(
            place,
            Place {
                endpoint: "e".into(),
                api_key: "k".into(),
                cache: "c".into(),
                name: "`e`".into(),
                local: None,
            }
        );
        let place = connection(Some("c"), Some("f"), false)
            .decide(Some("k".into()), Some("e".into()), none)
            .unwrap();
        assert_eq!(place.endpoint, "f");
    }

    #[test]
    fn half_a_configuration_is_refused() {
        let refused = |connection: Connection, key: Option<&str>, endpoint: Option<&str>| {
            connection
                .decide(key.map(Into::into), endpoint.map(Into::into), state)
                .unwrap_err()
                .to_string()
        };
        assert!(
            refused(connection(None, None, false), Some("k"), None).contains("MOMENTO_ENDPOINT")
        );
        assert!(
            refused(connection(None, None, false), None, Some("e")).contains("MOMENTO_API_KEY")
        );
        assert!(
            refused(connection(None, Some("e"), false), None, None).contains("MOMENTO_API_KEY")
        );
        assert!(refused(connection(None, None, false), Some("k"), Some("e")).contains("--cache"));
    }
}
