// What each script needs comes as one JSON value in GATEWAY; what it found goes out as one JSON line.
import fs from "node:fs";

export const settings = JSON.parse(process.env.GATEWAY);
export const ca = fs.readFileSync(settings.ca);
export const tls = { ca, servername: "localhost", rejectUnauthorized: true };

export function report(value) {
  process.stdout.write(JSON.stringify(value) + "\n");
}

export function fail(error) {
  process.stderr.write(String(error && error.stack ? error.stack : error) + "\n");
  process.exit(1);
}

process.on("uncaughtException", fail);
process.on("unhandledRejection", fail);
