import { Button, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { UserPlus } from 'lucide-react';
import { useState } from 'react';
import * as api from '../../api/calls';
import type { Member, RoleChoice } from '../../api/model';
import { invitesQuery, keys, membersQuery, usersQuery } from '../../api/queries';
import { DataTable } from '../../parts/DataTable';
import { useConfirm } from '../../parts/Dialogs';
import { FormDialog } from '../../parts/FormDialog';
import { Loaded } from '../../parts/Loaded';
import { Page } from '../../parts/Page';
import { choiceOf, RoleSelect, useRoleName } from '../../parts/RoleSelect';
import { SecretDialog } from '../../parts/SecretDialog';
import { Section } from '../../parts/Section';
import { TimeAgo } from '../../parts/TimeAgo';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';
import { linkWithSecret } from '../login/secret';
import { useMe } from '../shell/session';
import { AddMember } from './AddMember';
import { RolesSection } from './RolesSection';

/** Who belongs to an application, with which role, and who is invited. */
export function MembersPage() {
  const { t } = useText();
  const { app } = useParams({ from: '/inside/a/$app/members' });
  const me = useMe();
  const [inviting, setInviting] = useState(false);
  const [link, setLink] = useState<string | null>(null);
  const users = useQuery({ ...usersQuery, enabled: me.user.admin }).data ?? [];
  return (
    <Page
      title={t('members.title')}
      lead={t('members.lead')}
      narrow
      actions={
        <Button leftSection={<UserPlus size={16} />} onClick={() => setInviting(true)}>
          {t('invites.create')}
        </Button>
      }
    >
      <MemberList app={app} />
      {me.user.admin && <AddMember app={app} users={users} />}
      <InviteList app={app} />
      <RolesSection app={app} />
      {inviting && <InviteDialog app={app} close={() => setInviting(false)} made={setLink} />}
      {link && (
        <SecretDialog title={t('invites.made')} label={t('invites.link')} secret={link} close={() => setLink(null)} />
      )}
    </Page>
  );
}

function MemberList({ app }: { app: string }) {
  const { t } = useText();
  const confirm = useConfirm();
  const query = useQuery(membersQuery(app));
  const setRole = useAct({
    act: ({ user, role }: { user: string; role: RoleChoice }) => api.setMember(app, user, role),
    done: t('members.changed'),
    touches: [keys.members(app), keys.customRoles(app), keys.me],
  });
  const remove = useAct({
    act: (user: string) => api.removeMember(app, user),
    done: t('members.removed'),
    touches: [keys.members(app), keys.customRoles(app), keys.me],
  });
  const ask = async (member: Member) => {
    const sure = await confirm({
      title: t('members.removeTitle', { name: member.username }),
      text: t('members.removeText'),
      action: t('action.remove'),
      dangerous: true,
    });
    if (sure) remove.mutate(member.user);
  };
  return (
    <Loaded query={query}>
      {(members) => (
        <DataTable
          label={t('members.title')}
          rows={members}
          rowKey={(member) => member.user}
          columns={[
            { title: t('field.username'), cell: (member) => member.username },
            {
              title: t('field.role'),
              cell: (member) => (
                <RoleSelect
                  app={app}
                  value={choiceOf(member)}
                  name={member.custom_role?.name}
                  ariaLabel={t('members.roleOf', { name: member.username })}
                  onChange={(role) => setRole.mutate({ user: member.user, role })}
                />
              ),
            },
            {
              title: t('field.actions'),
              right: true,
              cell: (member) => (
                <Button
                  variant="subtle"
                  color="red"
                  size="xs"
                  onClick={() => void ask(member)}
                  aria-label={t('members.removeWhat', { name: member.username })}
                >
                  {t('action.remove')}
                </Button>
              ),
            },
          ]}
        />
      )}
    </Loaded>
  );
}

function InviteList({ app }: { app: string }) {
  const { t } = useText();
  const query = useQuery(invitesQuery(app));
  const roleName = useRoleName();
  const revoke = useAct({
    act: (id: string) => api.revokeInvite(app, id),
    done: t('invites.revoked'),
    touches: [keys.invites(app), keys.customRoles(app)],
  });
  return (
    <Section title={t('invites.title')} lead={t('invites.lead')}>
      <Loaded query={query}>
        {(invites) =>
          invites.length === 0 ? (
            <Text size="sm" c="dimmed">
              {t('invites.none')}
            </Text>
          ) : (
            <DataTable
              label={t('invites.title')}
              rows={invites}
              rowKey={(invite) => invite.id}
              columns={[
                { title: t('field.role'), cell: (invite) => roleName(invite) },
                { title: t('field.expires'), cell: (invite) => <TimeAgo ms={invite.expires_ms} /> },
                {
                  title: t('field.actions'),
                  right: true,
                  cell: (invite) => (
                    <Button variant="subtle" color="red" size="xs" onClick={() => revoke.mutate(invite.id)}>
                      {t('invites.revoke')}
                    </Button>
                  ),
                },
              ]}
            />
          )
        }
      </Loaded>
    </Section>
  );
}

function InviteDialog(props: { app: string; close: () => void; made: (link: string) => void }) {
  const { t } = useText();
  const [role, setRole] = useState<RoleChoice>({ role: 'viewer' });
  const create = useAct({
    act: () => api.createInvite(props.app, role),
    touches: [keys.invites(props.app), keys.customRoles(props.app)],
    after: (invite) => {
      props.close();
      props.made(linkWithSecret('invite', invite.secret));
    },
  });
  return (
    <FormDialog
      title={t('invites.create')}
      action={t('invites.createAction')}
      busy={create.isPending}
      submit={() => create.mutate()}
      close={props.close}
    >
      <Text size="sm">{t('invites.howText')}</Text>
      <RoleSelect app={props.app} label={t('field.role')} value={role} onChange={setRole} />
    </FormDialog>
  );
}
