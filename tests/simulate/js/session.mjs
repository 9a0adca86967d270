// One realtime session of the vendor's JavaScript SDK, driven by JSON lines: orders on stdin, events on stdout.
import { ElevenLabsClient, RealtimeEvents } from "@elevenlabs/elevenlabs-js";
import { createInterface } from "node:readline";

const tell = (event, data) => process.stdout.write(JSON.stringify({ event, data: data ?? null }) + "\n");
const plain = (data) => (data instanceof Error ? { error: data.message } : data);

let client;
let connection;

const orders = {
    client({ baseUrl, apiKey }) {
        client = new ElevenLabsClient({ baseUrl, apiKey });
    },
    async mint() {
        tell("minted", await client.tokens.singleUse.create("realtime_scribe"));
    },
    async connect(options) {
        connection = await client.speechToText.realtime.connect(options);
        for (const event of Object.values(RealtimeEvents)) {
            connection.on(event, (data) => tell(event, plain(data)));
        }
    },
    send(data) {
        connection.send(data);
    },
    commit() {
        connection.commit();
    },
    close() {
        connection.close();
    },
};

for await (const line of createInterface({ input: process.stdin })) {
    const { order, ...options } = JSON.parse(line);
    try {
        await orders[order](options);
    } catch (error) {
        tell("failed", { order, error: error.message, status: error.statusCode ?? null });
    }
}
process.exit(0);
