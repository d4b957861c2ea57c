// Momento's SDK for Node against the local Topics server at MOMENTO_PORT: node --test topics.test.mjs
import assert from 'node:assert/strict';
import {after, test} from 'node:test';
import {randomUUID} from 'node:crypto';

import {
  AuthClient,
  CacheClient,
  Configurations,
  CreateCache,
  CredentialProvider,
  DeleteCache,
  ExpiresIn,
  ListCaches,
  MomentoErrorCode,
  PermissionScopes,
  TopicClient,
  TopicConfigurations,
  TopicPublish,
  TopicSubscribe,
} from '@gomomento/sdk';

const CACHE = 'demo';
const credentialProvider = CredentialProvider.forMomentoLocal({port: Number(process.env.MOMENTO_PORT)});
const topics = new TopicClient({credentialProvider, configuration: TopicConfigurations.Default.latest()});
const caches = new CacheClient({credentialProvider, configuration: Configurations.Laptop.latest(), defaultTtlSeconds: 60});
after(() => caches.close());

// Collects and awaits the messages of a subscription.
class Received {
  values = [];
  numbers = [];
  gaps = [];
  errors = [];
  #wake = () => {};

  handlers() {
    const keep = (list, value) => {
      list.push(value);
      this.#wake();
    };
    return {
      onItem: item => {
        this.numbers.push(item.sequenceNumber());
        keep(this.values, item.value());
      },
      onDiscontinuity: gap => keep(this.gaps, gap),
      onError: error => keep(this.errors, error.errorCode()),
    };
  }

  async until(condition) {
    while (!condition()) await new Promise(resolve => (this.#wake = resolve));
  }
}

async function publish(topic, ...values) {
  for (const value of values) {
    const published = await topics.publish(CACHE, topic, value);
    assert.ok(published instanceof TopicPublish.Success, published.toString());
  }
}

async function subscribe(topic, cache = CACHE) {
  const received = new Received();
  const subscription = await topics.subscribe(cache, topic, received.handlers());
  assert.ok(subscription instanceof TopicSubscribe.Subscription, subscription.toString());
  return [received, subscription];
}

test('texts and bytes arrive in order', async () => {
  const topic = randomUUID();
  const [received, subscription] = await subscribe(topic);
  const bytes = new Uint8Array([0, 255]);
  await publish(topic, 'value1', 'value2', bytes);
  await received.until(() => received.values.length === 3);
  subscription.unsubscribe();
  assert.deepEqual(received.values.slice(0, 2), ['value1', 'value2']);
  assert.deepEqual([...received.values[2]], [...bytes]);
  assert.deepEqual(received.numbers, [1, 2, 3]);
  assert.deepEqual(received.errors, []);
});

test('an unknown cache is refused', async () => {
  const unknown = randomUUID();
  const code = MomentoErrorCode.CACHE_NOT_FOUND_ERROR;
  const published = await topics.publish(unknown, 'topic', 'value');
  assert.equal(published.errorCode(), code);
  const subscribed = await topics.subscribe(unknown, 'topic', {});
  assert.equal(subscribed.errorCode(), code);
});

test('a call that the local stack lacks is named', async () => {
  const tokens = new AuthClient({credentialProvider});
  const scope = PermissionScopes.topicPublishOnly(CACHE, 'topic');
  const refused = await tokens.generateDisposableToken(scope, ExpiresIn.minutes(5));
  assert.equal(refused.errorCode(), MomentoErrorCode.BAD_REQUEST_ERROR);
  assert.match(refused.message(), /token\.Token\/GenerateDisposableToken/);
});

test('a cache is created, listed and deleted with its subscriptions', async () => {
  const cache = randomUUID();
  assert.ok((await caches.createCache(cache)) instanceof CreateCache.Success);
  assert.ok((await caches.createCache(cache)) instanceof CreateCache.AlreadyExists);
  const listed = await caches.listCaches();
  assert.ok(listed instanceof ListCaches.Success, listed.toString());
  assert.ok(listed.getCaches().some(found => found.getName() === cache));
  const [received, subscription] = await subscribe('topic', cache);
  assert.ok((await caches.deleteCache(cache)) instanceof DeleteCache.Success);
  await received.until(() => received.errors.length === 1);
  assert.deepEqual(received.errors, [MomentoErrorCode.CACHE_NOT_FOUND_ERROR]);
  assert.equal(subscription.isSubscribed, false);
  assert.equal((await caches.deleteCache(cache)).errorCode(), MomentoErrorCode.CACHE_NOT_FOUND_ERROR);
});

test('a new subscription receives the last message again', async () => {
  const topic = randomUUID();
  await publish(topic, 'a', 'b');
  const [received, subscription] = await subscribe(topic);
  await publish(topic, 'c');
  await received.until(() => received.values.length === 2);
  subscription.unsubscribe();
  assert.deepEqual(received.values, ['b', 'c']);
});

// The SDK ends its first stream at the client's timeout of 5 s and reconnects.
test('a subscriber that reconnects loses and repeats nothing', async () => {
  const topic = randomUUID();
  for (let hundreds = 0; hundreds < 10; hundreds += 1) {
    await Promise.all(Array.from({length: 100}, () => publish(topic, 'old')));
  }
  await publish(topic, 'the last one');
  const received = new Received();
  let lost = 0;
  const subscription = await topics.subscribe(CACHE, topic, {
    ...received.handlers(),
    onConnectionLost: () => {
      lost += 1;
      // Published without an open stream.
      publish(topic, 'meanwhile');
    },
  });
  await received.until(() => received.values.includes('meanwhile'));
  await publish(topic, 'after');
  await received.until(() => received.values.includes('after'));
  subscription.unsubscribe();
  assert.equal(lost, 1);
  assert.deepEqual(received.values, ['the last one', 'meanwhile', 'after']);
  assert.deepEqual(received.errors, []);
});
