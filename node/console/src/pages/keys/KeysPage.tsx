import { Button, NativeSelect, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { KeyRound, Plus } from 'lucide-react';
import { useState } from 'react';
import * as api from '../../api/calls';
import type { ApiKey, RoleChoice } from '../../api/model';
import { apiKeysQuery, keys } from '../../api/queries';
import { DataTable } from '../../parts/DataTable';
import { useConfirm } from '../../parts/Dialogs';
import { FormDialog } from '../../parts/FormDialog';
import { Loaded } from '../../parts/Loaded';
import { Page } from '../../parts/Page';
import { RoleSelect, useRoleName } from '../../parts/RoleSelect';
import { SecretDialog } from '../../parts/SecretDialog';
import { Empty } from '../../parts/States';
import { TimeAgo } from '../../parts/TimeAgo';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';

const day = 86_400_000;
const lifetimes = [30, 90, 365] as const;

/** API keys of an application; a key's secret is seen once, when it is made. */
export function KeysPage() {
  const { t } = useText();
  const { app } = useParams({ from: '/inside/a/$app/keys' });
  const [making, setMaking] = useState(false);
  const [secret, setSecret] = useState<string | null>(null);
  const query = useQuery(apiKeysQuery(app));
  const make = (
    <Button leftSection={<Plus size={16} />} onClick={() => setMaking(true)}>
      {t('apiKeys.create')}
    </Button>
  );
  return (
    <Page title={t('apiKeys.title')} lead={t('apiKeys.lead')} narrow actions={make}>
      <Loaded query={query}>
        {(all) =>
          all.length === 0 ? (
            <Empty icon={<KeyRound />} title={t('apiKeys.none')} text={t('apiKeys.noneText')} />
          ) : (
            <KeyTable app={app} all={all} />
          )
        }
      </Loaded>
      {making && <KeyDialog app={app} close={() => setMaking(false)} made={setSecret} />}
      {secret && (
        <SecretDialog
          title={t('apiKeys.made')}
          label={t('apiKeys.secret')}
          secret={secret}
          close={() => setSecret(null)}
        />
      )}
    </Page>
  );
}

function KeyTable({ app, all }: { app: string; all: ApiKey[] }) {
  const { t } = useText();
  const roleName = useRoleName();
  const confirm = useConfirm();
  const revoke = useAct({
    act: api.revokeApiKey,
    done: t('apiKeys.revoked'),
    touches: [keys.apiKeys(app), keys.customRoles(app)],
  });
  const ask = async (key: ApiKey) => {
    const sure = await confirm({
      title: t('apiKeys.revokeTitle', { name: key.name }),
      text: t('apiKeys.revokeText'),
      action: t('apiKeys.revoke'),
      dangerous: true,
    });
    if (sure) revoke.mutate(key.id);
  };
  return (
    <DataTable
      label={t('apiKeys.title')}
      rows={all}
      rowKey={(key) => key.id}
      columns={[
        { title: t('field.name'), cell: (key) => key.name },
        { title: t('field.role'), cell: (key) => roleName(key), nowrap: true },
        {
          title: t('field.created'),
          cell: (key) => (key.created_ms ? <TimeAgo ms={key.created_ms} /> : '–'),
          nowrap: true,
        },
        {
          title: t('field.expires'),
          cell: (key) => (key.expires_ms ? <TimeAgo ms={key.expires_ms} /> : t('apiKeys.never')),
          nowrap: true,
        },
        {
          title: t('field.actions'),
          right: true,
          cell: (key) => (
            <Button
              variant="subtle"
              color="red"
              size="xs"
              onClick={() => void ask(key)}
              aria-label={t('apiKeys.revokeWhat', { name: key.name })}
            >
              {t('apiKeys.revoke')}
            </Button>
          ),
        },
      ]}
    />
  );
}

function KeyDialog(props: { app: string; close: () => void; made: (secret: string) => void }) {
  const { t } = useText();
  const [name, setName] = useState('');
  const [role, setRole] = useState<RoleChoice>({ role: 'user' });
  const [days, setDays] = useState('');
  const create = useAct({
    act: () =>
      api.createApiKey(props.app, {
        name: name.trim(),
        ...role,
        expires_ms: days === '' ? null : Date.now() + Number(days) * day,
      }),
    touches: [keys.apiKeys(props.app), keys.customRoles(props.app)],
    after: (made) => {
      props.close();
      props.made(made.secret);
    },
  });
  return (
    <FormDialog
      title={t('apiKeys.create')}
      action={t('apiKeys.createAction')}
      busy={create.isPending}
      submit={() => create.mutate()}
      close={props.close}
    >
      <TextInput
        label={t('field.name')}
        description={t('apiKeys.nameHint')}
        required
        data-autofocus
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <RoleSelect app={props.app} label={t('field.role')} value={role} onChange={setRole} />
      <NativeSelect
        label={t('apiKeys.lifetime')}
        value={days}
        onChange={(event) => setDays(event.currentTarget.value)}
        data={[
          { value: '', label: t('apiKeys.never') },
          ...lifetimes.map((count) => ({ value: String(count), label: t('days', { count }) })),
        ]}
      />
    </FormDialog>
  );
}
