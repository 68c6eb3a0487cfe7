import { Badge, Button, Group, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { UserPlus } from 'lucide-react';
import { useState } from 'react';
import * as api from '../../api/calls';
import type { User } from '../../api/model';
import { keys, usersQuery } from '../../api/queries';
import { DataTable } from '../../parts/DataTable';
import { useConfirm } from '../../parts/Dialogs';
import { FormDialog } from '../../parts/FormDialog';
import { Loaded } from '../../parts/Loaded';
import { Page } from '../../parts/Page';
import { PassphraseField } from '../../parts/PassphraseField';
import { SecretDialog } from '../../parts/SecretDialog';
import { TimeAgo } from '../../parts/TimeAgo';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';
import { linkWithSecret } from '../login/secret';
import { useMe } from '../shell/session';

/** Everybody who has an account, over all applications; for cluster admins. */
export function UsersPage() {
  const { t } = useText();
  const query = useQuery(usersQuery);
  const [making, setMaking] = useState(false);
  const [link, setLink] = useState<string | null>(null);
  return (
    <Page
      title={t('users.title')}
      lead={t('users.lead')}
      narrow
      actions={
        <Button leftSection={<UserPlus size={16} />} onClick={() => setMaking(true)}>
          {t('users.create')}
        </Button>
      }
    >
      <Loaded query={query}>
        {(users) => (
          <DataTable
            label={t('users.title')}
            rows={users}
            rowKey={(user) => user.id}
            columns={[
              {
                title: t('field.username'),
                cell: (user) => (
                  <Group gap={6}>
                    {user.username}
                    {user.admin && (
                      <Badge variant="default" tt="none">
                        {t('users.admin')}
                      </Badge>
                    )}
                    {user.suspended && (
                      <Badge variant="default" tt="none">
                        {t('users.suspended')}
                      </Badge>
                    )}
                  </Group>
                ),
              },
              {
                title: t('field.created'),
                cell: (user) => (user.created_ms ? <TimeAgo ms={user.created_ms} /> : '–'),
                nowrap: true,
              },
              {
                title: t('field.actions'),
                right: true,
                cell: (user) => <UserButtons user={user} reset={setLink} />,
              },
            ]}
          />
        )}
      </Loaded>
      {making && <UserDialog close={() => setMaking(false)} />}
      {link && (
        <SecretDialog
          title={t('users.resetMade')}
          label={t('users.resetLink')}
          secret={link}
          close={() => setLink(null)}
        />
      )}
    </Page>
  );
}

function UserButtons({ user, reset }: { user: User; reset: (link: string) => void }) {
  const { t } = useText();
  const me = useMe();
  const confirm = useConfirm();
  const change = useAct({
    act: (part: { suspended?: boolean; admin?: boolean }) => api.changeUser(user.id, part),
    done: t('users.changed'),
    touches: [keys.users],
  });
  const remove = useAct({ act: () => api.deleteUser(user.id), done: t('users.deleted'), touches: [keys.users] });
  const startReset = useAct({
    act: () => api.resetUser(user.id),
    touches: [],
    after: (made) => reset(linkWithSecret('reset', made.secret)),
  });
  const self = user.id === me.user.id;
  const ask = async (title: string, text: string, action: string) =>
    confirm({ title, text, action, dangerous: true, typed: action === t('action.delete') ? user.username : undefined });
  const askSuspend = async () => {
    const text = t('users.suspendText');
    if (user.suspended) change.mutate({ suspended: false });
    else if (await ask(t('users.suspendTitle', { name: user.username }), text, t('users.suspend'))) {
      change.mutate({ suspended: true });
    }
  };
  const askDelete = async () => {
    if (await ask(t('users.deleteTitle', { name: user.username }), t('users.deleteText'), t('action.delete'))) {
      remove.mutate();
    }
  };
  const button = {
    size: 'xs',
    variant: 'subtle',
    disabled: self,
    title: self ? t('users.notSelf') : undefined,
  } as const;
  return (
    <Group gap={4} justify="flex-end">
      <Button
        size="xs"
        variant="subtle"
        onClick={() => startReset.mutate()}
        aria-label={t('users.resetWhat', { name: user.username })}
      >
        {t('users.reset')}
      </Button>
      <Button {...button} onClick={() => change.mutate({ admin: !user.admin })}>
        {user.admin ? t('users.removeAdmin') : t('users.makeAdmin')}
      </Button>
      <Button {...button} onClick={() => void askSuspend()}>
        {user.suspended ? t('users.unsuspend') : t('users.suspend')}
      </Button>
      <Button {...button} color="red" onClick={() => void askDelete()}>
        {t('action.delete')}
      </Button>
    </Group>
  );
}

function UserDialog({ close }: { close: () => void }) {
  const { t } = useText();
  const [username, setUsername] = useState('');
  const [password, setPassword] = useState('');
  const create = useAct({
    act: () => api.createUser({ username: username.trim(), password }),
    done: t('users.created'),
    touches: [keys.users],
    after: close,
  });
  return (
    <FormDialog
      title={t('users.create')}
      action={t('action.create')}
      busy={create.isPending}
      submit={() => create.mutate()}
      close={close}
    >
      <TextInput
        label={t('field.username')}
        required
        data-autofocus
        autoComplete="off"
        value={username}
        onChange={(event) => setUsername(event.currentTarget.value)}
      />
      <PassphraseField label={t('field.passphrase')} value={password} onChange={setPassword} />
    </FormDialog>
  );
}
