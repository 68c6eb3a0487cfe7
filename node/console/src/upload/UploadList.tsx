import { ActionIcon, Group, Paper, Progress, Stack, Text, Tooltip } from '@mantine/core';
import { CircleCheck, Pause, Play, RotateCcw, X } from 'lucide-react';
import { useConfirm } from '../parts/Dialogs';
import { TextLink } from '../parts/links';
import { useProblemText } from '../parts/problemText';
import { clock } from '../text/formats';
import { useText } from '../text/TextProvider';
import type { TextKey } from '../text/t';
import { type UploadItem, uploads } from './queue';
import { useUploads } from './useUploads';

/** One line for each upload of an application. */
export function UploadList({ application }: { application: string }) {
  const { t } = useText();
  const items = useUploads().filter((item) => item.application === application);
  if (items.length === 0) return null;
  return (
    <Stack gap="sm" component="ul" className="plain-list" aria-label={t('upload.list')}>
      {items.map((item) => (
        <UploadLine key={item.key} item={item} />
      ))}
    </Stack>
  );
}

function UploadLine({ item }: { item: UploadItem }) {
  const { t } = useText();
  const percent = item.size === 0 ? (item.state === 'done' ? 100 : 0) : (item.sent / item.size) * 100;
  return (
    <Paper withBorder p="md" component="li">
      <Group justify="space-between" wrap="nowrap" align="flex-start">
        <div className="grow-min">
          {item.state === 'done' && item.asset ? (
            <TextLink to="/asset/$asset" params={{ asset: item.asset }} fw={600} className="breakable">
              {item.name}
            </TextLink>
          ) : (
            <Text fw={600} className="breakable">
              {item.name}
            </Text>
          )}
          <UploadNews item={item} />
        </div>
        <UploadButtons item={item} />
      </Group>
      <Progress
        value={percent}
        mt="sm"
        size="sm"
        color={item.state === 'failed' ? 'red' : item.state === 'done' ? 'green' : undefined}
        aria-label={t('progress.of', { title: item.name })}
      />
    </Paper>
  );
}

/** "34 % of 1.2 GB · 48 MB/s · 0:25 left", or why it stands still. */
function UploadNews({ item }: { item: UploadItem }) {
  const { t, formats } = useText();
  const problemText = useProblemText();
  if (item.state === 'failed') {
    return (
      <Text size="sm" c="red" role="alert">
        {problemText(item.error)}
      </Text>
    );
  }
  const parts = [t('upload.of', { sent: formats.bytes(item.sent), size: formats.bytes(item.size) })];
  if (item.state === 'sending' && item.speed > 0) {
    parts.push(`${formats.bytes(item.speed)}/s`);
    parts.push(t('upload.left', { time: clock((item.size - item.sent) / item.speed) }));
  } else {
    parts.push(t(`upload.state.${item.state}` as TextKey));
  }
  if (item.resumed && item.state !== 'done') parts.push(t('upload.resumed'));
  return (
    <Text size="sm" c="dimmed">
      {parts.join(' · ')}
    </Text>
  );
}

function UploadButtons({ item }: { item: UploadItem }) {
  const { t } = useText();
  const confirm = useConfirm();
  const cancel = async () => {
    const sure = await confirm({
      title: t('upload.cancelTitle'),
      text: t('upload.cancelText', { name: item.name }),
      action: t('upload.cancel'),
      dangerous: true,
    });
    if (sure) await uploads.cancel(item.key);
  };
  if (item.state === 'done') {
    return (
      <Group gap={4} wrap="nowrap">
        <CircleCheck size={20} className="good" aria-hidden="true" />
        <IconButton
          label={t('upload.hide', { name: item.name })}
          icon={<X size={18} />}
          act={() => uploads.remove(item.key)}
        />
      </Group>
    );
  }
  return (
    <Group gap={4} wrap="nowrap">
      {item.state === 'failed' && (
        <IconButton
          label={t('upload.retry', { name: item.name })}
          icon={<RotateCcw size={18} />}
          act={() => uploads.resume(item.key)}
        />
      )}
      {item.state === 'paused' && (
        <IconButton
          label={t('upload.resume', { name: item.name })}
          icon={<Play size={18} />}
          act={() => uploads.resume(item.key)}
        />
      )}
      {(item.state === 'sending' || item.state === 'waiting') && (
        <IconButton
          label={t('upload.pause', { name: item.name })}
          icon={<Pause size={18} />}
          act={() => uploads.pause(item.key)}
        />
      )}
      <IconButton
        label={t('upload.cancelWhat', { name: item.name })}
        icon={<X size={18} />}
        act={() => void cancel()}
      />
    </Group>
  );
}

function IconButton(props: { label: string; icon: React.ReactNode; act: () => void }) {
  return (
    <Tooltip label={props.label}>
      <ActionIcon onClick={props.act} aria-label={props.label}>
        {props.icon}
      </ActionIcon>
    </Tooltip>
  );
}
