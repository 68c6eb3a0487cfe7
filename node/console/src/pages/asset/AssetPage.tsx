import { Alert, Button, Group, Progress, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { CalendarX2, CircleAlert, Lock, Play, Trash2 } from 'lucide-react';
import * as api from '../../api/calls';
import type { Ability, Asset } from '../../api/model';
import { assetQuery, keys } from '../../api/queries';
import { ButtonLink } from '../../parts/links';
import { Page } from '../../parts/Page';
import { useReasonText } from '../../parts/reasonText';
import { StateBadge } from '../../parts/StateBadge';
import { ErrorState, RowsSkeleton, takesThePage } from '../../parts/States';
import { TimeAgo } from '../../parts/TimeAgo';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';
import { useProgress } from '../library/useProgress';
import { useMay } from '../shell/session';
import { Captions } from './Captions';
import { DangerZone } from './DangerZone';
import { Describe } from './Describe';
import { Downloads } from './Downloads';
import { Inside } from './Inside';
import { PosterChoice } from './PosterChoice';
import { Publishing } from './Publishing';

/** An end that is nearer stands out. */
const soon = 30 * 24 * 60 * 60 * 1000;

/** Everything about one asset, and everything that can be done with it. */
export function AssetPage() {
  const { t } = useText();
  const { asset: id } = useParams({ from: '/inside/asset/$asset' });
  const found = useQuery(assetQuery(id));
  if (found.isPending) return <RowsSkeleton rows={6} />;
  if (found.data === undefined || takesThePage(found)) {
    return (
      <Page title={t('asset.title')}>
        <ErrorState error={found.error} retry={() => void found.refetch()} />
      </Page>
    );
  }
  return <AssetParts key={id} asset={found.data} />;
}

function AssetParts({ asset }: { asset: Asset }) {
  const { t } = useText();
  const may = useMay(asset.application);
  const live = !asset.trashed_ms;
  const props = { asset, may: (ability: Ability) => may(ability) && live };
  return (
    <Page
      title={asset.title}
      narrow
      actions={
        asset.watchable &&
        live && (
          <ButtonLink to="/watch/$asset" params={{ asset: asset.id }} leftSection={<Play size={16} />}>
            {t('watch.title')}
          </ButtonLink>
        )
      }
    >
      <News {...props} />
      <Describe {...props} />
      <Publishing {...props} />
      {asset.watchable && live && <PosterChoice {...props} />}
      <Captions {...props} />
      <Downloads {...props} />
      <Inside {...props} />
      <DangerZone asset={asset} />
    </Page>
  );
}

export interface AssetProps {
  asset: Asset;
  /** Nothing may be done with what is in the trash. */
  may: (ability: Ability) => boolean;
}

/** State, progress and what stands in the way. */
function News({ asset, may }: AssetProps) {
  const { t } = useText();
  const reasonText = useReasonText();
  const progress = useProgress(asset);
  const touches = [keys.asset(asset.id), keys.jobs];
  const retry = useAct({ act: () => api.actOnAsset(asset.id, 'retry'), done: t('activity.retried'), touches });
  const cancel = useAct({ act: () => api.actOnAsset(asset.id, 'cancel'), done: t('activity.cancelled'), touches });
  const mayStop = asset.state === 'uploading' ? may('upload') || may('trash') : may('process');
  const busy = asset.state === 'processing' || asset.state === 'uploading';
  return (
    <>
      <Group gap="sm">
        <StateBadge state={asset.state} percent={busy ? progress?.percent : undefined} />
        <Text size="sm" c="dimmed">
          {t('asset.added')} <TimeAgo ms={asset.created_ms} />
        </Text>
        {busy && mayStop && (
          <Button size="xs" variant="subtle" color="red" loading={cancel.isPending} onClick={() => cancel.mutate()}>
            {t('asset.cancel')}
          </Button>
        )}
      </Group>
      {busy && progress && <Progress value={progress.percent} aria-label={t('progress.of', { title: asset.title })} />}
      {asset.state === 'failed' && (
        <Alert color="red" icon={<CircleAlert size={18} />} title={t('watch.failed')}>
          <Text size="sm">{reasonText(asset)}</Text>
          <Button
            size="xs"
            mt="sm"
            variant="default"
            disabled={!may('process')}
            loading={retry.isPending}
            onClick={() => retry.mutate()}
          >
            {t('action.retryShort')}
          </Button>
        </Alert>
      )}
      {asset.trashed_ms && (
        <Alert color="yellow" icon={<Trash2 size={18} />}>
          {t('asset.inTrash')} {asset.purge_after_ms && <TimeAgo ms={asset.purge_after_ms} />}
        </Alert>
      )}
      {!asset.trashed_ms && asset.purge_after_ms && (
        <Alert color={asset.purge_after_ms - Date.now() < soon ? 'yellow' : 'gray'} icon={<CalendarX2 size={18} />}>
          {t(asset.hold ? 'asset.endsByHeld' : 'asset.endsBy')} <TimeAgo ms={asset.purge_after_ms} />
        </Alert>
      )}
      {asset.hold && (
        <Alert color="yellow" icon={<Lock size={18} />} title={t('hold.title')}>
          {asset.hold}
        </Alert>
      )}
    </>
  );
}
