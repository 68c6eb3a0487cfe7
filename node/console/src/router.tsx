/** Addresses of the console. Every page but the library is its own chunk; filters live in the search part of the address. */
import type { QueryClient } from '@tanstack/react-query';
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  type NavigateOptions,
  redirect,
} from '@tanstack/react-router';
import { type AssetFilter, type AuditFilter, type JobFilter, sorts } from './api/calls';
import { meQuery, systemQuery } from './api/queries';
import { LibraryPage } from './pages/library/LibraryPage';
import { ErrorPage, MissingPage } from './pages/shell/ErrorPage';
import { HomePage } from './pages/shell/HomePage';
import { Root } from './pages/shell/Root';
import { Shell } from './pages/shell/Shell';

interface Context {
  client: QueryClient;
}

const root = createRootRouteWithContext<Context>()({ component: Root, notFoundComponent: MissingPage });

/** Pages for somebody who is logged in. */
const inside = createRoute({
  getParentRoute: () => root,
  id: 'inside',
  component: Shell,
  beforeLoad: async ({ context, location }) => {
    const me = await context.client.ensureQueryData(meQuery);
    if (me) return { me };
    const system = await context.client.ensureQueryData(systemQuery);
    if (!system.claimed) throw redirect({ to: '/setup' });
    throw redirect({ to: '/login', search: { next: location.href === '/' ? undefined : location.href } });
  },
});

const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : typeof value === 'number' ? String(value) : undefined;
const time = (value: unknown): number | undefined => (typeof value === 'number' && value > 0 ? value : undefined);

const login = createRoute({
  getParentRoute: () => root,
  path: '/login',
  component: lazyRouteComponent(() => import('./pages/login/LoginPage'), 'LoginPage'),
  validateSearch: (search: Record<string, unknown>): { next?: string } => ({ next: ownAddress(search.next) }),
});

/** Only addresses of this console: a link must not send anybody elsewhere after the log-in. */
function ownAddress(value: unknown): string | undefined {
  return typeof value === 'string' && /^\/(?![/\\])/.test(value) ? value : undefined;
}

const setup = createRoute({
  getParentRoute: () => root,
  path: '/setup',
  component: lazyRouteComponent(() => import('./pages/setup/SetupPage'), 'SetupPage'),
});
const invite = createRoute({
  getParentRoute: () => root,
  path: '/invite',
  component: lazyRouteComponent(() => import('./pages/login/InvitePage'), 'InvitePage'),
});
const reset = createRoute({
  getParentRoute: () => root,
  path: '/reset',
  component: lazyRouteComponent(() => import('./pages/login/ResetPage'), 'ResetPage'),
});

const home = createRoute({ getParentRoute: () => inside, path: '/', component: HomePage });

export interface LibrarySearch extends AssetFilter {
  view?: 'list';
}

const library = createRoute({
  getParentRoute: () => inside,
  path: '/a/$app/library',
  component: LibraryPage,
  validateSearch: (search: Record<string, unknown>): LibrarySearch => ({
    q: text(search.q),
    state: text(search.state),
    tag: text(search.tag),
    collection: text(search.collection),
    owner: text(search.owner),
    sort: sorts.slice(1).find((sort) => sort === search.sort),
    trashed: search.trashed === true ? true : undefined,
    view: search.view === 'list' ? 'list' : undefined,
  }),
});
const upload = createRoute({
  getParentRoute: () => inside,
  path: '/a/$app/upload',
  component: lazyRouteComponent(() => import('./pages/upload/UploadPage'), 'UploadPage'),
});
const members = createRoute({
  getParentRoute: () => inside,
  path: '/a/$app/members',
  component: lazyRouteComponent(() => import('./pages/members/MembersPage'), 'MembersPage'),
});
const apiKeys = createRoute({
  getParentRoute: () => inside,
  path: '/a/$app/keys',
  component: lazyRouteComponent(() => import('./pages/keys/KeysPage'), 'KeysPage'),
});
const settings = createRoute({
  getParentRoute: () => inside,
  path: '/a/$app/settings',
  component: lazyRouteComponent(() => import('./pages/settings/SettingsPage'), 'SettingsPage'),
});
const watch = createRoute({
  getParentRoute: () => inside,
  path: '/watch/$asset',
  component: lazyRouteComponent(() => import('./pages/watch/WatchPage'), 'WatchPage'),
});
const asset = createRoute({
  getParentRoute: () => inside,
  path: '/asset/$asset',
  component: lazyRouteComponent(() => import('./pages/asset/AssetPage'), 'AssetPage'),
});
const activity = createRoute({
  getParentRoute: () => inside,
  path: '/activity',
  component: lazyRouteComponent(() => import('./pages/activity/ActivityPage'), 'ActivityPage'),
  validateSearch: (search: Record<string, unknown>): JobFilter => ({ state: text(search.state) }),
});
const users = createRoute({
  getParentRoute: () => inside,
  path: '/users',
  component: lazyRouteComponent(() => import('./pages/users/UsersPage'), 'UsersPage'),
});
const applications = createRoute({
  getParentRoute: () => inside,
  path: '/applications',
  component: lazyRouteComponent(() => import('./pages/applications/ApplicationsPage'), 'ApplicationsPage'),
});
const audit = createRoute({
  getParentRoute: () => inside,
  path: '/audit',
  component: lazyRouteComponent(() => import('./pages/audit/AuditPage'), 'AuditPage'),
  validateSearch: (search: Record<string, unknown>): AuditFilter => ({
    actor: text(search.actor),
    action: text(search.action),
    target: text(search.target),
    result: text(search.result),
    from_ms: time(search.from_ms),
    to_ms: time(search.to_ms),
  }),
});
const account = createRoute({
  getParentRoute: () => inside,
  path: '/account',
  component: lazyRouteComponent(() => import('./pages/account/AccountPage'), 'AccountPage'),
});
const cluster = createRoute({
  getParentRoute: () => inside,
  path: '/cluster',
  component: lazyRouteComponent(() => import('./pages/cluster/ClusterPage'), 'ClusterPage'),
});
const alerts = createRoute({
  getParentRoute: () => inside,
  path: '/alerts',
  component: lazyRouteComponent(() => import('./pages/alerts/AlertsPage'), 'AlertsPage'),
});
const backups = createRoute({
  getParentRoute: () => inside,
  path: '/backups',
  component: lazyRouteComponent(() => import('./pages/backups/BackupsPage'), 'BackupsPage'),
});
const system = createRoute({
  getParentRoute: () => inside,
  path: '/system',
  component: lazyRouteComponent(() => import('./pages/system/SystemPage'), 'SystemPage'),
});

const tree = root.addChildren([
  login,
  setup,
  invite,
  reset,
  inside.addChildren([
    home,
    library,
    upload,
    members,
    apiKeys,
    settings,
    watch,
    asset,
    activity,
    users,
    applications,
    audit,
    account,
    cluster,
    alerts,
    backups,
    system,
  ]),
]);

export function makeRouter(client: QueryClient) {
  return createRouter({
    routeTree: tree,
    context: { client },
    defaultErrorComponent: ErrorPage,
    defaultNotFoundComponent: MissingPage,
    scrollRestoration: true,
    defaultPreload: 'intent',
    defaultPreloadStaleTime: 0,
  });
}

export type Router = ReturnType<typeof makeRouter>;
export type To = NavigateOptions<Router>['to'];

declare module '@tanstack/react-router' {
  interface Register {
    router: Router;
  }
}
