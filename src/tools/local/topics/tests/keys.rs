use momento::topics::configurations;
use momento::{CredentialProvider, MomentoErrorCode, TopicClient};

use super::*;

#[tokio::test]
async fn keys_come_and_go_while_the_server_runs() {
    let server = server().await;
    let key = local_api_key();
    let credentials = CredentialProvider::from_api_key_v2(key.as_str(), "local").unwrap();
    let client = TopicClient::builder()
        .configuration(configurations::Laptop::latest())
        .credential_provider(credentials.insecure_endpoint_override(&server.endpoint()))
        .build()
        .unwrap();
    let refused = |error: momento::MomentoError| error.error_code;
    let publish = async || client.publish(CACHE, "t", "x").await.map_err(refused);
    let unauthenticated = MomentoErrorCode::AuthenticationError;
    assert_eq!(publish().await.unwrap_err(), unauthenticated);
    server.put_key(key.as_str(), None);
    publish().await.unwrap();
    assert!(server.delete_key(&key));
    assert!(!server.delete_key(&key));
    assert_eq!(publish().await.unwrap_err(), unauthenticated);
}
