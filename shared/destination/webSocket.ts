import type { WebSocketOptions } from '@azure/service-bus';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { getProxyForUrl } from 'proxy-from-env';
import { WebSocket } from 'ws';

/**
 * AMQP over WebSockets (port 443, where 5671 is closed), through the proxy that HTTPS_PROXY names for the
 * namespace's host, if any; NO_PROXY is heeded.
 */
export function webSocketTo(host: string): WebSocketOptions {
  const proxy = getProxyForUrl(`https://${host}`);
  return {
    webSocket: WebSocket,
    webSocketConstructorOptions: proxy === '' ? {} : { agent: new HttpsProxyAgent(proxy) },
  };
}
