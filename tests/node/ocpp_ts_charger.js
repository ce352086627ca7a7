// A charger made of npm's ocpp-ts, which checks every message against its schemas: one session
// from the remote start to the remote stop. Reads {url, id} and prints what it saw as JSON.
import ocpp from "ocpp-ts";

const asked = JSON.parse(await new Promise((done) => process.stdin.once("data", done)));
const seen = [];
const client = new ocpp.OcppClient(asked.id);
client.on("error", (error) => seen.push(`error: ${error.message}`));

const now = () => new Date().toISOString();
const handled = (event) =>
  new Promise((done) =>
    client.on(event, (request, answer) => {
      answer({ status: "Accepted" });
      done(request);
    }),
  );
const started = handled("RemoteStartTransaction");
const stopped = handled("RemoteStopTransaction");
client.on("GetConfiguration", (_, answer) => answer({}));

const connected = new Promise((done) => client.on("connect", done));
client.connect(`${asked.url}/`);
await connected;
const boot = await client.callRequest("BootNotification", {
  chargePointVendor: "npm",
  chargePointModel: "ocpp-ts",
});
const status = (name) =>
  client.callRequest("StatusNotification", { connectorId: 1, errorCode: "NoError", status: name });
await status("Available");
const { idTag } = await started;
await status("Preparing");
const authorized = await client.callRequest("Authorize", { idTag });
const start = await client.callRequest("StartTransaction", {
  connectorId: 1,
  idTag,
  meterStart: 1000,
  timestamp: now(),
});
await status("Charging");
await client.callRequest("MeterValues", {
  connectorId: 1,
  transactionId: start.transactionId,
  meterValue: [{ timestamp: now(), sampledValue: [{ value: "1400", unit: "Wh" }] }],
});
const { transactionId } = await stopped;
await client.callRequest("StopTransaction", {
  transactionId,
  idTag,
  meterStop: 1500,
  timestamp: now(),
  reason: "Remote",
});
await client.callRequest("Heartbeat", {});
console.log(JSON.stringify({ boot, authorized, start, transactionId, seen }));
process.exit(0);
