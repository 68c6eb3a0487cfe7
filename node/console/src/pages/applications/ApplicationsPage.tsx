import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Plus } from 'lucide-react';
import { useState } from 'react';
import * as api from '../../api/calls';
import { applicationsQuery, keys } from '../../api/queries';
import { DataTable } from '../../parts/DataTable';
import { Loaded } from '../../parts/Loaded';
import { TextLink } from '../../parts/links';
import { NameDialog } from '../../parts/NameDialog';
import { Page } from '../../parts/Page';
import { useText } from '../../text/TextProvider';
import { TrashedApplications } from './TrashedApplications';

/** All applications; for cluster admins. */
export function ApplicationsPage() {
  const { t } = useText();
  const query = useQuery(applicationsQuery);
  const [making, setMaking] = useState(false);
  return (
    <Page
      title={t('applications.title')}
      lead={t('applications.lead')}
      narrow
      actions={
        <Button leftSection={<Plus size={16} />} onClick={() => setMaking(true)}>
          {t('applications.create')}
        </Button>
      }
    >
      <Loaded query={query}>
        {(all) => (
          <DataTable
            label={t('applications.title')}
            rows={all}
            rowKey={(one) => one.id}
            columns={[
              {
                title: t('field.name'),
                cell: (one) => (
                  <TextLink to="/a/$app/library" params={{ app: one.id }} fw={600}>
                    {one.name}
                  </TextLink>
                ),
              },
              { title: t('settings.trashDays'), cell: (one) => t('days', { count: one.policy.trash_days }) },
              {
                title: t('field.actions'),
                right: true,
                nowrap: true,
                cell: (one) => (
                  <TextLink
                    to="/a/$app/settings"
                    params={{ app: one.id }}
                    size="sm"
                    aria-label={t('applications.settingsOf', { name: one.name })}
                  >
                    {t('nav.settings')}
                  </TextLink>
                ),
              },
            ]}
          />
        )}
      </Loaded>
      <TrashedApplications />
      {making && (
        <NameDialog
          title={t('applications.create')}
          action={t('action.create')}
          act={api.createApplication}
          done={t('applications.made')}
          touches={[keys.applications, keys.me]}
          close={() => setMaking(false)}
        />
      )}
    </Page>
  );
}
