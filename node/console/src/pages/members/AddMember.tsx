import { Button, Group, NativeSelect } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import * as api from '../../api/calls';
import type { RoleChoice, User } from '../../api/model';
import { keys, membersQuery } from '../../api/queries';
import { RoleSelect } from '../../parts/RoleSelect';
import { Section } from '../../parts/Section';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';

/** Cluster admins see everybody, so they can add somebody who has an account without an invitation. */
export function AddMember({ app, users }: { app: string; users: User[] }) {
  const { t } = useText();
  const members = useQuery(membersQuery(app)).data ?? [];
  const [user, setUser] = useState('');
  const [role, setRole] = useState<RoleChoice>({ role: 'viewer' });
  const add = useAct({
    act: () => api.setMember(app, user, role),
    done: t('members.added'),
    touches: [keys.members(app), keys.customRoles(app), keys.me],
    after: () => setUser(''),
  });
  const others = users.filter((one) => !members.some((member) => member.user === one.id));
  if (others.length === 0) return null;
  return (
    <Section title={t('members.add')}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          add.mutate();
        }}
      >
        <Group align="flex-start">
          <NativeSelect
            label={t('field.username')}
            required
            value={user}
            onChange={(event) => setUser(event.currentTarget.value)}
            data={[
              { value: '', label: t('members.choose') },
              ...others.map((one) => ({ value: one.id, label: one.username })),
            ]}
          />
          <RoleSelect app={app} label={t('field.role')} value={role} onChange={setRole} />
          <Button type="submit" mt={24} disabled={user === ''} loading={add.isPending}>
            {t('action.add')}
          </Button>
        </Group>
      </form>
    </Section>
  );
}
