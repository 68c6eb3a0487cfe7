import { Button, Group, NumberInput, Switch, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useParams } from '@tanstack/react-router';
import * as api from '../../api/calls';
import type { Application } from '../../api/model';
import { applicationQuery, keys } from '../../api/queries';
import { useConfirm } from '../../parts/Dialogs';
import { FormSection } from '../../parts/FormSection';
import { Loaded } from '../../parts/Loaded';
import { Page } from '../../parts/Page';
import { Section } from '../../parts/Section';
import { useAct } from '../../parts/useAct';
import { useEdited } from '../../parts/useEdited';
import { useText } from '../../text/TextProvider';
import { useMay, useMe } from '../shell/session';
import { Collections } from './Collections';
import { ExportSection } from './ExportSection';

const minute = 60_000;

/** Name and policy of an application, its collections, and its end. */
export function SettingsPage() {
  const { t } = useText();
  const { app } = useParams({ from: '/inside/a/$app/settings' });
  const may = useMay(app);
  const query = useQuery(applicationQuery(app));
  return (
    <Page title={t('settings.title')} narrow>
      <Loaded query={query}>
        {(application) => (
          <>
            {may('settings') && <Policy key={app} application={application} />}
            <Collections app={app} />
            <ExportSection app={app} />
            <DeleteApplication application={application} />
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Policy({ application }: { application: Application }) {
  const { t } = useText();
  const [name, setName] = useEdited(application.name, (own, saved) => own.trim() === saved);
  const [policy, setPolicy] = useEdited(application.policy);
  const savedLimit = application.views_at_once ?? null;
  const [limit, setLimit] = useEdited(savedLimit);
  const save = useAct({
    act: () => {
      const views = limit === savedLimit ? {} : { views_at_once: limit };
      return api.changeApplication(application.id, { name: name.trim(), policy, ...views });
    },
    done: t('saved'),
    touches: [keys.application(application.id), keys.applications, keys.me],
  });
  return (
    <FormSection title={t('settings.policy')} busy={save.isPending} submit={() => save.mutate()}>
      <TextInput
        label={t('field.name')}
        required
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <NumberInput
        label={t('settings.trashDays')}
        description={t('settings.trashDaysHint')}
        min={0}
        max={3650}
        hideControls
        value={policy.trash_days}
        onChange={(value) => setPolicy({ ...policy, trash_days: Number(value) })}
      />
      <NumberInput
        label={t('settings.grace')}
        description={t('settings.graceHint')}
        min={0}
        max={1440}
        hideControls
        value={policy.offline_grace_ms / minute}
        onChange={(value) => setPolicy({ ...policy, offline_grace_ms: Math.round(Number(value) * minute) })}
      />
      <NumberInput
        label={t('settings.viewsAtOnce')}
        description={t('settings.viewsAtOnceHint')}
        placeholder={t('settings.viewsAtOnceNone')}
        min={1}
        max={100}
        allowDecimal={false}
        hideControls
        value={limit ?? ''}
        onChange={(value) => setLimit(value === '' ? null : Number(value))}
      />
      <Switch
        label={t('settings.viewerDownload')}
        checked={policy.viewer_may_download}
        onChange={(event) => setPolicy({ ...policy, viewer_may_download: event.currentTarget.checked })}
      />
    </FormSection>
  );
}

function DeleteApplication({ application }: { application: Application }) {
  const { t } = useText();
  const me = useMe();
  const confirm = useConfirm();
  const navigate = useNavigate();
  const remove = useAct({
    act: () => api.deleteApplication(application.id),
    done: t('settings.deleted'),
    touches: [keys.applications, keys.me],
    after: () => void navigate({ to: '/' }),
  });
  const ask = async () => {
    const sure = await confirm({
      title: t('settings.delete'),
      text: t('settings.deleteText'),
      action: t('settings.delete'),
      dangerous: true,
      typed: application.name,
    });
    if (sure) remove.mutate();
  };
  return (
    <Section title={t('danger.title')} lead={t('settings.deleteText')} dangerous>
      <Group>
        <Button
          color="red"
          variant="outline"
          disabled={!me.user.admin}
          title={me.user.admin ? undefined : t('why.clusterAdmin')}
          loading={remove.isPending}
          onClick={() => void ask()}
        >
          {t('settings.delete')}
        </Button>
      </Group>
    </Section>
  );
}
