import { NativeSelect, ScrollArea, Stack, Text } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import {
  Activity,
  Bell,
  Boxes,
  Clapperboard,
  DatabaseBackup,
  FileClock,
  KeyRound,
  Network,
  Server,
  SlidersHorizontal,
  Trash2,
  Upload,
  UserCog,
  Users,
} from 'lucide-react';
import type { ReactNode } from 'react';
import type { Membership } from '../../api/model';
import { MenuLink } from '../../parts/links';
import { useText } from '../../text/TextProvider';
import { useMay, useMe } from './session';

const iconSize = 18;

/** The menu: first what belongs to the application, then what belongs to the whole system. */
export function MainMenu({ application }: { application: Membership | undefined }) {
  const { t } = useText();
  const me = useMe();
  const may = useMay(application?.id);
  return (
    <ScrollArea h="100%" type="auto">
      <Stack gap="lg" p="sm">
        <ApplicationChoice application={application} />
        {application && <ApplicationLinks app={application.id} />}
        <Section title={t('nav.system')}>
          {(me.user.admin || may('see_all')) && (
            <MenuLink to="/activity" label={t('nav.activity')} leftSection={<Activity size={iconSize} />} />
          )}
          {(me.user.admin || may('audit')) && (
            <MenuLink to="/audit" label={t('nav.audit')} leftSection={<FileClock size={iconSize} />} />
          )}
          {me.user.admin && (
            <>
              <MenuLink to="/users" label={t('nav.users')} leftSection={<Users size={iconSize} />} />
              <MenuLink to="/alerts" label={t('nav.alerts')} leftSection={<Bell size={iconSize} />} />
              <MenuLink to="/cluster" label={t('nav.cluster')} leftSection={<Network size={iconSize} />} />
              <MenuLink to="/backups" label={t('nav.backups')} leftSection={<DatabaseBackup size={iconSize} />} />
              <MenuLink to="/applications" label={t('nav.applications')} leftSection={<Boxes size={iconSize} />} />
            </>
          )}
          <MenuLink to="/system" label={t('nav.status')} leftSection={<Server size={iconSize} />} />
        </Section>
      </Stack>
    </ScrollArea>
  );
}

function ApplicationLinks({ app }: { app: string }) {
  const { t } = useText();
  const may = useMay(app);
  const params = { app };
  return (
    <Section title={t('nav.application')}>
      <MenuLink
        to="/a/$app/library"
        params={params}
        activeOptions={{ includeSearch: true, exact: true }}
        label={t('nav.library')}
        leftSection={<Clapperboard size={iconSize} />}
      />
      {may('upload') && (
        <MenuLink
          to="/a/$app/upload"
          params={params}
          label={t('nav.upload')}
          leftSection={<Upload size={iconSize} />}
        />
      )}
      {(may('trash') || may('purge')) && (
        <MenuLink
          to="/a/$app/library"
          params={params}
          search={{ trashed: true }}
          label={t('nav.trash')}
          leftSection={<Trash2 size={iconSize} />}
        />
      )}
      {may('members') && (
        <MenuLink
          to="/a/$app/members"
          params={params}
          label={t('nav.members')}
          leftSection={<UserCog size={iconSize} />}
        />
      )}
      {may('keys') && (
        <MenuLink to="/a/$app/keys" params={params} label={t('nav.keys')} leftSection={<KeyRound size={iconSize} />} />
      )}
      {(may('settings') || may('retention')) && (
        <MenuLink
          to="/a/$app/settings"
          params={params}
          label={t('nav.settings')}
          leftSection={<SlidersHorizontal size={iconSize} />}
        />
      )}
    </Section>
  );
}

function Section(props: { title: string; children: ReactNode }) {
  return (
    <div>
      <Text size="xs" c="dimmed" fw={600} px="sm" pb={4}>
        {props.title}
      </Text>
      <div className="menu">{props.children}</div>
    </div>
  );
}

function ApplicationChoice({ application }: { application: Membership | undefined }) {
  const { t } = useText();
  const me = useMe();
  const navigate = useNavigate();
  if (me.applications.length < 2) {
    return application ? (
      <Text fw={600} px="sm" className="breakable">
        {application.name}
      </Text>
    ) : null;
  }
  return (
    <NativeSelect
      aria-label={t('nav.application')}
      value={application?.id ?? ''}
      data={me.applications.map((one) => ({ value: one.id, label: one.name }))}
      onChange={(event) => void navigate({ to: '/a/$app/library', params: { app: event.currentTarget.value } })}
    />
  );
}
