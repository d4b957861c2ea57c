//! Who asks AWS.

use std::fmt;
use std::sync::Arc;

use super::fault::no_credentials;
use crate::config::Lookup;
use crate::ports::Fault;

/// An access key. It never prints its secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.access_key_id)
    }
}

/// Where they come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Lambda tells a function its credentials once, when it starts it.
    Fixed(Option<Arc<Credentials>>),
    /// Wherever the AWS tools look for them; those end, and are fetched again.
    #[cfg(feature = "cli")]
    Provider(Arc<crate::adapters::sdk::Provider>),
}

impl Source {
    /// Those of Lambda's variables.
    pub fn variables(lookup: Lookup<'_>) -> Self {
        let found = |name| lookup(name).filter(|value| !value.is_empty());
        let credentials = || {
            Some(Arc::new(Credentials {
                access_key_id: found("AWS_ACCESS_KEY_ID")?,
                secret_access_key: found("AWS_SECRET_ACCESS_KEY")?,
                session_token: found("AWS_SESSION_TOKEN"),
            }))
        };
        Self::Fixed(credentials())
    }

    /// # Errors
    ///
    /// A transient fault where there are none.
    pub async fn get(&self) -> Result<Arc<Credentials>, Fault> {
        let found = match self {
            Self::Fixed(credentials) => credentials.clone(),
            #[cfg(feature = "cli")]
            Self::Provider(provider) => provider.credentials().await,
        };
        found.ok_or_else(no_credentials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_variables_of_lambda_are_read() {
        let variables = |token: &'static str, key: &'static str| {
            Source::variables(&move |name: &str| match name {
                "AWS_ACCESS_KEY_ID" => Some(key.to_owned()),
                "AWS_SECRET_ACCESS_KEY" => Some("secret".to_owned()),
                "AWS_SESSION_TOKEN" => Some(token.to_owned()),
                _ => None,
            })
        };
        let found = variables("token", "key").get().await.unwrap();
        assert_eq!(found.access_key_id, "key");
        assert_eq!(found.session_token.as_deref(), Some("token"));
        let found = variables("", "key").get().await.unwrap();
        assert_eq!(found.session_token, None);
        let fault = variables("token", "").get().await.unwrap_err();
        assert_eq!(fault.code, "NoCredentials");
    }
}
