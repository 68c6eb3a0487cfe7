import { Button, Group, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import * as api from '../../api/calls';
import type { TrashedApplication } from '../../api/model';
import { keys, trashedApplicationsQuery } from '../../api/queries';
import { DataTable } from '../../parts/DataTable';
import { useConfirm } from '../../parts/Dialogs';
import { Loaded } from '../../parts/Loaded';
import { Section } from '../../parts/Section';
import { TimeAgo } from '../../parts/TimeAgo';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';

/** Applications in the trash, when there are some: restore them, or delete them for good. */
export function TrashedApplications() {
  const { t, formats } = useText();
  const query = useQuery(trashedApplicationsQuery);
  return (
    <Loaded query={query}>
      {(all) =>
        all.length > 0 && (
          <Section title={t('applications.trash')} lead={t('applications.trashLead')}>
            <DataTable
              label={t('applications.trash')}
              rows={all}
              rowKey={(one) => one.id}
              columns={[
                { title: t('field.name'), cell: (one) => one.name },
                { title: t('collections.count'), cell: (one) => formats.number(one.asset_count) },
                { title: t('applications.trashed'), cell: (one) => <TimeAgo ms={one.trashed_ms} /> },
                {
                  title: t('applications.ends'),
                  cell: (one) => (one.being_purged ? '' : <TimeAgo ms={one.purge_after_ms} />),
                },
                { title: t('field.actions'), right: true, cell: (one) => <Actions application={one} /> },
              ]}
            />
          </Section>
        )
      }
    </Loaded>
  );
}

function Actions({ application }: { application: TrashedApplication }) {
  const { t } = useText();
  const confirm = useConfirm();
  const { id, name } = application;
  const touches = [keys.applications, keys.me];
  const restore = useAct({ act: () => api.restoreApplication(id), done: t('applications.restored'), touches });
  const purge = useAct({ act: () => api.purgeApplication(id), done: t('applications.purged'), touches });
  const ask = async () => {
    const sure = await confirm({
      title: t('applications.purgeTitle', { name }),
      text: t('applications.purgeText'),
      action: t('action.purge'),
      dangerous: true,
      typed: name,
    });
    if (sure) purge.mutate();
  };
  if (application.being_purged) {
    return (
      <Text size="sm" c="dimmed">
        {t('applications.beingPurged')}
      </Text>
    );
  }
  return (
    <Group gap={4} justify="flex-end">
      <Button
        variant="subtle"
        size="xs"
        loading={restore.isPending}
        onClick={() => restore.mutate()}
        aria-label={t('applications.restoreWhat', { name })}
      >
        {t('action.restore')}
      </Button>
      <Button
        variant="subtle"
        size="xs"
        color="red"
        loading={purge.isPending}
        onClick={() => void ask()}
        aria-label={t('applications.purgeWhat', { name })}
      >
        {t('action.purge')}
      </Button>
    </Group>
  );
}
