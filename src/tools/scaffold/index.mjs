// Adds the tier of the customer to an order.

// A real function would ask a database or another service.
const TIERS = new Map([["ada", "gold"], ["bob", "silver"]]);

// The state machine catches it by this name.
class UnknownCustomer extends Error {
  name = "UnknownCustomer";
}

export async function handler(message) {
  const order = message.json;
  const customer = order?.customer;
  if (typeof customer !== "string") {
    throw new TypeError("expected a JSON object with a text at `customer`, found another message");
  }
  console.log(`message ${message.id}`);
  if (!TIERS.has(customer)) {
    throw new UnknownCustomer("expected a customer with a tier, found another");
  }
  return { ...order, tier: TIERS.get(customer) };
}
