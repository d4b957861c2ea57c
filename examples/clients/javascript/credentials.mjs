// Momento where MOMENTO_API_KEY and MOMENTO_ENDPOINT are set, else the local stack at port MOMENTO_PORT (8080).
import {CredentialProvider} from '@gomomento/sdk';

export function credentials() {
  if (process.env.MOMENTO_API_KEY) return CredentialProvider.fromEnvVarV2();
  return CredentialProvider.forMomentoLocal({port: Number(process.env.MOMENTO_PORT ?? 8080)});
}
