// Publishes a message: node publish.mjs CACHE TOPIC TEXT
import {TopicClient, TopicConfigurations, TopicPublish} from '@gomomento/sdk';
import {credentials} from './credentials.mjs';

const [cache, topic, text] = process.argv.slice(2);
const topics = new TopicClient({credentialProvider: credentials(), configuration: TopicConfigurations.Default.latest()});
const published = await topics.publish(cache, topic, text);
if (published instanceof TopicPublish.Error) {
  console.error(`cannot publish to ${cache}/${topic}: ${published.message()}`);
  process.exitCode = 1;
}
