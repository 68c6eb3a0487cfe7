import { Button, Group, Popover, Stack, Switch, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { DataTable } from '../../parts/DataTable';
import { Section } from '../../parts/Section';
import { ErrorState, RowsSkeleton } from '../../parts/States';
import { TimeAgo } from '../../parts/TimeAgo';
import { useAct } from '../../parts/useAct';
import { clock } from '../../text/formats';
import { useText } from '../../text/TextProvider';
import type { TextKey } from '../../text/t';
import { type BackupRun, type BackupTarget, backupsKey, type Check, check, runsQuery, takesOne } from './calls';
import { FlawDialog } from './FlawDialog';
import { useRunText } from './useRunText';

/** Backups and checks of them, newest first. */
export function RunList({ targets, running }: { targets: BackupTarget[]; running: BackupRun | undefined }) {
  const { t } = useText();
  const [interim, setInterim] = useState(false);
  const found = useInfiniteQuery(runsQuery(interim));
  const [looked, setLooked] = useState<BackupRun>();
  const runs = found.data?.pages.flatMap((page) => page.items) ?? [];
  const placeOf = (run: BackupRun) => targets.find((target) => target.id === run.target)?.name ?? '–';
  return (
    <Section title={t('backups.runs')} lead={t('backups.runsLead')}>
      {targets.some((target) => target.every_minutes) && (
        <Switch
          size="sm"
          label={t('backups.showInterim')}
          checked={interim}
          onChange={(event) => setInterim(event.currentTarget.checked)}
        />
      )}
      {found.isPending && <RowsSkeleton rows={3} />}
      {found.isError && !found.data && <ErrorState error={found.error} retry={() => void found.refetch()} />}
      {found.isSuccess && runs.length === 0 && (
        <Text size="sm" c="dimmed">
          {t('backups.runsNone')}
        </Text>
      )}
      {runs.length > 0 && (
        <DataTable
          label={t('backups.runs')}
          rows={runs}
          rowKey={(run) => run.id}
          columns={[
            { title: t('backups.what'), cell: (run) => <What run={run} place={placeOf(run)} runs={runs} /> },
            { title: t('filter.state'), cell: (run) => <RunState run={run} look={() => setLooked(run)} /> },
            { title: t('backups.began'), cell: (run) => <Began run={run} />, nowrap: true },
            { title: t('field.size'), cell: (run) => <Size run={run} />, nowrap: true },
            {
              title: t('field.actions'),
              right: true,
              cell: (run) => run.kept_until_ms && <Checks run={run} running={running} />,
            },
          ]}
        />
      )}
      {found.hasNextPage && (
        <Group justify="center">
          <Button variant="subtle" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
            {t('action.more')}
          </Button>
        </Group>
      )}
      {looked && <FlawDialog run={looked} close={() => setLooked(undefined)} />}
    </Section>
  );
}

function What({ run, place, runs }: { run: BackupRun; place: string; runs: BackupRun[] }) {
  const { t, formats } = useText();
  const { kindOf } = useRunText();
  const of = run.of ? runs.find((one) => one.id === run.of) : undefined;
  return (
    <>
      <Text size="sm" fw={600}>
        {kindOf(run)}
      </Text>
      <Text size="xs" c="dimmed">
        {place}
        {of && ` · ${t('backups.ofBackup', { time: formats.dateTime(of.began_ms) })}`}
        {run.kept_until_ms && ` · ${t('backups.keptUntil', { time: formats.date(run.kept_until_ms) })}`}
      </Text>
    </>
  );
}

const looks: Record<BackupRun['state'], { color: string; key: TextKey }> = {
  running: { color: 'blue', key: 'backups.state.running' },
  done: { color: 'green', key: 'backups.state.whole' },
  failed: { color: 'red', key: 'state.failed' },
  expiring: { color: 'grey', key: 'backups.state.expiring' },
};

function RunState({ run, look }: { run: BackupRun; look: () => void }) {
  const { t } = useText();
  const { reasonOf } = useRunText();
  const reason = reasonOf(run);
  const bad = run.state === 'done' && run.flaw_count > 0;
  const well: TextKey = takesOne(run) ? 'backups.state.whole' : 'backups.state.asItWas';
  const shown = run.state === 'done' ? { color: bad ? 'red' : 'green', key: well } : looks[run.state];
  return (
    <Stack gap={4} align="flex-start">
      <span className={`state state-${shown.color}`}>
        {bad ? t('backups.flaws', { count: run.flaw_count }) : t(shown.key)}
      </span>
      {bad && (
        <Button size="compact-xs" variant="subtle" onClick={look}>
          {t('backups.seeFlaws')}
        </Button>
      )}
      {reason && (
        <Text size="xs" c="dimmed" maw={420}>
          {reason}
        </Text>
      )}
    </Stack>
  );
}

function Began({ run }: { run: BackupRun }) {
  const { t } = useText();
  return (
    <>
      <TimeAgo ms={run.began_ms} />
      {run.ended_ms && (
        <Text size="xs" c="dimmed">
          {t('backups.took', { time: clock(Math.max(1, (run.ended_ms - run.began_ms) / 1000)) })}
        </Text>
      )}
    </>
  );
}

function Size({ run }: { run: BackupRun }) {
  const { t, formats } = useText();
  if (run.state !== 'done') return null;
  const moved = { count: run.moved_objects, bytes: formats.bytes(run.moved_bytes) };
  return (
    <>
      {formats.bytes(run.bytes)}
      <Text size="xs" c="dimmed">
        {takesOne(run) ? t('backups.sent', moved) : t('backups.read', moved)}
      </Text>
    </>
  );
}

const ways: Check[] = ['quick', 'full', 'drill'];

/** The three ways to look at a whole backup, each with what it costs and shows. */
function Checks({ run, running }: { run: BackupRun; running: BackupRun | undefined }) {
  const { t, formats } = useText();
  const [opened, popover] = useDisclosure(false);
  const begin = useAct({ act: check, done: t('backups.checkBegun'), touches: [backupsKey] });
  const time = formats.dateTime(run.began_ms);
  return (
    <Popover opened={opened} onChange={popover.toggle} position="bottom-end" width={320} trapFocus returnFocus>
      <Popover.Target>
        <Button
          size="xs"
          variant="subtle"
          disabled={running !== undefined}
          title={running && t('backups.oneAtATime')}
          loading={begin.isPending}
          onClick={popover.toggle}
          aria-label={t('backups.checkWhat', { time })}
        >
          {t('backups.check')}
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label={t('backups.checkWhat', { time })}>
        <Stack gap="sm">
          {ways.map((how) => (
            <div key={how} className="choice">
              <Button
                size="xs"
                fullWidth
                variant="light"
                onClick={() => {
                  popover.close();
                  begin.mutate({ run: run.id, how });
                }}
              >
                {t(`backups.run.${how}` as TextKey)}
              </Button>
              <Text size="xs" c="dimmed" ta="start" mt={4}>
                {t(`backups.runHint.${how}` as TextKey)}
              </Text>
            </div>
          ))}
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}
