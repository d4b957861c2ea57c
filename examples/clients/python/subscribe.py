"""Prints the messages of a topic, large ones in full: python subscribe.py CACHE TOPIC

The SDK's subscription ends at its client's deadline and does not reconnect: this program subscribes anew before that. When the
connection is lost, the SDK reports nothing and keeps a processor busy: restart the program. Without a position, a subscription
first gets the last message published before it.
"""

import asyncio
import sys
from datetime import timedelta

from claim import read_claim
from credentials import credentials
from momento import CacheClient, Configurations, TopicClientAsync, TopicConfigurations
from momento.responses import TopicSubscribe, TopicSubscriptionItem

DEADLINE = timedelta(minutes=30)


async def follow(cache: str, topic: str) -> None:
    items = CacheClient(Configurations.Laptop.latest(), credentials(), timedelta(minutes=1))
    async with TopicClientAsync(TopicConfigurations.Default.latest().with_client_timeout(DEADLINE), credentials()) as topics:
        number = page = 0
        while True:
            subscription = await topics.subscribe(cache, topic, number, page)
            if isinstance(subscription, TopicSubscribe.Error):
                sys.exit(f"cannot subscribe to {cache}/{topic}: {subscription.message}")
            try:
                async with asyncio.timeout(DEADLINE.total_seconds() - 10):
                    async for item in subscription:
                        if isinstance(item, TopicSubscriptionItem.Error):
                            sys.exit(f"the subscription to {cache}/{topic} ended: {item.message}")
                        number, page = item.sequence_number + 1, item.sequence_page
                        print(await asyncio.to_thread(read_claim, items, item.value), flush=True)
            except TimeoutError:
                pass


asyncio.run(follow(*sys.argv[1:]))
