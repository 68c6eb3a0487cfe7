import { Button } from '@mantine/core';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { DatabaseBackup, Plus } from 'lucide-react';
import { useState } from 'react';
import { Page } from '../../parts/Page';
import { Empty, ErrorState, RowsSkeleton, takesThePage } from '../../parts/States';
import { useText } from '../../text/TextProvider';
import { type BackupRun, type BackupTarget, runsQuery, takesOne, targetsQuery } from './calls';
import { RunList } from './RunList';
import { RunningCard } from './RunningCard';
import { TargetCard } from './TargetCard';
import { TargetDialog } from './TargetDialog';

/** How often it looks at what is told by no event: times pass, and another node may begin a run. */
const lookEvery = 30_000;

/** Where backups go, how they are, what runs now, and what ran. */
export function BackupsPage() {
  const { t } = useText();
  const query = useQuery({ ...targetsQuery, refetchInterval: lookEvery });
  const [editing, setEditing] = useState<BackupTarget | 'new'>();
  const add = (
    <Button leftSection={<Plus size={16} />} onClick={() => setEditing('new')} disabled={!query.data}>
      {t('backups.add')}
    </Button>
  );
  return (
    <Page title={t('backups.title')} lead={t('backups.lead')} actions={query.data && query.data.length > 0 && add}>
      {takesThePage(query) ? (
        <ErrorState error={query.error} retry={() => void query.refetch()} />
      ) : query.data === undefined ? (
        <RowsSkeleton rows={4} />
      ) : query.data.length === 0 ? (
        <Empty icon={<DatabaseBackup />} title={t('backups.none')} text={t('backups.noneText')}>
          {add}
        </Empty>
      ) : (
        <Places targets={query.data} edit={setEditing} />
      )}
      {editing && <TargetDialog target={editing === 'new' ? undefined : editing} close={() => setEditing(undefined)} />}
    </Page>
  );
}

/** Whether the newest check since the newest backup found something wrong. */
function isDamaged(target: BackupTarget, runs: BackupRun[]): boolean {
  const isCheck = (run: BackupRun) => run.target === target.id && !takesOne(run) && run.state === 'done';
  const newest = runs.find(isCheck);
  return newest !== undefined && newest.flaw_count > 0 && newest.began_ms >= (target.last_whole_ms ?? 0);
}

function Places({ targets, edit }: { targets: BackupTarget[]; edit: (target: BackupTarget) => void }) {
  const { t } = useText();
  // One run at a time, so what runs is the newest.
  const runs = useInfiniteQuery(runsQuery(false)).data?.pages[0]?.items ?? [];
  const running = runs[0]?.state === 'running' ? runs[0] : undefined;
  const place = targets.find((target) => target.id === running?.target)?.name ?? '–';
  return (
    <>
      {running && <RunningCard key={running.id} run={running} place={place} />}
      <ul className="plain-list places" aria-label={t('backups.places')}>
        {targets.map((target) => (
          <TargetCard
            key={target.id}
            target={target}
            running={running}
            damaged={isDamaged(target, runs)}
            change={() => edit(target)}
          />
        ))}
      </ul>
      <RunList targets={targets} running={running} />
    </>
  );
}
