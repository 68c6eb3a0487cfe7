import { Checkbox, Group, Progress, Text } from '@mantine/core';
import type { Asset } from '../../api/model';
import { TextLink } from '../../parts/links';
import { useReasonText } from '../../parts/reasonText';
import { StateBadge } from '../../parts/StateBadge';
import { TimeAgo } from '../../parts/TimeAgo';
import { useText } from '../../text/TextProvider';
import { Poster } from './Poster';
import type { Selection } from './selection';
import { useProgress } from './useProgress';

/** One asset as a picture with its title; the whole card leads to it, the box in its corner ticks it. */
export function AssetCard({ asset, selection, mayEdit }: { asset: Asset; selection: Selection; mayEdit: boolean }) {
  const { t } = useText();
  const reasonText = useReasonText();
  const progress = useProgress(asset);
  const percent = asset.state === 'ready' || asset.state === 'failed' ? undefined : progress?.percent;
  const chosen = selection.has(asset.id);
  return (
    <div
      className="asset-card"
      role="listitem"
      data-chosen={chosen || undefined}
      data-picking={selection.count > 0 || undefined}
    >
      <div className="asset-picture">
        <Poster asset={asset} />
        {asset.state !== 'ready' && (
          <span className="asset-state">
            <StateBadge state={asset.state} percent={percent} />
          </span>
        )}
        {percent !== undefined && (
          <Progress
            value={percent}
            size={3}
            radius={0}
            className="asset-progress"
            aria-label={t('progress.of', { title: asset.title })}
          />
        )}
      </div>
      {mayEdit && (
        <Checkbox
          className="asset-check"
          checked={chosen}
          onChange={() => selection.toggle(asset.id)}
          aria-label={t('bulk.choose', { title: asset.title })}
        />
      )}
      <AssetLink asset={asset} />
      <Group gap={6} wrap="nowrap" className="asset-meta">
        <Text size="xs" c="dimmed" truncate>
          {asset.state === 'failed' ? (reasonText(asset) ?? t('state.failed')) : <TimeAgo ms={asset.created_ms} />}
        </Text>
        {!asset.published && asset.state === 'ready' && (
          <Text size="xs" c="dimmed" className="nowrap">
            · {t('asset.unpublished')}
          </Text>
        )}
        {mayEdit && (
          <TextLink
            to="/asset/$asset"
            params={{ asset: asset.id }}
            size="xs"
            className="asset-details"
            aria-label={t('asset.detailsOf', { title: asset.title })}
          >
            {t('asset.details')}
          </TextLink>
        )}
      </Group>
    </div>
  );
}

/** Leads to the player when there is something to watch, else to the asset's own page. */
export function AssetLink({ asset }: { asset: Asset }) {
  const watch = asset.watchable && !asset.trashed_ms;
  return (
    <TextLink
      to={watch ? '/watch/$asset' : '/asset/$asset'}
      params={{ asset: asset.id }}
      className="asset-title"
      title={asset.title}
      underline="never"
    >
      {asset.title}
    </TextLink>
  );
}
