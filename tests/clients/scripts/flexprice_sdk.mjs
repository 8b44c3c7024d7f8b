// Drives @flexprice/sdk: the methods of `client.events`.
import { drive, load } from "./driver.mjs";

const { FlexPrice, Flexprice } = await load("@flexprice/sdk");

const retryConfig = {
  strategy: "backoff",
  backoff: { initialInterval: 1, maxInterval: 5000, exponent: 1, maxElapsedTime: 20000 },
  retryConnectionErrors: false,
};

await drive(
  (asked) => {
    const options = asked.options.retries ? { retryConfig } : {};
    const Client = Flexprice ?? FlexPrice;
    const client = new Client({ serverURL: asked.url + "/v1", apiKeyAuth: asked.key, ...options });
    const headers = asked.options.headers;
    const perCall = headers ? [{ fetchOptions: { headers } }] : [];
    return client.events[asked.call](...asked.arguments, ...perCall);
  },
  (error) => ({
    status: error.statusCode,
    data: { code: error.code, message: error.message, body: error.body, error: error.error },
  }),
);
