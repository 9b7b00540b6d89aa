/** What the types of the clients' adapters promise; checked by the compiler, never run. */

import axios, { type AxiosAdapter } from 'axios';
import { type Pipeline, pipeline, presets, retry } from 'breakwater';
import { type GuardedAdapter, adapter } from 'breakwater/axios';
import { extension } from 'breakwater/got';
import { type Interceptor, interceptor, requestOptions } from 'breakwater/undici';
import got from 'got';
import { Agent, fetch as undiciFetch, request } from 'undici';
import { typed } from './equal.ts';

const dispatcher = new Agent().compose(interceptor(), interceptor([retry()]), interceptor(presets.http(), { name: 'stock' }));
const guarded: Interceptor = interceptor(pipeline([]));
export const ownPipeline: Pipeline = guarded.pipeline;
void request('http://stock.example', { dispatcher, ...requestOptions({ priority: 'sheddable', deadline: '1s' }) });
void undiciFetch('http://stock.example', { dispatcher });
// @ts-expect-error a request cannot say that
requestOptions({ retries: 3 });
// @ts-expect-error no such option
interceptor([], { maxReplay: 5 });
// @ts-expect-error a policy by itself is no list
interceptor(retry());

export const anAdapter: AxiosAdapter = adapter([retry()], { adapter: 'http' });
declare const given: GuardedAdapter;
typed(given.pipeline).is<Pipeline>();
const client = axios.create({ adapter: adapter() });
void client.get('/stock', { breakwater: { deadline: '1s', idempotent: true } });
// @ts-expect-error no such option of a request
void client.get('/stock', { breakwater: { deadlin: '1s' } });

const extended = got.extend(extension(presets.http()));
export const pieces: Promise<number> = extended('http://stock.example').json<number>();
void extended.get('http://stock.example', { context: { breakwater: { deadline: '1s' } } });
// @ts-expect-error no such option
extension([], { retry: { limit: 2 } });
