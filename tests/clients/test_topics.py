"""Momento's SDK for Python against the local Topics server at MOMENTO_PORT: python -m unittest test_topics"""

import os
import unittest
import uuid
from datetime import timedelta

from momento import CacheClient, Configurations, CredentialProvider, TopicClient, TopicClientAsync, TopicConfigurations
from momento.errors import MomentoErrorCode
from momento.responses import CreateCache, DeleteCache, ListCaches, TopicPublish, TopicSubscribe, TopicSubscriptionItem

CACHE = "demo"
CREDENTIALS = CredentialProvider.for_momento_local(port=int(os.environ["MOMENTO_PORT"]))
CONFIGURATION = TopicConfigurations.Default.latest().with_client_timeout(timedelta(seconds=60))


def name() -> str:
    return str(uuid.uuid4())


class Topics(unittest.TestCase):
    def setUp(self) -> None:
        self.topics = self.enterContext(TopicClient(CONFIGURATION, CREDENTIALS))

    def publish(self, topic: str, *values: "str | bytes") -> None:
        for value in values:
            self.assertIsInstance(self.topics.publish(CACHE, topic, value), TopicPublish.Success)

    def first(self, topic: str, number: int = 0, page: int = 0) -> TopicSubscriptionItem:
        subscription = self.topics.subscribe(CACHE, topic, number, page)
        self.assertIsInstance(subscription, TopicSubscribe.Subscription)
        item = next(subscription)
        subscription.unsubscribe()
        return item

    def test_a_new_subscription_receives_the_last_message(self) -> None:
        topic = name()
        self.publish(topic, "a", "b")
        item = self.first(topic)
        self.assertEqual((item.value, item.sequence_number), ("b", 2))

    def test_a_subscription_resumes_at_a_number(self) -> None:
        topic = name()
        self.publish(topic, "a", "b", "c")
        item = self.first(topic, 2)
        self.assertEqual((item.value, item.sequence_number), ("b", 2))
        self.assertEqual(self.first(topic, 3, item.sequence_page).value, "c")

    def test_an_unknown_position_gives_the_last_message(self) -> None:
        topic = name()
        self.publish(topic, "a")
        self.assertEqual(self.first(topic, 300, 5435435).value, "a")

    def test_bytes_stay_bytes(self) -> None:
        topic = name()
        self.publish(topic, b"\x00\xff")
        item = self.first(topic)
        self.assertIsInstance(item, TopicSubscriptionItem.Binary)
        self.assertEqual(item.value, b"\x00\xff")

    def test_an_unknown_cache_is_refused(self) -> None:
        for response in (self.topics.publish(name(), "t", "x"), self.topics.subscribe(name(), "t")):
            self.assertEqual(response.error_code, MomentoErrorCode.NOT_FOUND_ERROR)

    def test_a_connection_takes_a_hundred_subscriptions(self) -> None:
        topic = name()
        subscriptions = [self.topics.subscribe(CACHE, topic) for _ in range(100)]
        self.publish(topic, "x")
        for subscription in subscriptions:
            self.assertEqual(next(subscription).value, "x")
            subscription.unsubscribe()

    def test_caches_are_created_listed_and_deleted(self) -> None:
        cache = name()
        caches = self.enterContext(CacheClient(Configurations.Laptop.latest(), CREDENTIALS, timedelta(seconds=60)))
        self.assertIsInstance(caches.create_cache(cache), CreateCache.Success)
        self.assertIsInstance(caches.create_cache(cache), CreateCache.CacheAlreadyExists)
        listed = caches.list_caches()
        self.assertIsInstance(listed, ListCaches.Success)
        self.assertIn(cache, [info.name for info in listed.caches])
        self.assertIsInstance(caches.delete_cache(cache), DeleteCache.Success)
        self.assertEqual(caches.delete_cache(cache).error_code, MomentoErrorCode.NOT_FOUND_ERROR)


class Asynchronous(unittest.IsolatedAsyncioTestCase):
    async def test_messages_arrive_in_order(self) -> None:
        topic = name()
        async with TopicClientAsync(CONFIGURATION, CREDENTIALS) as topics:
            subscription = await topics.subscribe(CACHE, topic)
            for text in ("a", "b"):
                self.assertIsInstance(await topics.publish(CACHE, topic, text), TopicPublish.Success)
            received = [(await anext(subscription)).value for _ in range(2)]
            subscription.unsubscribe()
        self.assertEqual(received, ["a", "b"])


if __name__ == "__main__":
    unittest.main()
