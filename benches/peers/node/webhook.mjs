// A webhook that verifies a message and starts an execution with it.

import { createHmac, timingSafeEqual } from "node:crypto";
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { SFNClient, StartExecutionCommand } from "@aws-sdk/client-sfn";
import { serve } from "./runtime.mjs";

const MAX_AGE = 60_000;
const stepFunctions = new SFNClient({});
const secret = new SecretsManagerClient({})
  .send(new GetSecretValueCommand({ SecretId: process.env.SIGNING_SECRET_ID }))
  .then((found) => found.SecretString);

function isSigned(body, signature, key) {
  const expected = createHmac("sha3-256", key).update(body).digest();
  const found = Buffer.from(signature ?? "", "hex");
  return found.length === expected.length && timingSafeEqual(found, expected);
}

async function answer(event) {
  const body = Buffer.from(event.body, event.isBase64Encoded ? "base64" : "utf8");
  if (!isSigned(body, event.headers["momento-signature"], await secret)) {
    return { statusCode: 401 };
  }
  const message = JSON.parse(body.toString());
  if (Date.now() - message.publish_timestamp > MAX_AGE) {
    return { statusCode: 403 };
  }
  await stepFunctions.send(
    new StartExecutionCommand({
      stateMachineArn: process.env.STATE_MACHINE_ARN,
      name: `${message.cache}-${message.topic}-${message.topic_sequence_number}-${message.event_timestamp}`,
      input: JSON.stringify(message),
    }),
  );
  console.log(JSON.stringify({ level: "INFO", message: "started an execution", topic: message.topic }));
  return { statusCode: 200 };
}

await secret.then(() => serve(answer));
