import { AppShell, Burger, Group } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useLocation, useNavigate } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';
import { listenToEvents } from '../../api/events';
import { meQuery } from '../../api/queries';
import { SecurityContact } from '../../parts/SecurityContact';
import { useText } from '../../text/TextProvider';
import { uploads } from '../../upload/queue';
import { UploadIndicator } from '../../upload/UploadIndicator';
import { AccountMenu } from './AccountMenu';
import { AlertIndicator } from './AlertIndicator';
import { ConfirmPassphrase } from './ConfirmPassphrase';
import { LeaderBanner } from './LeaderBanner';
import { Logo } from './Logo';
import { MainMenu } from './MainMenu';
import { OfflineBanner } from './OfflineBanner';
import { rememberApplication, useApplication } from './session';

/** Header, menu and the page between them, for somebody who is logged in. */
export function Shell() {
  const { t } = useText();
  const [opened, menu] = useDisclosure(false);
  const client = useQueryClient();
  const me = useQuery(meQuery).data;
  const application = useApplication();
  const { pathname } = useLocation();
  const signedIn = me !== null;
  useEffect(() => (signedIn ? listenToEvents(client) : undefined), [client, signedIn]);
  useEffect(() => {
    if (signedIn) uploads.signedIn();
  }, [signedIn]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the menu closes when the page changes
  useEffect(() => menu.close(), [pathname]);
  const id = application?.id;
  useEffect(() => {
    if (id) rememberApplication(id);
  }, [id]);
  if (!signedIn) return <LoggedOut />;
  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{ width: 232, breakpoint: 'sm', collapsed: { mobile: !opened } }}
      padding={{ base: 'md', md: 'xl' }}
    >
      <AppShell.Header className="header">
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger
              opened={opened}
              onClick={menu.toggle}
              hiddenFrom="sm"
              size="sm"
              aria-label={opened ? t('nav.closeMenu') : t('nav.openMenu')}
              aria-expanded={opened}
              aria-controls="menu"
            />
            <Link to="/" className="logo-link">
              <Logo />
            </Link>
          </Group>
          <Group gap="xs" wrap="nowrap">
            <UploadIndicator />
            <AlertIndicator />
            <AccountMenu />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar className="navbar" id="menu" aria-label={t('nav.label')}>
        <MainMenu application={application} />
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1} className="main">
        <OfflineBanner />
        <LeaderBanner />
        <Outlet />
        <SecurityContact />
        <ConfirmPassphrase />
      </AppShell.Main>
    </AppShell>
  );
}

/** The session is over: once to the log-in, which leads back here. The address is kept, since it changes while the way there is loaded. */
function LoggedOut() {
  const navigate = useNavigate();
  const { href } = useLocation();
  const left = useRef(href);
  useEffect(() => {
    void navigate({ to: '/login', search: { next: left.current }, replace: true });
  }, [navigate]);
  return null;
}
