import { Button, Group, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import * as api from '../../api/calls';
import type { CustomRole } from '../../api/model';
import { customRolesQuery, keys } from '../../api/queries';
import { DataTable } from '../../parts/DataTable';
import { useConfirm } from '../../parts/Dialogs';
import { Loaded } from '../../parts/Loaded';
import { Section } from '../../parts/Section';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';
import { RoleDialog } from './RoleDialog';

/** Roles of the application's own: made, changed, and removed once nobody has them. */
export function RolesSection({ app }: { app: string }) {
  const { t } = useText();
  const query = useQuery(customRolesQuery(app));
  const [edited, setEdited] = useState<CustomRole | 'new' | null>(null);
  return (
    <Section title={t('roles.own')} lead={t('roles.lead')}>
      <Loaded query={query}>
        {(roles) =>
          roles.length === 0 ? (
            <Text size="sm" c="dimmed">
              {t('roles.none')}
            </Text>
          ) : (
            <RoleTable app={app} roles={roles} edit={setEdited} />
          )
        }
      </Loaded>
      <div>
        <Button variant="default" onClick={() => setEdited('new')}>
          {t('roles.new')}
        </Button>
      </div>
      {edited && <RoleDialog app={app} role={edited === 'new' ? undefined : edited} close={() => setEdited(null)} />}
    </Section>
  );
}

function RoleTable(props: { app: string; roles: CustomRole[]; edit: (role: CustomRole) => void }) {
  const { t, formats } = useText();
  const confirm = useConfirm();
  const remove = useAct({
    act: (id: string) => api.removeCustomRole(props.app, id),
    done: t('roles.removed'),
    touches: [keys.customRoles(props.app)],
  });
  const ask = async (role: CustomRole) => {
    const sure = await confirm({
      title: t('roles.removeTitle', { name: role.name }),
      text: t('roles.removeText'),
      action: t('action.remove'),
      dangerous: true,
    });
    if (sure) remove.mutate(role.id);
  };
  return (
    <DataTable
      label={t('roles.own')}
      rows={props.roles}
      rowKey={(role) => role.id}
      columns={[
        { title: t('field.name'), cell: (role) => role.name },
        {
          title: t('roles.allows'),
          cell: (role) => role.abilities.map((one) => t(`ability.${one}`)).join(' · ') || t('roles.nothing'),
        },
        { title: t('roles.holders'), cell: (role) => formats.number(role.holders) },
        {
          title: t('field.actions'),
          right: true,
          cell: (role) => (
            <Group gap={4} justify="flex-end" wrap="nowrap">
              <Button
                variant="subtle"
                size="xs"
                onClick={() => props.edit(role)}
                aria-label={t('roles.changeWhat', { name: role.name })}
              >
                {t('action.change')}
              </Button>
              <Button
                variant="subtle"
                size="xs"
                color="red"
                disabled={role.holders > 0}
                title={role.holders > 0 ? t('roles.inUse', { count: role.holders }) : undefined}
                onClick={() => void ask(role)}
                aria-label={t('roles.removeWhat', { name: role.name })}
              >
                {t('action.remove')}
              </Button>
            </Group>
          ),
        },
      ]}
    />
  );
}
