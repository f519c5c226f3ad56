import { createHash } from 'node:crypto';
import { script, style } from 'ui:page';
import type { HttpRequest, HttpResponseInit } from '@azure/functions';

const icon =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect x='1' y='3' width='14' height='10' rx='2' fill='%232f6fd0'/%3E%3Cpath d='m2 5 6 4 6-4' fill='none' stroke='%23fff' stroke-width='1.5'/%3E%3C/svg%3E";

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Connections · Email Inbound Adapter</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="${icon}">
<style>${style}</style>
</head>
<body>
<div id="app"><noscript>This page needs JavaScript.</noscript></div>
<script type="module">${script}</script>
</body>
</html>
`;

const etag = `"${hash(page).slice(0, 22)}"`;

/** Nothing but this one script and style runs, and nothing is asked of any other host. */
const contentSecurityPolicy = [
  "default-src 'none'",
  `script-src 'sha256-${hash(script)}'`,
  `style-src 'sha256-${hash(style)}'`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const headers = {
  'Content-Security-Policy': contentSecurityPolicy,
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-cache',
  ETag: etag,
};

/** `GET /api/ui`: the same bytes for everyone; 304 for a browser that has them. */
export function answerPage({ headers: asked }: Pick<HttpRequest, 'headers'>): HttpResponseInit {
  const known = (asked.get('if-none-match') ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  if (known.includes(etag)) return { status: 304, headers };
  return { status: 200, headers: { ...headers, 'Content-Type': 'text/html; charset=utf-8' }, body: page };
}

function hash(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('base64');
}
