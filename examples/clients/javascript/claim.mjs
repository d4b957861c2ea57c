// A result over 4 KB comes as {"claim":{"cache","key","bytes","sha256","expires_at"}}, or with a "url" in place of cache and key.
import {createHash} from 'node:crypto';

import {CacheGet} from '@gomomento/sdk';

// The value of a message: its claim's, or its text.
export async function readClaim(items, message) {
  const claim = claimOf(message);
  if (!claim?.sha256) return message;
  const value = claim.url ? await fetchUrl(claim.url) : await getItem(items, claim);
  if (createHash('sha256').update(value).digest('hex') !== claim.sha256) throw new Error('the value of a claim has another hash');
  return new TextDecoder().decode(value);
}

function claimOf(message) {
  try {
    return JSON.parse(message).claim;
  } catch {
    return undefined; // bytes, or a text that is not JSON
  }
}

async function getItem(items, {cache, key, expires_at}) {
  const got = await items.get(cache, key);
  if (got instanceof CacheGet.Hit) return got.valueUint8Array();
  throw new Error(`cannot read the claim's item ${cache}/${key}, which expires at ${new Date(expires_at).toISOString()}`);
}

async function fetchUrl(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`cannot read the claim's url: status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
