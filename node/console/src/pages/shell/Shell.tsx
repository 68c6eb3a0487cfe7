import { AppShell, Burger, Group } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useLocation, useNavigate } from '@tanstack/react-router';
import { Fragment, useEffect, useRef } from 'react';
import { listenToEvents } from '../../api/events';
import { keys, meQuery } from '../../api/queries';
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
import { SessionOver } from './SessionOver';
import { rememberApplication, useApplication, useMe } from './session';

/** Header, menu and the page between them, for somebody who is logged in. */
export function Shell() {
  const { t } = useText();
  const [opened, menu] = useDisclosure(false);
  const client = useQueryClient();
  const signedIn = useQuery(meQuery).data !== null;
  const { id: person, username } = useMe().user;
  const application = useApplication();
  const { pathname } = useLocation();
  useEffect(() => (signedIn ? listenToEvents(client) : undefined), [client, signedIn]);
  useEffect(() => {
    if (signedIn && person) uploads.signedIn(person);
  }, [signedIn, person]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the menu closes when the page changes
  useEffect(() => menu.close(), [pathname]);
  useOnePerson(person);
  const id = application?.id;
  useEffect(() => {
    if (id) rememberApplication(id);
  }, [id]);
  return (
    <AppShell
      className={signedIn ? undefined : 'covered'}
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
        <Fragment key={person}>
          <Outlet />
        </Fragment>
        <SecurityContact />
        <ConfirmPassphrase />
        {!signedIn && <SessionOver person={username} />}
      </AppShell.Main>
    </AppShell>
  );
}

/** Somebody else logged in here or in another tab: nothing that was read or typed by the one before is left. */
function useOnePerson(person: string): void {
  const client = useQueryClient();
  const navigate = useNavigate();
  const before = useRef(person);
  useEffect(() => {
    if (before.current === person) return;
    before.current = person;
    client.removeQueries({ predicate: (query) => query.queryKey[0] !== keys.me[0] });
    void navigate({ to: '/', replace: true });
  }, [client, navigate, person]);
}
