import { hedgedHttp } from './hedged-http.ts';
import { http } from './http.ts';
import { rateLimit } from './rate-limit.ts';
import { server } from './server.ts';

/** Lists of policies in the recommended order, to begin with and to edit: every part is named, and can be set up otherwise or left out. */
export const presets: {
  readonly http: typeof http;
  readonly hedgedHttp: typeof hedgedHttp;
  readonly server: typeof server;
  readonly rateLimit: typeof rateLimit;
} = Object.freeze({ http, hedgedHttp, server, rateLimit });
