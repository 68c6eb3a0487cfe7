import { Alert, Group, Paper, Progress, Stack, Text, Title } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { clusterQuery } from '../../api/queries';
import { TimeAgo } from '../../parts/TimeAgo';
import { clock } from '../../text/formats';
import { useText } from '../../text/TextProvider';
import type { TextKey } from '../../text/t';
import { type BackupRun, backupsKey, runQuery, takesOne } from './calls';
import { useRunText } from './useRunText';

/** How often it asks how far a run is: progress is no event. */
const lookEvery = 1_000;

/** What is carried out now, and how far it is, as long as its node says so. */
export function RunningCard({ run, place }: { run: BackupRun; place: string }) {
  const { t } = useText();
  const { kindOf } = useRunText();
  const client = useQueryClient();
  const now = useQuery({ ...runQuery(run.id), initialData: run, refetchInterval: lookEvery }).data;
  const over = now.state !== 'running';
  // It ended: the list and its place say what came of it.
  useEffect(() => {
    if (over) void client.invalidateQueries({ queryKey: backupsKey });
  }, [over, client]);
  return (
    <Paper withBorder p="lg" component="section" className="card" aria-label={t('backups.runningNow')}>
      <Stack gap="sm">
        <Group justify="space-between" gap="sm">
          <Title order={2}>{t('backups.runAt', { run: kindOf(run), place })}</Title>
          <Text size="sm" c="dimmed">
            {t('backups.begunAgo')} <TimeAgo ms={run.began_ms} />
          </Text>
        </Group>
        <Bar run={now} />
        <CarriedOutBy run={now} />
      </Stack>
    </Paper>
  );
}

function Bar({ run }: { run: BackupRun }) {
  const { t, formats } = useText();
  const { kindOf } = useRunText();
  const { progress } = run;
  const known = progress && progress.total > 0;
  // A backup goes through assets, a check through objects.
  const counted: TextKey = takesOne(run) ? 'backups.doneOfAssets' : 'backups.doneOf';
  const percent = known ? (100 * progress.done) / progress.total : 100;
  return (
    <Stack gap={6}>
      <Progress.Root size="sm">
        <Progress.Section
          value={percent}
          striped={!known}
          animated={!known}
          aria-label={kindOf(run)}
          aria-valuetext={known ? formats.percent(percent / 100) : t('backups.state.running')}
        />
      </Progress.Root>
      <Text size="sm" className="numbers">
        {progress ? phaseText(run, t) : t('backups.noProgress')}
        {known && ` · ${t(counted, { done: progress.done, total: progress.total })}`}
        {progress && progress.bytes > 0 && ` · ${formats.bytes(progress.bytes)}`}
        {progress?.eta_ms != null && ` · ${t('upload.left', { time: clock(progress.eta_ms / 1000) })}`}
      </Text>
    </Stack>
  );
}

function phaseText(run: BackupRun, t: ReturnType<typeof useText>['t']): string {
  const phase = run.progress?.phase;
  if (phase === 'blobs') return t(takesOne(run) ? 'backups.phase.send' : 'backups.phase.read');
  return t(`backups.phase.${phase}` as TextKey);
}

/** Who carries it out where there are several nodes, and what happens when that one is silent. */
function CarriedOutBy({ run }: { run: BackupRun }) {
  const { t } = useText();
  const nodes = useQuery(clusterQuery).data?.nodes ?? [];
  const node = nodes.find((one) => one.id === run.node);
  if (nodes.length < 2) return null;
  if (node?.alive) {
    return (
      <Text size="sm" c="dimmed">
        {t('backups.by', { name: node.name })}
      </Text>
    );
  }
  return <Alert color="yellow">{t('backups.silent', { name: node?.name ?? run.node })}</Alert>;
}
