// A function behind a queue that publishes values to topics.

import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { CredentialProvider, TopicClient, TopicConfigurations, TopicPublish } from "@gomomento/sdk";
import { serve } from "./runtime.mjs";

function credentials(apiKey, endpoint) {
  if (!endpoint.startsWith("http://")) {
    return CredentialProvider.fromApiKeyV2({ apiKey, endpoint });
  }
  const provider = CredentialProvider.fromApiKeyV2({ apiKey, endpoint: "localhost" });
  Object.assign(provider.allEndpoints, { cacheEndpoint: new URL(endpoint).host, secureConnection: false });
  return provider;
}

const client = new SecretsManagerClient({})
  .send(new GetSecretValueCommand({ SecretId: process.env.MOMENTO_SECRET_ID }))
  .then((found) => new TopicClient({
    configuration: TopicConfigurations.Default.latest(),
    credentialProvider: credentials(found.SecretString, process.env.MOMENTO_ENDPOINT),
  }));

async function publishAll(topics, event) {
  const batchItemFailures = [];
  for (const record of event.Records) {
    const { cache, topic, value } = JSON.parse(record.body).detail;
    const result = await topics.publish(cache, topic, value);
    if (result instanceof TopicPublish.Success) {
      console.log(JSON.stringify({ level: "INFO", message: "published", topic }));
    } else {
      console.log(JSON.stringify({ level: "ERROR", message: "a value was not published", error: result.message() }));
      batchItemFailures.push({ itemIdentifier: record.messageId });
    }
  }
  return { batchItemFailures };
}

const topics = await client;
await serve((event) => publishAll(topics, event));
