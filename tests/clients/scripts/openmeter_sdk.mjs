// Drives @openmeter/sdk: the methods of `client.events`.
import { drive, load } from "./driver.mjs";

const { OpenMeter } = await load("@openmeter/sdk");

await drive(
  async (asked) => {
    const client = new OpenMeter({ baseUrl: asked.url, apiKey: asked.key });
    return (await client.events[asked.call](...asked.arguments)) ?? null;
  },
  (error) => ({
    status: error.status,
    data: { type: error.type, title: error.title, code: error.getField?.("code") },
  }),
);
