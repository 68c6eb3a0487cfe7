import { Button, Group, MultiSelect, Radio, Stack, Text, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import * as api from '../../api/calls';
import type { AccessRule } from '../../api/model';
import { keys, membersQuery } from '../../api/queries';
import { fromLocalInput, toLocalInput } from '../../parts/localTime';
import { Section } from '../../parts/Section';
import { useAct } from '../../parts/useAct';
import { useEdited } from '../../parts/useEdited';
import { useText } from '../../text/TextProvider';
import type { AssetProps } from './AssetPage';

/** When it may be watched, and by whom. */
export function Publishing(props: AssetProps) {
  const { t } = useText();
  return (
    <Section title={t('publish.title')} lead={props.asset.published ? t('publish.is') : t('publish.isNot')}>
      <Window {...props} />
      <Access {...props} />
    </Section>
  );
}

function Window({ asset, may }: AssetProps) {
  const mayEdit = may('publish');
  const { t } = useText();
  const [from, setFrom] = useEdited(toLocalInput(asset.publish_from_ms));
  const [until, setUntil] = useEdited(toLocalInput(asset.publish_until_ms));
  const touches = [keys.asset(asset.id), keys.assets(asset.application)];
  const publish = useAct({
    act: () =>
      api.actOnAsset(asset.id, 'publish', {
        from_ms: fromLocalInput(from) ?? null,
        until_ms: fromLocalInput(until) ?? null,
      }),
    done: t('publish.done'),
    touches,
  });
  const unpublish = useAct({ act: () => api.actOnAsset(asset.id, 'unpublish'), done: t('publish.undone'), touches });
  const backwards = from !== '' && until !== '' && from >= until;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        publish.mutate();
      }}
    >
      <Group align="flex-start">
        <TextInput
          type="datetime-local"
          label={t('publish.from')}
          description={t('publish.fromHint')}
          readOnly={!mayEdit}
          value={from}
          onChange={(event) => setFrom(event.currentTarget.value)}
        />
        <TextInput
          type="datetime-local"
          label={t('publish.until')}
          description={t('publish.untilHint')}
          error={backwards ? t('publish.backwards') : undefined}
          readOnly={!mayEdit}
          value={until}
          onChange={(event) => setUntil(event.currentTarget.value)}
        />
      </Group>
      <Group mt="md">
        <Button
          type="submit"
          disabled={!mayEdit || backwards}
          loading={publish.isPending}
          variant={asset.published ? 'default' : 'filled'}
        >
          {asset.published ? t('publish.change') : t('action.publish')}
        </Button>
        {asset.published && (
          <Button
            variant="default"
            disabled={!mayEdit}
            loading={unpublish.isPending}
            onClick={() => unpublish.mutate()}
          >
            {t('action.unpublish')}
          </Button>
        )}
      </Group>
    </form>
  );
}

function Access({ asset, may }: AssetProps) {
  const mayEdit = may('access');
  const { t } = useText();
  const [kind, setKind] = useEdited<AccessRule['kind']>(asset.access.kind);
  const [users, setUsers] = useEdited(asset.access.kind === 'users' ? asset.access.users : []);
  const members = useQuery({ ...membersQuery(asset.application), enabled: mayEdit }).data ?? [];
  const save = useAct({
    act: () => api.changeAsset(asset.id, { access: kind === 'users' ? { kind, users } : { kind } }),
    done: t('saved'),
    touches: [keys.asset(asset.id)],
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      <Stack gap="sm">
        <Radio.Group
          label={t('access.title')}
          description={t('access.hint')}
          value={kind}
          onChange={(value) => setKind(value as AccessRule['kind'])}
        >
          <Stack gap={8} mt="xs">
            <Radio value="members" label={t('access.members')} disabled={!mayEdit} />
            <Radio value="users" label={t('access.users')} disabled={!mayEdit} />
            <Radio value="editors" label={t('access.editors')} disabled={!mayEdit} />
          </Stack>
        </Radio.Group>
        {kind === 'users' && (
          <MultiSelect
            label={t('access.people')}
            readOnly={!mayEdit}
            searchable
            value={users}
            onChange={setUsers}
            data={members.map((member) => ({ value: member.user, label: member.username }))}
          />
        )}
        <Group>
          <Button type="submit" variant="default" disabled={!mayEdit} loading={save.isPending}>
            {t('access.save')}
          </Button>
        </Group>
        <Text size="xs" c="dimmed">
          {t('access.note')}
        </Text>
      </Stack>
    </form>
  );
}
