// Momento's SDK for browsers against the local Topics server at MOMENTO_PORT.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {randomUUID} from 'node:crypto';
import {createRequire} from 'node:module';

// The part of a browser that the SDK needs: a request whose text grows while it arrives.
globalThis.XMLHttpRequest = class {
  #headers = new Headers();
  #answer = new Headers();
  #stop = new AbortController();
  readyState = 0;
  responseText = '';
  status = 0;

  open(method, url) {
    Object.assign(this, {method, url});
    this.#change(1);
  }
  setRequestHeader(name, value) {
    this.#headers.set(name, value);
  }
  getResponseHeader(name) {
    return this.#answer.get(name);
  }
  getAllResponseHeaders() {
    return [...this.#answer].map(([name, value]) => `${name}: ${value}\r\n`).join('');
  }
  abort() {
    this.#stop.abort();
  }
  async send(body) {
    try {
      const answer = await fetch(this.url, {method: this.method, headers: this.#headers, body, signal: this.#stop.signal});
      [this.status, this.#answer] = [answer.status, answer.headers];
      this.#change(2);
      for await (const bytes of answer.body ?? []) {
        this.responseText += new TextDecoder('latin1').decode(bytes);
        this.#change(3);
      }
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.status = 0;
    }
    this.#change(4);
  }
  #change(readyState) {
    this.readyState = readyState;
    this.onreadystatechange?.();
  }
};
if (!globalThis.navigator) globalThis.navigator = {userAgent: ''};
const require = createRequire(import.meta.url);
const {
  AuthClient,
  CacheClient,
  CacheGet,
  CacheSet,
  Configurations,
  CredentialProvider,
  ExpiresIn,
  MomentoErrorCode,
  PermissionScopes,
  TopicClient,
  TopicConfigurations,
  TopicPublish,
  TopicSubscribe,
} = require('@gomomento/sdk-web');

const url = `http://127.0.0.1:${process.env.MOMENTO_PORT}`;
// Otherwise the local mode of the web SDK requests https://web.127.0.0.1.
const endpointOverrides = {cacheEndpoint: url, controlEndpoint: url, tokenEndpoint: url};
const credentialProvider = CredentialProvider.forMomentoLocal({endpointOverrides});

test('a page publishes and subscribes', async () => {
  const topics = new TopicClient({credentialProvider, configuration: TopicConfigurations.Default.latest()});
  const topic = randomUUID();
  const values = [];
  let arrived;
  const all = new Promise(resolve => (arrived = resolve));
  const subscription = await topics.subscribe('demo', topic, {
    onItem: item => values.push(item.value()) === 2 && arrived(),
    onError: error => arrived(error),
  });
  assert.ok(subscription instanceof TopicSubscribe.Subscription, subscription.toString());
  for (const text of ['a', 'wörld']) {
    const published = await topics.publish('demo', topic, text);
    assert.ok(published instanceof TopicPublish.Success, published.toString());
  }
  await all;
  subscription.unsubscribe();
  assert.deepEqual(values, ['a', 'wörld']);
});

test('a page reads the item of a claim', async () => {
  const items = new CacheClient({credentialProvider, configuration: Configurations.Browser.latest(), defaultTtlSeconds: 60});
  const key = randomUUID();
  const set = await items.set('demo', key, 'large');
  assert.ok(set instanceof CacheSet.Success, set.toString());
  const got = await items.get('demo', key);
  assert.ok(got instanceof CacheGet.Hit, got.toString());
  assert.equal(got.valueString(), 'large');
});

test('a call that the local stack lacks is named', async () => {
  const tokens = new AuthClient({credentialProvider});
  const scope = PermissionScopes.topicPublishOnly('demo', 'topic');
  const refused = await tokens.generateDisposableToken(scope, ExpiresIn.minutes(5));
  assert.equal(refused.errorCode(), MomentoErrorCode.BAD_REQUEST_ERROR);
  assert.match(refused.message(), /token\.Token\/GenerateDisposableToken/);
});
