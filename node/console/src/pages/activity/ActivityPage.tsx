import { Button, Group, NativeSelect, Progress, Stack, Text } from '@mantine/core';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { Activity } from 'lucide-react';
import * as api from '../../api/calls';
import type { Job, Progress as JobProgress } from '../../api/model';
import { jobsQuery, keys } from '../../api/queries';
import { DataTable } from '../../parts/DataTable';
import { TextLink } from '../../parts/links';
import { Page } from '../../parts/Page';
import { useReasonText } from '../../parts/reasonText';
import { StateBadge } from '../../parts/StateBadge';
import { Empty, ErrorState, RowsSkeleton } from '../../parts/States';
import { TimeAgo } from '../../parts/TimeAgo';
import { useAct } from '../../parts/useAct';
import { clock } from '../../text/formats';
import { useText } from '../../text/TextProvider';

const states = ['queued', 'running', 'finished', 'failed', 'cancelled'] as const;

/** What the node is working on and has worked on. */
export function ActivityPage() {
  const { t } = useText();
  const { state } = useSearch({ from: '/inside/activity' });
  const navigate = useNavigate({ from: '/activity' });
  const found = useInfiniteQuery(jobsQuery({ state }));
  const jobs = found.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Page title={t('activity.title')} lead={t('activity.lead')}>
      <Group>
        <NativeSelect
          label={t('filter.state')}
          value={state ?? ''}
          onChange={(event) =>
            void navigate({ search: { state: event.currentTarget.value || undefined }, replace: true })
          }
          data={[
            { value: '', label: t('filter.any') },
            ...states.map((one) => ({ value: one, label: t(`state.${one}`) })),
          ]}
        />
      </Group>
      {found.isPending && <RowsSkeleton />}
      {found.isError && <ErrorState error={found.error} retry={() => void found.refetch()} />}
      {found.isSuccess && jobs.length === 0 && (
        <Empty icon={<Activity />} title={t('activity.none')} text={t('activity.noneText')} />
      )}
      {jobs.length > 0 && <JobTable jobs={jobs} />}
      {found.hasNextPage && (
        <Group justify="center">
          <Button variant="subtle" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
            {t('action.more')}
          </Button>
        </Group>
      )}
    </Page>
  );
}

function JobTable({ jobs }: { jobs: Job[] }) {
  const { t } = useText();
  return (
    <DataTable
      label={t('activity.title')}
      rows={jobs}
      rowKey={(job) => job.id}
      columns={[
        {
          title: t('field.asset'),
          cell: (job) => (
            <TextLink to="/asset/$asset" params={{ asset: job.asset }} fw={600}>
              {job.asset_title ?? t('activity.assetGone')}
            </TextLink>
          ),
        },
        { title: t('filter.state'), cell: (job) => <JobState job={job} /> },
        { title: t('field.updated'), cell: (job) => <TimeAgo ms={job.updated_ms ?? job.created_ms} />, nowrap: true },
        { title: t('field.actions'), right: true, cell: (job) => <JobButtons job={job} /> },
      ]}
    />
  );
}

function JobState({ job }: { job: Job }) {
  const { t, formats } = useText();
  const reason = useReasonText()(job);
  const live = useQuery<JobProgress | null>({
    queryKey: keys.progress(job.asset),
    queryFn: () => null,
    enabled: false,
  }).data;
  const progress = job.state === 'running' ? (live ?? job.progress) : undefined;
  return (
    <Stack gap={4} align="flex-start">
      <StateBadge state={job.state} />
      {progress && (
        <>
          <Progress
            w={180}
            size="sm"
            value={progress.percent}
            aria-label={t('progress.of', { title: job.asset_title ?? '' })}
          />
          <Text size="xs" c="dimmed">
            {formats.percent(progress.percent / 100)}
            {progress.eta_ms ? ` · ${t('upload.left', { time: clock(progress.eta_ms / 1000) })}` : ''}
          </Text>
        </>
      )}
      {reason && (
        <Text size="xs" c="dimmed" maw={420}>
          {reason}
        </Text>
      )}
    </Stack>
  );
}

function JobButtons({ job }: { job: Job }) {
  const { t } = useText();
  const touches = [keys.jobs, keys.asset(job.asset)];
  const cancel = useAct({ act: () => api.cancelJob(job.id), done: t('activity.cancelled'), touches });
  const retry = useAct({ act: () => api.retryJob(job.id), done: t('activity.retried'), touches });
  const name = job.asset_title ?? job.asset;
  if (job.state === 'queued' || job.state === 'running') {
    return (
      <Button
        size="xs"
        variant="subtle"
        color="red"
        loading={cancel.isPending}
        onClick={() => cancel.mutate()}
        aria-label={t('activity.cancelWhat', { name })}
      >
        {t('action.cancel')}
      </Button>
    );
  }
  if (job.state === 'failed' || job.state === 'cancelled') {
    return (
      <Button
        size="xs"
        variant="subtle"
        loading={retry.isPending}
        onClick={() => retry.mutate()}
        aria-label={t('activity.retryWhat', { name })}
      >
        {t('action.retryShort')}
      </Button>
    );
  }
  return null;
}
