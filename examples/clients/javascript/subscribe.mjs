// Prints the messages of a topic, large ones in full: node subscribe.mjs CACHE TOPIC
//
// The SDK reconnects by itself and resumes behind the last message. A new subscription first gets the last message
// published before it. Messages published while the subscriber does not run are lost to it.
import {CacheClient, Configurations, TopicClient, TopicConfigurations, TopicSubscribe} from '@gomomento/sdk';
import {readClaim} from './claim.mjs';
import {credentials} from './credentials.mjs';

const [cache, topic] = process.argv.slice(2);
const credentialProvider = credentials();
const items = new CacheClient({credentialProvider, configuration: Configurations.Laptop.latest(), defaultTtlSeconds: 60});
const topics = new TopicClient({credentialProvider, configuration: TopicConfigurations.Default.latest()});
let printed = Promise.resolve(); // one after the other: reading a claim takes a while
const show = async message => console.log(await readClaim(items, message));
const subscription = await topics.subscribe(cache, topic, {
  onItem: item => (printed = printed.then(() => show(item.value())).catch(console.error)),
  onError: error => {
    console.error(`the subscription to ${cache}/${topic} ended: ${error.message()}`);
    process.exit(1);
  },
});
if (subscription instanceof TopicSubscribe.Error) {
  console.error(`cannot subscribe to ${cache}/${topic}: ${subscription.message()}`);
  process.exit(1);
}
