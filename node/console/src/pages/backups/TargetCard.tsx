import { Button, Group, Paper, Stack, Text, Title } from '@mantine/core';
import type { ReactNode } from 'react';
import { useConfirm } from '../../parts/Dialogs';
import { TimeAgo } from '../../parts/TimeAgo';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';
import type { TextKey } from '../../text/t';
import { type BackupRun, type BackupTarget, backUp, backupsKey, removeTarget } from './calls';
import { localTimeOf, utcTimeOf } from './targetForm';
import { usePlaceText } from './useRunText';

const dayMs = 86_400_000;

interface TargetProps {
  target: BackupTarget;
  /** What is carried out now, here or at another place: one run at a time. */
  running: BackupRun | undefined;
  /** The newest check of the newest backup found something wrong. */
  damaged: boolean;
  change: () => void;
}

/** A place: where it is, how its backups are, and what can be done with it. */
export function TargetCard({ target, running, damaged, change }: TargetProps) {
  const { t } = useText();
  const place = usePlaceText()(target.place);
  const state = stateOf(target, running, damaged);
  return (
    <Paper withBorder p="lg" component="li" className="card" aria-label={target.name}>
      <Stack gap="md">
        <Group justify="space-between" align="flex-start" gap="sm" wrap="nowrap">
          <div className="grow-min">
            <Title order={2} className="breakable">
              {target.name}
            </Title>
            <Text size="sm" c="dimmed" mt={2} className="breakable">
              {place}
            </Text>
          </div>
          <span className={`state state-${state.color}`}>{t(state.key)}</span>
        </Group>
        <Facts target={target} />
        <Buttons target={target} running={running} change={change} />
      </Stack>
    </Paper>
  );
}

/** How a place does, in one word; the worst first. Days as in the alert. */
function stateOf(
  target: BackupTarget,
  running: BackupRun | undefined,
  damaged: boolean,
): { color: string; key: TextKey } {
  if (running?.target === target.id) return { color: 'blue', key: 'backups.state.running' };
  if (target.last_drill_ok === false) return { color: 'red', key: 'backups.state.drillFailed' };
  if (damaged) return { color: 'red', key: 'backups.state.damaged' };
  const since = target.last_whole_ms ?? target.created_ms;
  const days = target.daily_at_minute == null ? 0 : (Date.now() - since) / dayMs;
  if (days >= 2) return { color: days >= 7 ? 'red' : 'yellow', key: 'backups.state.old' };
  if (!target.last_whole_ms) return { color: 'grey', key: 'backups.state.none' };
  return { color: 'green', key: 'backups.state.well' };
}

function Fact(props: { title: string; children: ReactNode; note?: ReactNode }) {
  return (
    <div>
      <dt>{props.title}</dt>
      <dd>
        {props.children}
        {props.note && <span className="fact-note">{props.note}</span>}
      </dd>
    </div>
  );
}

function Facts({ target }: { target: BackupTarget }) {
  const { t, formats } = useText();
  const { last_whole_ms, next_ms, daily_at_minute, every_minutes, last_drill_ms } = target;
  return (
    <dl className="facts">
      <Fact title={t('backups.lastWhole')} note={last_whole_ms && formats.dateTime(last_whole_ms)}>
        {last_whole_ms ? <TimeAgo ms={last_whole_ms} /> : t('backups.never')}
      </Fact>
      <Fact
        title={t('backups.next')}
        note={
          daily_at_minute != null &&
          t('backups.dailyAt', { local: localTimeOf(daily_at_minute), utc: utcTimeOf(daily_at_minute) })
        }
      >
        {every_minutes ? (
          t('backups.everyMinutes', { count: every_minutes })
        ) : next_ms ? (
          <TimeAgo ms={next_ms} />
        ) : (
          t('backups.onDemand')
        )}
      </Fact>
      <Fact title={t('backups.lastDrill')} note={last_drill_ms && formats.dateTime(last_drill_ms)}>
        {last_drill_ms ? (
          <span className={target.last_drill_ok ? 'good' : 'bad'}>
            {t(target.last_drill_ok ? 'backups.drillWell' : 'backups.drillBad')}
          </span>
        ) : (
          t('backups.drillNone')
        )}
      </Fact>
      <Fact title={t('backups.kept')}>{t('backups.days', { count: target.keep_days })}</Fact>
    </dl>
  );
}

function Buttons({ target, running, change }: Omit<TargetProps, 'damaged'>) {
  const { t } = useText();
  const confirm = useConfirm();
  const place = usePlaceText()(target.place);
  const now = useAct({ act: () => backUp(target.id), done: t('backups.begun'), touches: [backupsKey] });
  const remove = useAct({ act: () => removeTarget(target.id), done: t('backups.removed'), touches: [backupsKey] });
  const ask = async () => {
    const sure = await confirm({
      title: t('backups.removeTitle', { name: target.name }),
      text: t('backups.removeText', { place }),
      action: t('action.remove'),
      dangerous: true,
    });
    if (sure) remove.mutate();
  };
  const busyHere = running?.target === target.id;
  return (
    <Group gap="xs">
      <Button
        size="xs"
        disabled={running !== undefined}
        title={running && t('backups.oneAtATime')}
        loading={now.isPending}
        onClick={() => now.mutate()}
        aria-label={t('backups.nowWhat', { name: target.name })}
      >
        {t('backups.now')}
      </Button>
      <Button size="xs" variant="default" onClick={change} aria-label={t('backups.changeWhat', { name: target.name })}>
        {t('backups.change')}
      </Button>
      <Button
        size="xs"
        variant="subtle"
        color="red"
        disabled={busyHere}
        title={busyHere ? t('backups.removeLater') : undefined}
        loading={remove.isPending}
        onClick={() => void ask()}
        aria-label={t('backups.removeWhat', { name: target.name })}
      >
        {t('action.remove')}
      </Button>
    </Group>
  );
}
