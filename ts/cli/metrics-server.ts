import { createServer } from 'node:http';
import type { Server as HttpServer, ServerResponse } from 'node:http';

import { ConfigError } from '../errors.js';
import type { Server } from '../server.js';

/** Who asks for figures is one program, now and then. */
const CONNECTIONS_MAX = 32;

const PATIENCE_MS = 5000;

/** The media type of the text form of OpenMetrics. */
const OPEN_METRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

/**
 * Answers `/metrics` and `/healthz` of a server over HTTP, until it is closed. It has no access control, so it must
 * only listen on the operator's own network.
 */
export async function serveMetrics(address: string, server: Server): Promise<HttpServer> {
  const [, v6, name, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(address) ?? [];
  const host = v6 ?? name;
  if (host === undefined) {
    throw new ConfigError(
      `--metrics must be an address and port, as in 127.0.0.1:9100, not ${JSON.stringify(address)}`,
    );
  }
  const http = createServer((request, response) => {
    const { method = '', url = '' } = request;
    const path = url.replace(/\?.*$/s, '');
    if (method !== 'GET' && method !== 'HEAD') answer(response, 405, 'only GET\n');
    else if (path === '/metrics') answer(response, 200, server.metrics(), OPEN_METRICS);
    else if (path === '/healthz') {
      const ailment = server.ailment();
      answer(response, ailment === undefined ? 200 : 503, `${ailment ?? 'ok'}\n`);
    } else answer(response, 404, 'there are /metrics and /healthz\n');
  });
  http.maxConnections = CONNECTIONS_MAX;
  http.requestTimeout = PATIENCE_MS;
  http.headersTimeout = PATIENCE_MS;
  http.keepAliveTimeout = PATIENCE_MS;
  await new Promise<void>((resolve, reject) => {
    http.once('error', (cause) => reject(new ConfigError(`--metrics ${address}: ${cause.message}`, { cause })));
    http.listen({ host, port: Number(port) }, resolve);
  });
  return http;
}

function answer(response: ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
