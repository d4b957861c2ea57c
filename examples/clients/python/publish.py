"""Publishes a message: python publish.py CACHE TOPIC TEXT"""

import sys

from credentials import credentials
from momento import TopicClient, TopicConfigurations
from momento.responses import TopicPublish

cache, topic, text = sys.argv[1:]
with TopicClient(TopicConfigurations.Default.latest(), credentials()) as topics:
    published = topics.publish(cache, topic, text)
if isinstance(published, TopicPublish.Error):
    sys.exit(f"cannot publish to {cache}/{topic}: {published.message}")
