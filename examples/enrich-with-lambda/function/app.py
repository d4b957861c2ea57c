"""Adds the tier of the customer to an order."""

# A real function would ask a database or another service.
TIERS = {"ada": "gold", "bob": "silver"}


class UnknownCustomer(Exception):
    """The state machine catches it by this name."""


def handler(message, context):
    order = message.get("json")
    customer = order.get("customer") if isinstance(order, dict) else None
    if not isinstance(customer, str):
        raise ValueError("expected a JSON object with a text at `customer`, found another message")
    print(f"message {message['id']}")
    if customer not in TIERS:
        raise UnknownCustomer("expected a customer with a tier, found another")
    return {**order, "tier": TIERS[customer]}
