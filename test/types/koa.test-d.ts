/** What the compiler knows about Koa's adapter. Nothing here runs. */

import { bulkhead } from 'breakwater';
import { type Guard, type GuardContext, type GuardOptions, type Visit, guard, idempotency } from 'breakwater/koa';
import Koa from 'koa';
import { typed } from './equal.ts';

interface Login {
  readonly user: { readonly id: string };
}

interface Connections {
  readonly db: number;
}

export function theContextIsKoas(): void {
  const app = new Koa();
  const api = guard([bulkhead({ maxConcurrent: 1 })], {
    key: (ctx) => ctx.get('x-tenant'),
    priority: (ctx) => (ctx.path === '/reports' ? 'sheddable' : 'critical'),
    handler: async (turned, ctx, next) => {
      typed(turned.status).is<number>();
      ctx.status = turned.status;
      await next();
    },
  });
  typed(api).is<Guard>();
  app.use(api).use(guard([])).use(idempotency());
  app.use((ctx) => {
    typed(ctx.state.breakwater).is<Visit>();
    typed(ctx.req.breakwater).is<Visit>();
  });
}

export function anApplicationThatSaysWhatItKeepsIsBelieved(): void {
  const app = new Koa<Login, Connections>();
  app.use(guard([]));
  app.use(guard<Login>([], { key: (ctx) => ctx.state.user.id }));
  app.use(guard<Login, Connections>([], { key: (ctx) => `${ctx.state.user.id}${ctx.db}` }));
  app.use(idempotency<Login>({ scope: (ctx) => ctx.state.user.id }));
  // @ts-expect-error -- a key is a text
  app.use(guard<Login>([], { key: (ctx) => ctx.state.user }));
  const options: GuardOptions<GuardContext<Login>> = { key: (ctx) => ctx.state.user.id };
  app.use(guard([], options));
}

export function whatIsWrittenWrongDoesNotCompile(): void {
  // @ts-expect-error -- no such option
  guard([], { keys: () => 'a' });
  // @ts-expect-error -- not a policy
  guard([{}]);
}
